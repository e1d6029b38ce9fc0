#pragma once

#include "common/base/result.h"
#include "common/state/store.h"

#include <cstddef>
#include <map>
#include <string_view>
#include <vector>

namespace culvert::config {

// The local form of the mesh's state (LOCAL_XDS_PATH): workloads, services, policies in the YAML
// schema of Istio's ztunnel. Unknown keys are errors where the reference rejects them.
struct LocalConfig {
  struct LocalWorkload {
    state::Workload workload;
    std::map<state::NamespacedHostname, state::PortMap> services;
  };
  std::vector<LocalWorkload> workloads;
  std::vector<state::Service> services;
  std::vector<state::Policy> policies;
};

// Limits. Larger is an error, never a part: a YAML text of this size (about a million small
// workloads), this many values in it (aliases count as often as they are used), nested this deep
// (the schema needs 10). Of the errors the first 100 are told, the others counted.
inline constexpr size_t kMaxLocalConfigBytes = size_t{256} << 20;
inline constexpr size_t kMaxLocalConfigValues = size_t{32} << 20;
inline constexpr size_t kMaxLocalConfigDepth = 64;

// All errors at once, each with its path and line: "services[0].ports: not a map (line 12); …".
// Stricter than Istio's ztunnel in three ways: keys and entries (workload uid, service, policy)
// that are there twice are errors, and so is a text without any document, which is what a reader
// sees of a file that is just being written. More lenient in one: ports that are keys may be
// quoted, as in JSON and in /config_dump.
Result<LocalConfig> parse_local_config(std::string_view yaml);

// Replaces everything in `store` (without commit): workloads first, then policies, then services,
// which pick up the staged endpoints. Control thread.
void apply_local_config(const LocalConfig& config, state::Store& store);

}  // namespace culvert::config
