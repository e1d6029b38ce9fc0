#pragma once

#include "common/base/result.h"
#include "common/base/unique_function.h"
#include "common/net/netns.h"

#include <string>

namespace culvert::ztunnel {

// Which pod a proxy serves: the identity of its workload is looked up in the mesh state by these
// names.
struct PodInfo {
  std::string name;
  std::string namespace_;
  std::string service_account;
  bool operator==(const PodInfo&) const = default;
};

enum class DrainMode : uint8_t {
  kGraceful,   // stop accepting, let connections end until the deadline
  kImmediate,  // the pod is gone: close everything now
};

// Starts and stops the proxies of pods: listeners in the pod's network namespace on every worker.
// Implemented over the workers; the manager of in-pod mode and dedicated mode use it. Control
// thread only.
class PodProxies {
 public:
  virtual ~PodProxies() = default;
  using Done = UniqueFunction<void(Result<>)>;
  // `done` comes once all workers accept connections, or with the error and nothing left running.
  // `uid` may be in use by a proxy that was told to stop and still drains. `netns` null: the
  // process's own namespace.
  virtual void start(const std::string& uid, const PodInfo& pod, net::NetnsPtr netns,
                     Done done) = 0;
  // `done` comes when nothing of the newest running proxy of `uid` is left.
  virtual void stop(const std::string& uid, DrainMode mode, UniqueFunction<void()> done) = 0;
};

}  // namespace culvert::ztunnel
