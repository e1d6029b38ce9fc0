#pragma once

#include "common/h2/connection.h"
#include "common/metrics/registry.h"
#include "common/net/reactor.h"
#include "common/net/scope.h"
#include "common/state/balance.h"
#include "common/tls/context.h"
#include "ztunnel/config.h"
#include "ztunnel/credentials.h"
#include "ztunnel/memory.h"
#include "ztunnel/mesh_view.h"
#include "ztunnel/metrics.h"

#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace culvert::ztunnel {

class PodProxy;

// One data-plane thread and everything it owns: its loop, its view of the mesh, its certificates,
// its scratch memory, its metrics, its share of every pod's proxy. What workers share and change
// is the count of held memory and the queues of messages and of log lines.
class Worker {
 public:
  Worker(unsigned index, const Config& config, metrics::Registry& registry,
         const MetricFamilies& families, CredentialSource& source, Memory& memory);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void start();
  // After every proxy has stopped: ends the thread.
  void stop();

  // ---- on the worker's thread only
  net::Reactor reactor;
  MeshView mesh;
  Credentials credentials;
  tls::Context tls;
  h2::Buffers buffers;
  net::PipePool pipes;
  TrafficMetrics traffic;
  std::unique_ptr<state::Random> random;
  // By an id that App gives, as one pod may have an old proxy draining beside its new one.
  std::unordered_map<uint64_t, std::unique_ptr<PodProxy>> proxies;

  Memory& memory;
  const Config& config;

 private:
  unsigned index_;
  std::thread thread_;
};

}  // namespace culvert::ztunnel
