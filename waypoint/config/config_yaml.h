#pragma once

#include "common/base/result.h"
#include "waypoint/model/model.h"

#include <string>
#include <string_view>
#include <vector>

// The local form of a waypoint's configuration (WAYPOINT_CONFIG); docs/waypoint-config.md has the
// schema.
namespace culvert::waypoint {

inline constexpr size_t kMaxConfigBytes = 16 * 1024 * 1024;

struct LoadedConfig {
  ModelPtr model;
  // Legal, but probably not meant: a backend that does not exist (requests get 500, as Gateway API
  // wants).
  std::vector<std::string> warnings;
};

// All errors at once, one per line, each with its path and line:
//   services[0].prots: unknown key; known here: name, namespace, … (line 12)
// `defaults`: who the platform says we are; what the section `waypoint` says wins.
// Nothing is ever skipped: a file with a key, value or policy that is not understood is refused
// whole, and the caller keeps the model it has. Pure; any thread.
Result<LoadedConfig> parse_config(std::string_view yaml, const Self& defaults = {});

}  // namespace culvert::waypoint
