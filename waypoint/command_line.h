#pragma once

#include "common/config/env.h"

#include <optional>
#include <string>
#include <vector>

namespace culvert::waypoint {

// The flags of `pilot-agent proxy waypoint` that istiod's template for waypoints gives, and the few
// that make sense with them: --name=value or --name value.
struct CommandLine {
  std::string domain;           // --domain demo.svc.cluster.local
  std::string service_cluster;  // --serviceCluster: a name for statistics; not used
  std::optional<uint16_t> concurrency;
  std::string proxy_level = "warn";   // --proxyLogLevel, in our words
  std::string output_level = "info";  // --log_output_level: the level of its scope "default"
  bool log_as_json = false;
};

// `args`: after the program's name. Errors go to `errors`: an unknown flag, a value that is missing
// or not understood, a role other than "waypoint".
CommandLine parse_command_line(const std::vector<std::string>& args,
                               culvert::config::EnvReader& errors);

}  // namespace culvert::waypoint
