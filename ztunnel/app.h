#pragma once

#include "common/admin/http_server.h"
#include "common/admin/readiness.h"
#include "common/ca/signer.h"
#include "common/metrics/registry.h"
#include "common/net/kernel_features.h"
#include "common/net/memory_watch.h"
#include "common/net/netns.h"
#include "common/net/reactor.h"
#include "common/net/signals.h"
#include "common/state/store.h"
#include "ztunnel/config.h"
#include "ztunnel/credentials.h"
#include "ztunnel/inpod/manager.h"
#include "ztunnel/local_mesh.h"
#include "ztunnel/memory.h"
#include "ztunnel/metrics.h"
#include "ztunnel/worker_proxies.h"

#include <memory>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace culvert::ztunnel {

// The node proxy, wired together: who owns what, and in which order it starts and stops. The
// constructing thread is the control thread.
//   control  mesh state, certificates, the CNI agent, signals
//   workers  everything a byte passes
//   admin    /config_dump, metrics, readiness
class App {
 public:
  explicit App(Config config);
  ~App();
  App(const App&) = delete;
  App& operator=(const App&) = delete;

  // Starts everything. Error: why the process cannot run.
  Result<> start();
  // Serves until a signal (SIGTERM, SIGINT) or /quitquitquit has drained it.
  // False when it ended because something failed.
  bool run();

 private:
  Result<> open_ca();
  Result<> start_admin();
  Result<> load_mesh();
  Result<> start_proxies();
  std::unique_ptr<inpod::WorkloadManager> make_manager();
  void publish(const state::SnapshotPtr& snapshot);
  nlohmann::json workload_state();
  void drain(const char* reason);

  Config config_;
  const net::KernelFeatures kernel_;
  net::Reactor control_;
  std::unique_ptr<net::Signals> signals_;
  Memory memory_;
  metrics::Registry registry_;
  std::unique_ptr<MetricFamilies> families_;
  metrics::Shard* control_shard_ = nullptr;  // what the control thread counts
  admin::Readiness readiness_;
  admin::Readiness::Token mesh_ready_, proxy_ready_, manager_ready_;
  state::Store store_;
  std::unique_ptr<ca::Signer> signer_;
  std::unique_ptr<CredentialSource> credentials_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<WorkerProxies> proxies_;
  std::unique_ptr<LocalMesh> local_mesh_;
  std::unique_ptr<inpod::WorkloadManager> manager_;
  std::unique_ptr<net::MemoryWatch> memory_watch_;
  admin::HttpServer http_;
  bool draining_ = false;
  bool failed_ = false;
  Time drain_started_{};
};

}  // namespace culvert::ztunnel
