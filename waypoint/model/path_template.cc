#include "waypoint/model/path_template.h"

#include <fmt/format.h>

namespace culvert::waypoint {
namespace {

constexpr std::string_view kOne = "{*}";
constexpr std::string_view kMany = "{**}";

// "/a//b/" -> "a", "", "b", "".
std::vector<std::string_view> segments_of(std::string_view path) {
  std::vector<std::string_view> out;
  path.remove_prefix(1);
  while (true) {
    const size_t slash = path.find('/');
    out.push_back(path.substr(0, slash));
    if (slash == std::string_view::npos) return out;
    path.remove_prefix(slash + 1);
  }
}

}  // namespace

bool PathTemplate::looks_like(std::string_view text) {
  return text.find(kOne) != std::string_view::npos || text.find(kMany) != std::string_view::npos;
}

Result<PathTemplate> PathTemplate::parse(std::string_view text) {
  if (text.empty() || text.front() != '/') return invalid("a path template begins with a slash");
  PathTemplate out;
  for (const std::string_view segment : segments_of(text)) {
    if (segment == kMany) {
      if (out.open_) return invalid("{**} may appear only once in a path template");
      out.open_ = true;
      continue;
    }
    const bool any = segment == kOne;
    if (any && out.open_) return invalid("{**} must be the last operator of a path template");
    if (!any && segment.find_first_of("{}*") != std::string_view::npos) {
      return invalid(
          fmt::format("\"{}\": in a path template only {{*}} and {{**}} are special, and each "
                      "must be a whole segment",
                      segment));
    }
    (out.open_ ? out.tail_ : out.head_).push_back({any, std::string(segment)});
  }
  return out;
}

bool PathTemplate::matches_one(const Segment& segment, std::string_view text) {
  return segment.any ? !text.empty() : segment.text == text;
}

bool PathTemplate::matches(std::string_view path) const {
  if (path.empty() || path.front() != '/') return false;
  const std::vector<std::string_view> segments = segments_of(path);
  // The slash in front of {**} is literal, so {**} takes at least one segment, which may be empty.
  const size_t least = head_.size() + tail_.size() + (open_ ? 1 : 0);
  if (open_ ? segments.size() < least : segments.size() != least) return false;
  for (size_t i = 0; i < head_.size(); ++i) {
    if (!matches_one(head_[i], segments[i])) return false;
  }
  const size_t tail_begin = segments.size() - tail_.size();
  for (size_t i = 0; i < tail_.size(); ++i) {
    if (!matches_one(tail_[i], segments[tail_begin + i])) return false;
  }
  return true;
}

}  // namespace culvert::waypoint
