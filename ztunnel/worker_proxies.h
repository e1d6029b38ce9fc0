#pragma once

#include "ztunnel/config.h"
#include "ztunnel/pod.h"
#include "ztunnel/pod_proxy.h"
#include "ztunnel/worker.h"

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace culvert::ztunnel {

// PodProxies over the workers: makes a pod's listeners on the control thread, inside the pod's
// namespace, one set per worker, and hands each worker its own. Control thread.
class WorkerProxies final : public PodProxies {
 public:
  // References outlive it. `home`: the process's own namespace.
  WorkerProxies(net::Reactor& control, const Config& config, Memory& memory,
                std::vector<std::unique_ptr<Worker>>& workers, net::NetnsPtr home);

  void start(const std::string& uid, const PodInfo& pod, net::NetnsPtr netns, Done done) override;
  void stop(const std::string& uid, DrainMode mode, UniqueFunction<void()> done) override;
  // The listener in our own namespace that serves our metrics over HBONE: 15008 only, no
  // redirection.
  void start_self(const PodInfo& pod, Done done);
  // Gives every worker the mesh as it is now.
  void publish(const state::SnapshotPtr& snapshot);
  // The open connections of every pod, for /config_dump: uid -> lists. `done` gets them on the
  // control thread.
  using Connections =
      std::unordered_map<std::string,
                         std::pair<std::vector<ConnectionInfo>, std::vector<ConnectionInfo>>>;
  void connections(UniqueFunction<void(Connections)> done);

 private:
  Result<std::vector<PodProxy::Listeners>> listen(const net::SocketFactory& sockets, bool self);
  void start_on_workers(PodProxy::Settings settings, std::vector<PodProxy::Listeners> listeners,
                        Done done);
  [[nodiscard]] net::SocketFactoryOptions socket_options(bool self) const;

  net::Reactor& control_;
  const Config& config_;
  Memory& memory_;
  std::vector<std::unique_ptr<Worker>>& workers_;
  net::NetnsPtr home_;
  uint64_t next_id_ = 1;
  std::unordered_map<std::string, uint64_t> running_;  // uid -> id of its newest proxy
};

}  // namespace culvert::ztunnel
