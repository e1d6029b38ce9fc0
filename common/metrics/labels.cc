#include "common/metrics/labels.h"

#include <algorithm>

namespace culvert::metrics {
namespace {

void append_escaped(std::string& out, std::string_view value) {
  for (const char c : value) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
}

}  // namespace

Labels Labels::make(std::span<const std::string> names, std::span<const std::string_view> values) {
  const size_t count = std::min(names.size(), values.size());
  Labels labels;
  if (count == 0) return labels;
  size_t length = 0;
  for (size_t i = 0; i < count; ++i) length += names[i].size() + values[i].size() + 4;
  std::string text;
  text.reserve(length);
  for (size_t i = 0; i < count; ++i) {
    if (i > 0) text += ',';
    text += names[i];
    text += "=\"";
    append_escaped(text, values[i]);
    text += '"';
  }
  labels.text_ = std::make_shared<const std::string>(std::move(text));
  return labels;
}

Labels Labels::with(std::string_view name, std::string_view value) const {
  const std::string_view all = text();
  // Inside a value a quote is always escaped, so `name="` after a comma is a name only.
  size_t begin = std::string_view::npos;
  for (size_t at = all.find(name); at != std::string_view::npos; at = all.find(name, at + 1)) {
    const bool starts = at == 0 || all[at - 1] == ',';
    if (starts && all.substr(at + name.size()).starts_with("=\"")) {
      begin = at + name.size() + 2;
      break;
    }
  }
  if (begin == std::string_view::npos) return *this;
  size_t end = begin;
  while (all[end] != '"') end += all[end] == '\\' ? 2 : 1;

  std::string changed(all.substr(0, begin));
  append_escaped(changed, value);
  changed += all.substr(end);
  if (changed == all) return *this;
  Labels labels;
  labels.text_ = std::make_shared<const std::string>(std::move(changed));
  return labels;
}

}  // namespace culvert::metrics
