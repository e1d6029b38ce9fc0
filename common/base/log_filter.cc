#include "common/base/log.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace culvert::log {
namespace {

constexpr std::array<std::string_view, 6> kNames = {"off",  "error", "warn",
                                                    "info", "debug", "trace"};

std::optional<Level> parse_level(std::string_view text) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (std::ranges::equal(text, kNames[i],
                           [](unsigned char a, unsigned char b) { return std::tolower(a) == b; })) {
      return static_cast<Level>(i);
    }
  }
  return std::nullopt;
}

std::string_view trim(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

// Where the target ends: at '=', else at the last ':' that is not half of a "::".
size_t separator(std::string_view directive) {
  if (const size_t equals = directive.find('='); equals != std::string_view::npos) return equals;
  const size_t colon = directive.rfind(':');
  if (colon == std::string_view::npos || colon == 0 || directive[colon - 1] == ':') {
    return std::string_view::npos;
  }
  return colon;
}

}  // namespace

Result<Filter> Filter::parse(std::string_view directives) { return Filter().with(directives); }

Result<Filter> Filter::with(std::string_view directives) const {
  Filter result = *this;
  for (size_t begin = 0; begin <= directives.size();) {
    const size_t end = std::min(directives.find(',', begin), directives.size());
    const std::string_view directive = trim(directives.substr(begin, end - begin));
    begin = end + 1;
    if (directive.empty()) continue;

    if (const auto global = parse_level(directive)) {
      result.global_ = global;
      continue;
    }
    const size_t at = separator(directive);
    const auto level =
        at == std::string_view::npos ? std::nullopt : parse_level(trim(directive.substr(at + 1)));
    const std::string target(at == std::string_view::npos ? "" : trim(directive.substr(0, at)));
    if (!level || target.empty()) {
      return invalid(fmt::format(
          "invalid log directive '{}': expected <level> or <target>=<level>, with a level of off, "
          "error, warn, info, debug or trace",
          directive));
    }
    std::erase_if(result.scoped_, [&](const auto& entry) { return entry.first == target; });
    // Longest first, so that the first prefix match in level_for() is the most specific one.
    const auto place = std::ranges::find_if(
        result.scoped_, [&](const auto& entry) { return entry.first.size() <= target.size(); });
    result.scoped_.emplace(place, target, *level);
  }
  return result;
}

Level Filter::level_for(std::string_view target) const {
  for (const auto& [prefix, level] : scoped_) {
    if (target.starts_with(prefix)) return level;
  }
  return global_.value_or(Level::kError);
}

std::string Filter::to_string() const {
  std::string text;
  for (const auto& [target, level] : scoped_) {
    text += fmt::format("{}={},", target, kNames[static_cast<size_t>(level)]);
  }
  if (global_) {
    text += kNames[static_cast<size_t>(*global_)];
  } else if (!text.empty()) {
    text.pop_back();
  }
  return text;
}

}  // namespace culvert::log
