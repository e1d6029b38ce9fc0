#include "waypoint/model/string_match.h"

#include "common/base/check.h"
#include "common/http/chars.h"

#include <fmt/format.h>

#include <algorithm>

namespace culvert::waypoint {
namespace {

bool equal(std::string_view a, std::string_view b, bool ignore_case) {
  return ignore_case ? http::iequals(a, b) : a == b;
}

bool contains(std::string_view text, std::string_view value, bool ignore_case) {
  const auto same = [ignore_case](char a, char b) {
    return ignore_case ? http::to_lower(a) == http::to_lower(b) : a == b;
  };
  return std::search(text.begin(), text.end(), value.begin(), value.end(), same) != text.end() ||
         value.empty();
}

}  // namespace

Result<StringMatch> StringMatch::from_wildcard(std::string_view text) {
  if (text.empty()) return invalid("an empty value matches nothing that can be sent");
  if (text == "*") return present();
  StringMatch match;
  if (text.front() == '*') {
    match.kind = Kind::kSuffix;
    text.remove_prefix(1);
  } else if (text.back() == '*') {
    match.kind = Kind::kPrefix;
    text.remove_suffix(1);
  }
  if (text.find('*') != std::string_view::npos) {
    return invalid("a star may stand alone, at the beginning or at the end, and only once");
  }
  match.value = text;
  return match;
}

bool StringMatch::matches(std::string_view text) const {
  switch (kind) {
    case Kind::kExact:
      return equal(text, value, ignore_case);
    case Kind::kPrefix:
      return text.size() >= value.size() && equal(text.substr(0, value.size()), value, ignore_case);
    case Kind::kSuffix:
      return text.size() >= value.size() &&
             equal(text.substr(text.size() - value.size()), value, ignore_case);
    case Kind::kContains:
      return contains(text, value, ignore_case);
    case Kind::kPresent:
      return !text.empty();
    case Kind::kRegex:
      CULVERT_CHECK(regex);
      return regex->full_match(text);
  }
  return false;
}

}  // namespace culvert::waypoint
