#include "common/hbone/connect.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace culvert::hbone {
namespace {

class Category final : public std::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "hbone"; }
  [[nodiscard]] std::string message(int value) const override {
    switch (static_cast<Errc>(value)) {
      case Errc::kNotConnect:
        return "expected method CONNECT";
      case Errc::kNoAuthority:
        return "no valid authority pseudo header";
      case Errc::kStatus:
        return "http status";
    }
    return "unknown HBONE error";
  }
};

bool visible_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= 0x20 && c < 0x7f) || c == '\t'; });
}

// The parts of `text` between separators, in order.
template <class Visit>
void split(std::string_view text, char separator, Visit visit) {
  for (;;) {
    const size_t end = text.find(separator);
    visit(text.substr(0, end));
    if (end == std::string_view::npos) return;
    text.remove_prefix(end + 1);
  }
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::string* slot(Baggage& baggage, std::string_view key) {
  if (key == "k8s.cluster.name") return &baggage.cluster_id;
  if (key == "k8s.namespace.name") return &baggage.namespace_;
  if (key == "k8s.deployment.name" || key == "k8s.cronjob.name" || key == "k8s.pod.name" ||
      key == "k8s.job.name")
    return &baggage.workload_name;
  if (key == "service.name") return &baggage.service_name;
  if (key == "service.version") return &baggage.service_version;
  if (key == "cloud.region") return &baggage.region;
  if (key == "cloud.availability_zone") return &baggage.zone;
  return nullptr;
}

}  // namespace

std::error_code make_error_code(Errc value) {
  static const Category category;
  return {static_cast<int>(value), category};
}

std::string format_baggage(const state::Workload& workload) {
  std::string out;
  const auto add = [&](std::string_view key, std::string_view value) {
    if (value.empty()) return;
    if (!out.empty()) out += ',';
    out.append(key).append("=").append(value);
  };
  const std::string_view type = workload.workload_type();
  add("k8s.cluster.name", workload.cluster_id());
  add("k8s.namespace.name", workload.ns());
  add(fmt::format("k8s.{}.name", type.empty() ? "deployment" : type), workload.workload_name());
  add("service.name", workload.canonical_name());
  add("service.version", workload.canonical_revision());
  add("cloud.region", workload.region());
  add("cloud.availability_zone", workload.zone());
  return out;
}

Baggage parse_baggage(const h2::Head& head) {
  Baggage baggage;
  for (const auto& field : head.fields) {
    if (field.name != "baggage") continue;
    if (!visible_ascii(field.value)) return {};
    split(field.value, ',', [&](std::string_view item) {
      const size_t equals = item.find('=');
      if (equals == std::string_view::npos) return;
      std::string* const target = slot(baggage, item.substr(0, equals));
      if (target == nullptr) return;
      const std::string_view rest = item.substr(equals + 1);
      *target = rest.substr(0, rest.find('='));
    });
  }
  return baggage;
}

Result<Authority> parse_authority(std::string_view text) {
  if (auto address = net::SocketAddress::parse(text)) return Authority(*address);
  const size_t colon = text.rfind(':');
  const std::string_view host = text.substr(0, colon);
  uint16_t port = 0;
  const bool has_port = colon != std::string_view::npos && [&] {
    const char* const first = text.data() + colon + 1;
    const char* const last = text.data() + text.size();
    const auto [end, error] = std::from_chars(first, last, port);
    return error == std::errc() && end == last;
  }();
  const bool host_ok = !host.empty() && std::all_of(host.begin(), host.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '*';
  });
  if (!has_port || !host_ok) return Error(Errc::kNoAuthority, std::string(text));
  return Authority(HostPort{std::string(host), port});
}

std::string to_string(const Authority& authority) {
  if (const auto* address = std::get_if<net::SocketAddress>(&authority))
    return address->to_string();
  const auto& host = std::get<HostPort>(authority);
  return fmt::format("{}:{}", host.host, host.port);
}

std::string format_forwarded(const net::SocketAddress& source, std::string_view service_hostname) {
  std::string out = fmt::format("for=\"{}\"", source.to_string());
  if (!service_hostname.empty()) out.append(";host=").append(service_hostname);
  return out;
}

std::optional<std::string> parse_forwarded_host(const h2::Head& head) {
  const auto value = head.get("forwarded");
  if (!value || !visible_ascii(*value)) return std::nullopt;
  std::optional<std::string> host;
  split(*value, ';', [&](std::string_view part) {
    part = trim(part);
    constexpr std::string_view kPrefix = "host=";
    if (host || !part.starts_with(kPrefix)) return;
    part.remove_prefix(kPrefix.size());
    if (part.starts_with('"')) part.remove_prefix(1);
    if (part.ends_with('"')) part.remove_suffix(1);
    host = std::string(part);
  });
  if (host && host->empty()) host.reset();
  return host;
}

std::string make_traceparent(uint64_t random1, uint64_t random2, uint64_t random3) {
  return fmt::format("00-{:016x}{:016x}-{:016x}-00", random1, random2, random3);
}

std::vector<h2::Field> to_fields(const ConnectRequest& request) {
  std::vector<h2::Field> fields{{":method", "CONNECT"},
                                {":authority", request.authority},
                                {"baggage", request.baggage},
                                {"forwarded", request.forwarded, true},
                                {"traceparent", request.traceparent, true}};
  if (!request.origin_network.empty())
    fields.push_back({"x-forwarded-network", request.origin_network});
  return fields;
}

int parse_status(const h2::Head& head) {
  const auto text = head.get(":status");
  int status = 0;
  if (text) std::from_chars(text->data(), text->data() + text->size(), status);
  return status;
}

std::string_view status_reason(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 429:
      return "Too Many Requests";
    case 500:
      return "Internal Server Error";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    default:
      return "";
  }
}

}  // namespace culvert::hbone
