#pragma once

#include "common/base/result.h"

#include <string>
#include <string_view>
#include <vector>

namespace culvert::waypoint {

// A path with wildcards for whole segments, as in the `paths` of Istio's AuthorizationPolicy:
//   {*}   exactly one segment, not empty
//   {**}  any number of segments, also none; at most once, and after it no {*}
// "/deep/{**}" matches "/deep/" and "/deep/a/b" but not "/deep", because the slash is literal.
class PathTemplate {
 public:
  // Whether a policy's path is one of these (has "{*}" or "{**}") rather than a wildcard string.
  static bool looks_like(std::string_view text);
  // Errors (kInvalid) in words: no leading slash, '*' or braces outside of an operator, an operator
  // that is not a whole segment, more than one {**}.
  static Result<PathTemplate> parse(std::string_view text);

  // `path` without query.
  [[nodiscard]] bool matches(std::string_view path) const;

 private:
  struct Segment {
    bool any = false;  // {*}
    std::string text;
  };
  static bool matches_one(const Segment& segment, std::string_view text);

  // Before and after {**}; without one everything is in head_.
  std::vector<Segment> head_, tail_;
  bool open_ = false;  // has {**}
};

}  // namespace culvert::waypoint
