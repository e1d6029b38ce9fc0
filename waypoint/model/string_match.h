#pragma once

#include "common/base/result.h"
#include "waypoint/model/regex.h"

#include <optional>
#include <string>
#include <string_view>

namespace culvert::waypoint {

// One test of one text, the leaf of every route match and policy. A value; shared freely once
// built.
struct StringMatch {
  enum class Kind : uint8_t { kExact, kPrefix, kSuffix, kContains, kPresent, kRegex };
  Kind kind = Kind::kExact;
  std::string value;           // unused for kPresent and kRegex
  std::optional<Regex> regex;  // for kRegex
  bool ignore_case = false;    // ASCII; not for kRegex

  static StringMatch exact(std::string value) {
    return {Kind::kExact, std::move(value), {}, false};
  }
  static StringMatch present() { return {Kind::kPresent, {}, {}, false}; }
  static StringMatch matching(Regex regex) { return {Kind::kRegex, {}, std::move(regex), false}; }

  // Istio's wildcard spelling: "*" present, "abc*" prefix, "*abc" suffix, else exact. A star
  // anywhere else is an error: Istio would take it literally, and the author meant something else.
  static Result<StringMatch> from_wildcard(std::string_view text);

  // kPresent wants a text that is not empty.
  [[nodiscard]] bool matches(std::string_view text) const;
};

}  // namespace culvert::waypoint
