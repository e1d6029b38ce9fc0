#pragma once

#include "common/base/once_a_second.h"
#include "common/hbone/pool.h"
#include "common/hbone/server.h"
#include "common/net/listener.h"
#include "common/net/socket_factory.h"
#include "ztunnel/handover.h"
#include "ztunnel/open_connections.h"
#include "ztunnel/pod.h"
#include "ztunnel/worker.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace culvert::ztunnel {

// One pod's proxy on one worker: its listeners in the pod's namespace, its tunnels, its
// connections. Worker thread.
//   15001 outbound: what the pod sends      15008 inbound: tunnels from the mesh
//   15006 inbound plaintext: everyone else
class PodProxy {
 public:
  struct Settings {
    std::string uid;
    PodInfo pod;
    net::SocketFactory sockets;
    std::shared_ptr<MemoryAccount> memory;  // the pod's
    std::shared_ptr<Handover> handover;     // null: no other process can listen beside us
    // The node proxy's own namespace: nothing to redirect, and never a client's address as source.
    bool self = false;
  };
  struct Listeners {
    net::Fd outbound, inbound, inbound_plaintext;
    // IP_TRANSPARENT is on, so dials to the application can come from the client's own address.
    bool inbound_transparent = false, plaintext_transparent = false;
  };
  PodProxy(Worker& worker, Settings settings, Listeners listeners);
  ~PodProxy();
  PodProxy(const PodProxy&) = delete;
  PodProxy& operator=(const PodProxy&) = delete;

  // Stops accepting, after taking what waits in the accept queues. Graceful: leaves new connections
  // to another process first, ends tunnels as their streams end and have said their last,
  // everything at `deadline`; immediate: ends everything now. `done` is called once, later.
  void drain(DrainMode mode, Time deadline, UniqueFunction<void()> done);
  // The mesh changed: incoming connections are checked again if policies did.
  void mesh_changed();

  [[nodiscard]] Worker& worker() const { return worker_; }
  [[nodiscard]] const Settings& settings() const { return settings_; }
  [[nodiscard]] hbone::Pool& pool() { return pool_; }
  [[nodiscard]] OpenConnections& connections() { return connections_; }
  // The decision for an incoming connection to this pod, as `local` and the mesh are now.
  [[nodiscard]] authz::Decision decide(const state::Workload& local,
                                       const authz::Connection& connection) const;
  // The workload this proxy serves; waits up to 5 s for the mesh to know it. Error:
  // kUnknownSourceWorkload.
  net::Task<Result<state::WorkloadPtr>> local_workload();
  // The source to dial the application from (SocketFactory::dial_local): the client's address where
  // the kernel lets us. Its port only for plaintext: a tunnel's says nothing of its streams, and is
  // no connection to the application.
  [[nodiscard]] std::optional<net::SocketAddress> spoofed_source(const net::SocketAddress& client,
                                                                 bool plaintext) const;

  // Who pays for what the pod's connections hold.
  [[nodiscard]] MemoryAccount& memory() const { return *settings_.memory; }
  // Why something new of this pod is refused because memory is short; it is counted. Nothing: it is
  // not. Never for ourselves: who watches us is to see it.
  [[nodiscard]] std::optional<Error> sheds(Shed what);
  // Says so in the log, at most once a second.
  void log_shed(Reporter reporter, const net::SocketAddress& source,
                const net::SocketAddress& destination, Error why);

  // Tunnels register here for graceful shutdown.
  void add_server(hbone::Server& server);
  void remove_server(hbone::Server& server);

 private:
  net::Task<Result<hbone::Pool::Dialled>> dial(hbone::TunnelKey key);
  void close_listeners();
  net::Task<> hand_over(Time deadline);
  net::Task<> finish_drain(DrainMode mode, Time deadline, UniqueFunction<void()> done);

  Worker& worker_;
  Settings settings_;
  bool inbound_transparent_, plaintext_transparent_;
  bool draining_ = false;
  uint64_t policy_version_ = 0;
  state::WorkloadPtr known_;        // the pod's workload as last seen
  state::WorkloadPtr checked_for_;  // what connections were checked for last
  OnceASecond shed_log_;
  OpenConnections connections_;
  hbone::Pool pool_;
  std::vector<hbone::Server*> servers_;
  std::vector<std::unique_ptr<net::Listener>> listeners_;
  net::Scope accepted_;  // a task per accepted socket; dies before what it uses
  net::Scope control_;
};

}  // namespace culvert::ztunnel
