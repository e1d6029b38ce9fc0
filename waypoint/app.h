#pragma once

#include "common/admin/http_server.h"
#include "common/admin/readiness.h"
#include "common/ca/cert_source.h"
#include "common/ca/signer.h"
#include "common/metrics/registry.h"
#include "common/net/memory_watch.h"
#include "common/net/reactor.h"
#include "common/net/signals.h"
#include "waypoint/config_file.h"
#include "waypoint/process_config.h"
#include "waypoint/telemetry/telemetry.h"
#include "waypoint/worker_thread.h"

#include <atomic>
#include <memory>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace culvert::waypoint {

// The waypoint, wired together: who owns what, and in which order it starts and stops. The
// constructing thread is the control thread.
//   control  the configuration file, our certificate, signals
//   workers  everything a byte passes
//   admin    ports 15000, 15020, 15021, 15090
class App {
 public:
  explicit App(ProcessConfig config);
  ~App();
  App(const App&) = delete;
  App& operator=(const App&) = delete;

  // Starts everything. Error: why the process cannot run. A configuration file that is missing or
  // bad is not one: the process is not ready until it is good.
  Result<> start();
  // Serves until a signal (SIGTERM, SIGINT) or /quitquitquit has drained it.
  void run();

 private:
  Result<> start_workers();
  Result<> bind_admin();
  void watch_config();
  Result<> take_model(const ModelPtr& model);
  void fetch_certificate();
  void take_certificate(const state::Identity& identity, const tls::CredentialPtr& credential);
  [[nodiscard]] nlohmann::json config_dump();
  [[nodiscard]] nlohmann::json server_info() const;
  [[nodiscard]] std::function<void()> on_control(UniqueFunction<void()> action);

  // Readiness ends, clients are told to go elsewhere.
  void begin_drain(const char* reason);
  void shut_down(const char* reason);
  void stop_accepting();
  void finished(size_t cut);

  ProcessConfig config_;
  Time started_;
  net::Reactor control_;
  std::unique_ptr<net::Signals> signals_;
  MemoryAccount memory_;
  metrics::Registry registry_;
  std::unique_ptr<MetricFamilies> families_;
  metrics::Shard* shard_ = nullptr;  // what the control thread counts
  admin::Readiness readiness_;
  admin::Readiness::Token configured_, certified_, listening_, drained_;
  std::unique_ptr<ca::Signer> signer_;
  std::unique_ptr<ca::CertSource> certificates_;
  std::vector<std::unique_ptr<WorkerThread>> workers_;
  std::unique_ptr<ConfigFile> file_;
  ModelPtr model_;  // in force
  std::unique_ptr<net::MemoryWatch> memory_watch_;
  admin::HttpServer http_;
  std::atomic<bool> draining_ = false;  // written by control, shown by admin
  bool ending_ = false;
  Time ending_since_{};
  size_t unfinished_ = 0;  // workers that still have something open
  size_t cut_ = 0;
  net::Timer accepting_ends_;
};

}  // namespace culvert::waypoint
