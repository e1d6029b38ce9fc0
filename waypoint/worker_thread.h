#pragma once

#include "common/metrics/registry.h"
#include "common/net/fd.h"
#include "common/net/scope.h"
#include "waypoint/request/proxy.h"
#include "waypoint/telemetry/telemetry.h"
#include "waypoint/tunnel/tunnel_server.h"
#include "waypoint/upstream/connector.h"
#include "waypoint/worker.h"

#include <memory>
#include <thread>

namespace culvert::waypoint {

// One data-plane thread and everything it owns. The control thread makes it, tells it things, and
// ends it; every call but the constructor's and stop() is a message to the thread.
class WorkerThread {
 public:
  // `listening`: this worker's socket of port 15008; what comes waits in its queue until start().
  // `registry`, `families` and `memory` outlive it.
  WorkerThread(unsigned index, const MetricFamilies& families, metrics::Registry& registry,
               MemoryAccount& memory, net::Fd listening);
  ~WorkerThread();
  WorkerThread(const WorkerThread&) = delete;
  WorkerThread& operator=(const WorkerThread&) = delete;

  void start();
  void set_model(ModelPtr model);
  void set_credential(tls::CredentialPtr credential);

  // See TunnelServer. `done` runs on the worker's thread.
  void drain();
  void stop_accepting();
  void finish(Time deadline, UniqueFunction<void(size_t)> done);
  // Ends the thread, and with it whatever is still open.
  void stop();

 private:
  // The thread's alone while it runs; each needs those before it.
  struct Parts {
    Parts(const MetricFamilies& families, metrics::Shard& shard, MemoryAccount& memory,
          net::Fd listening);
    Worker worker;
    Telemetry telemetry;
    Connector connector;
    Proxy proxy;
    TunnelServer server;
    net::Scope ending;
  };

  unsigned index_;
  std::unique_ptr<Parts> parts_;
  std::thread thread_;
};

}  // namespace culvert::waypoint
