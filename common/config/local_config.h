#pragma once

#include "common/base/result.h"
#include "common/config/yaml_tree.h"
#include "common/state/store.h"

#include <cstddef>

namespace culvert::config {

// The local form of the mesh's state (LOCAL_XDS_PATH): workloads, services, policies in the YAML
// schema of Istio's ztunnel. Unknown keys are errors where the reference rejects them.
struct LocalWorkload {
  state::WorkloadSpec workload;
  state::ServicePorts services;
};

// Takes what a local file says, in the file's order. Each function returns whether the like was
// there before: a workload of that uid, a service of that namespace and host name, a policy of that
// key.
class LocalConfigSink {
 public:
  virtual ~LocalConfigSink() = default;
  virtual bool take(LocalWorkload workload) = 0;
  virtual bool take(state::ServiceSpec service) = 0;
  virtual bool take(state::Policy policy) = 0;
};

// Limits. Larger is an error, never a part: a YAML text of this size (about two million small
// workloads), this many values in it (aliases count as often as they are used), nested this deep
// (the schema needs 10). Of the errors the first 100 are told, the others counted.
inline constexpr size_t kMaxLocalConfigBytes = size_t{1} << 30;
inline constexpr size_t kMaxLocalConfigValues = size_t{128} << 20;
inline constexpr size_t kMaxLocalConfigDepth = 64;

// Reads a text of any length in the memory of a few elements: `yaml` is called on a thread of its
// own, which ends before this returns (yaml_ahead.h), `sink` on the caller's. All errors at once,
// each with its path and line: "services[0].ports: not a map (line 12); …"; then what `sink` got
// means nothing. Stricter than Istio's ztunnel in three ways: keys and entries (workload uid,
// service, policy) that are there twice are errors, and so is a text without any document, which is
// what a reader sees of a file that is just being written. More lenient in one: ports that are keys
// may be quoted, as in JSON and in /config_dump.
Result<> read_local_config(const YamlInput& yaml, LocalConfigSink& sink,
                           size_t max_bytes = kMaxLocalConfigBytes);

// Puts everything into `store`, which is empty and is of no use after an error; without commit.
struct LocalCounts {
  size_t workloads = 0, services = 0, policies = 0;
};
Result<LocalCounts> read_local_config(const YamlInput& yaml, state::Store& store);
// Replaces everything in `store` (without commit), or changes nothing if there is any error.
// Control thread.
Result<LocalCounts> load_local_config(const YamlInput& yaml, state::Store& store);

}  // namespace culvert::config
