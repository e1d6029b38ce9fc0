#pragma once

#include "common/base/machine.h"
#include "common/base/result.h"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace culvert::ztunnel {

// What configuration depends on besides the environment variables. A value, so that
// Config::from_env is a pure function; read_surroundings() is the one place that looks at the
// machine.
struct Surroundings {
  std::vector<std::string> args;  // argv[1..]
  std::optional<std::string>
      mesh_config;  // content of kMeshConfigPath; absent if there is no such file
  std::function<bool(const std::string&)> exists = [](const std::string&) { return false; };
  unsigned cpus = 1;          // that this process may use: affinity and cgroup quota
  MemoryUse memory;           // that this process may use
  bool ipv6_loopback = true;  // ::1 can be bound
  std::string resolv_conf;    // content of /etc/resolv.conf; empty if it cannot be read
  std::vector<std::string> warnings;
};

// Relative to the working directory, which is "/" in the image.
inline constexpr const char* kMeshConfigPath = "./etc/istio/config/mesh";

// Fails only if the mesh configuration file is there and cannot be read.
Result<Surroundings> read_surroundings(int argc, const char* const* argv);

}  // namespace culvert::ztunnel
