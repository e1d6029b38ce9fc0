#include "common/metrics/openmetrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <iterator>

namespace culvert::metrics {
namespace {

constexpr std::string_view kOpenMetrics = "application/openmetrics-text";

std::string_view type_name(Type type) {
  switch (type) {
    case Type::kCounter:
      return "counter";
    case Type::kGauge:
      return "gauge";
    case Type::kHistogram:
      return "histogram";
  }
  return "unknown";
}

// OpenMetrics "Numbers": a float that is whole is written with ".0", so that `le` values are
// canonical.
std::string float_text(double value) {
  std::string text = fmt::format("{}", value);
  if (text.find_first_not_of("-0123456789") == std::string::npos) text += ".0";
  return text;
}

void append_sample(std::string& out, std::string_view name, std::string_view suffix,
                   std::string_view labels, std::string_view value, std::string_view le = {}) {
  out += name;
  out += suffix;
  if (!labels.empty() || !le.empty()) {
    out += '{';
    if (!le.empty()) fmt::format_to(std::back_inserter(out), "le=\"{}\"", le);
    if (!labels.empty() && !le.empty()) out += ',';
    out += labels;
    out += '}';
  }
  out += ' ';
  out += value;
  out += '\n';
}

void append_histogram(std::string& out, const FamilySpec& spec, const Registry::Sample& sample) {
  const std::string_view labels = sample.labels.text();
  uint64_t total = 0;
  for (const uint64_t count : sample.buckets) total += count;
  append_sample(out, spec.name, "_sum", labels, float_text(sample.sum));
  append_sample(out, spec.name, "_count", labels, std::to_string(total));
  uint64_t cumulative = 0;
  for (size_t i = 0; i < sample.buckets.size(); ++i) {
    cumulative += sample.buckets[i];
    const std::string le = i < spec.buckets.size() ? float_text(spec.buckets[i]) : "+Inf";
    append_sample(out, spec.name, "_bucket", labels, std::to_string(cumulative), le);
  }
}

void append_family(std::string& out, const Registry::FamilySamples& family) {
  const FamilySpec& spec = *family.spec;
  auto to = std::back_inserter(out);
  fmt::format_to(to, "# HELP {} {}{}\n", spec.name, spec.help, family.callback ? "" : ".");
  fmt::format_to(to, "# TYPE {} {}\n", spec.name, type_name(spec.type));
  if (!spec.unit.empty()) fmt::format_to(to, "# UNIT {} {}\n", spec.name, spec.unit);
  for (const Registry::Sample& sample : family.samples) {
    const std::string_view labels = sample.labels.text();
    switch (spec.type) {
      case Type::kCounter:
        append_sample(out, spec.name, "_total", labels, std::to_string(sample.count));
        break;
      case Type::kGauge:
        append_sample(out, spec.name, "", labels, std::to_string(sample.gauge));
        break;
      case Type::kHistogram:
        append_histogram(out, spec, sample);
        break;
    }
  }
}

bool names_openmetrics(std::string_view element) {
  element = element.substr(0, element.find(';'));
  const size_t first = element.find_first_not_of(" \t");
  if (first == std::string_view::npos) return false;
  element = element.substr(first, element.find_last_not_of(" \t") - first + 1);
  return std::ranges::equal(element, kOpenMetrics,
                            [](unsigned char a, unsigned char b) { return std::tolower(a) == b; });
}

}  // namespace

std::string render_openmetrics(const Registry& registry) {
  std::string out;
  for (const Registry::FamilySamples& family : registry.collect()) append_family(out, family);
  out += "# EOF\n";
  return out;
}

std::string_view exposition_content_type(const std::vector<std::string_view>& accept_headers) {
  for (const std::string_view header : accept_headers) {
    for (size_t begin = 0; begin <= header.size();) {
      const size_t end = std::min(header.find(',', begin), header.size());
      if (names_openmetrics(header.substr(begin, end - begin))) {
        return "application/openmetrics-text;charset=utf-8;version=1.0.0";
      }
      begin = end + 1;
    }
  }
  return "text/plain; charset=utf-8";
}

}  // namespace culvert::metrics
