#include "ztunnel/app.h"

#include "common/admin/endpoints.h"
#include "common/admin/version.h"
#include "common/base/log.h"
#include "common/ca/certificates_json.h"
#include "common/ca/dev_ca.h"
#include "common/config/state_json.h"
#include "common/metrics/process.h"
#include "common/net/ask.h"
#include "ztunnel/admin.h"
#include "ztunnel/inpod/capabilities.h"

#include <fmt/format.h>

#include <chrono>
#include <csignal>
#include <random>
#include <set>

#include <nlohmann/json.hpp>

namespace culvert::ztunnel {
namespace {

const log::Target kLog{"app"};

net::NetnsPtr own_netns() {
  auto own = net::Netns::current();
  return own ? *own : nullptr;
}

nlohmann::json connections_json(const std::vector<ConnectionInfo>& connections) {
  auto list = nlohmann::json::array();
  for (const ConnectionInfo& connection : connections)
    list.push_back(
        {{"src", connection.src},
         {"originalDst",
          connection.has_original_dst ? nlohmann::json(connection.original_dst) : nlohmann::json()},
         {"actualDst", connection.actual_dst},
         {"protocol", connection.protocol}});
  return list;
}

nlohmann::json kernel_json(const net::KernelFeatures& features) {
  auto json = nlohmann::json::object();
  for (const net::KernelFeature& one : features)
    json[std::string(one.name)] = {
        {"available", one.available}, {"used", one.used}, {"reason", one.reason}};
  return json;
}

// Counters only grow: adds what is missing to `value`.
void set_counter(metrics::Counter& counter, uint64_t value) {
  counter.add(value - counter.value());
}

std::string milliseconds(Duration duration) {
  return fmt::format("{} ms",
                     std::chrono::duration_cast<std::chrono::milliseconds>(duration).count());
}

}  // namespace

App::App(Config config)
    : config_(std::move(config)),
      kernel_(net::probe_kernel_features()),
      memory_(config_.memory),
      store_(config_.mesh.node.value_or("")) {
  // Before any thread exists, so that all inherit the mask.
  signals_ = std::make_unique<net::Signals>(control_, std::initializer_list<int>{SIGTERM, SIGINT},
                                            [this](int signal) {
                                              if (signal == SIGINT && draining_)
                                                std::_Exit(0);  // the second ^C means now
                                              drain(signal == SIGINT ? "SIGINT" : "SIGTERM");
                                            });
  std::signal(SIGPIPE, SIG_IGN);
}

App::~App() {
  http_.stop(std::chrono::milliseconds(0));
  for (auto& worker : workers_) worker->stop();
}

// ---- start, in this order; any failure ends the process

Result<> App::start() {
  kLog.info("kernel: {}", net::describe(kernel_));
  families_ = std::make_unique<MetricFamilies>(registry_, config_.mode == ProxyMode::kShared);
  metrics::register_process_metrics(registry_);
  metrics::register_memory_metrics(registry_, memory_.process(), config_.http2.stream_window);
  memory_.register_metrics(registry_);
  mesh_ready_ = readiness_.register_task("state manager");
  proxy_ready_ = readiness_.register_task("proxy");
  if (config_.mode == ProxyMode::kShared)
    manager_ready_ = readiness_.register_task("workload proxy manager");

  if (auto opened = open_ca(); !opened) return opened;
  credentials_ = std::make_unique<CredentialSource>(control_, *signer_);
  for (unsigned i = 0; i < config_.worker_threads; ++i)
    workers_.push_back(
        std::make_unique<Worker>(i, config_, registry_, *families_, *credentials_, memory_));
  for (auto& worker : workers_) credentials_->add_worker(worker->credentials);
  proxies_ = std::make_unique<WorkerProxies>(control_, config_, memory_, workers_, own_netns());
  control_shard_ = &registry_.make_shard();
  metrics::Shard& shard = *control_shard_;
  shard.gauge(families_->build, shard.labels(families_->build, {"ztunnel", config_.istio_version}))
      .set(1);
  shard.gauge(families_->development_ca).set(config_.ca.local_dir ? 1 : 0);

  if (auto served = start_admin(); !served) return served;
  memory_watch_ = std::make_unique<net::MemoryWatch>(control_, memory_.process());
  for (auto& worker : workers_) worker->start();
  if (auto loaded = load_mesh(); !loaded) return loaded;
  return start_proxies();
}

Result<> App::open_ca() {
  if (!config_.ca.local_dir)
    return invalid(
        "no certificate authority: set LOCAL_CA_DIR to a folder for a development CA (this build "
        "does not fetch certificates from CA_ADDRESS)");
  auto opened = ca::DevCa::open(
      *config_.ca.local_dir,
      {.ttl = std::chrono::duration_cast<std::chrono::seconds>(config_.ca.secret_ttl)});
  if (!opened) return opened.error();
  signer_ = std::move(*opened);
  return {};
}

Result<> App::start_admin() {
  auto admin = std::make_shared<admin::Site>();
  auto stats = std::make_shared<admin::Site>();
  auto readiness = std::make_shared<admin::Site>();
  AdminCallbacks callbacks;
  callbacks.quit = [this] { control_.post([this] { drain("POST /quitquitquit"); }); };
  callbacks.default_filter = config_.logging.filter;
  auto& sections = callbacks.sections;
  using Write = void (*)(const state::Snapshot&, config::JsonText&);
  const auto mesh = [this](Write write) {
    return [this, write](config::JsonText& out) {
      const auto snapshot = net::ask<state::SnapshotPtr>(
          control_, [this](const std::function<void(state::SnapshotPtr)>& reply) {
            reply(store_.current());
          });
      if (snapshot == nullptr) return out.value(nullptr);
      write(*snapshot, out);
    };
  };
  sections["workloads"] = mesh(config::write_workloads);
  sections["services"] = mesh(config::write_services);
  sections["policies"] = mesh(config::write_policies);
  sections["stagedServices"] = mesh(config::write_staged_services);
  sections["staticConfig"] = [this](config::JsonText& out) {
    write_static_config(config_.xds, out);
  };
  const auto small = [](auto value) {
    return [value](config::JsonText& out) { out.value(value()); };
  };
  sections["config"] = small([this] { return config_.to_json(); });
  sections["version"] =
      small([this] { return admin::Version::of(config_.istio_version).to_json(); });
  sections["kernelFeatures"] = small([this] { return kernel_json(kernel_); });
  sections["certificates"] = small([this] {
    using Entries = std::vector<ca::CertManager::Entry>;
    return ca::certificates_json(net::ask<Entries>(
        control_,
        [this](const std::function<void(Entries)>& reply) { reply(credentials_->entries()); }));
  });
  if (config_.mode == ProxyMode::kShared)
    sections["workloadState"] = small([this] { return workload_state(); });
  add_admin_endpoints(*admin, std::move(callbacks));
  admin::add_stats_endpoints(*stats, registry_);
  admin::add_readiness_endpoints(*readiness, readiness_);

  const auto serve = [this](const ListenAddress& where, const std::shared_ptr<admin::Site>& site) {
    for (const auto& address : where.all())
      if (auto bound = http_.listen(address, site); !bound) return Result<>(bound.error());
    return Result<>();
  };
  if (auto bound = serve(config_.listeners.readiness, readiness); !bound) return bound;
  if (auto bound = serve(config_.listeners.admin, admin); !bound) return bound;
  if (auto bound = serve(config_.listeners.stats, stats); !bound) return bound;
  http_.start();
  return {};
}

Result<> App::load_mesh() {
  if (!config_.xds.local_path && !config_.xds.local_inline)
    return invalid(
        "no source for the mesh's state: set LOCAL_XDS_PATH to a local file (this build does not "
        "speak xDS to XDS_ADDRESS)");
  local_mesh_ = std::make_unique<LocalMesh>(
      store_, [this](const state::SnapshotPtr& snapshot) { publish(snapshot); },
      [this] { control_shard_->counter(families_->config_rejected).add(); });
  auto loaded = config_.xds.local_path ? local_mesh_->load_file(control_, *config_.xds.local_path)
                                       : local_mesh_->load_text(*config_.xds.local_inline);
  if (loaded) mesh_ready_.done();
  return loaded;
}

void App::publish(const state::SnapshotPtr& snapshot) {
  control_shard_->counter(families_->config_loads).add();
  proxies_->publish(snapshot);
  // Certificates of this node's workloads are fetched before their first connection asks, and
  // forgotten with the last workload of their identity.
  if (config_.mode != ProxyMode::kShared || !config_.mesh.node) return;
  std::set<state::Identity> local;
  for (const state::Workload* workload : snapshot->local_workloads()) {
    const auto [identity, is_new] = local.insert(workload->identity());
    if (workload->native_tunnel() || workload->protocol() == state::Protocol::kHbone)
      credentials_->prefetch(*identity);
  }
  credentials_->keep_only(local);
}

Result<> App::start_proxies() {
  const auto failed = [this](const char* what, const Error& error) {
    kLog.error("{}: {}", what, error.message());
    failed_ = true;
    drain(what);
  };
  if (config_.mode == ProxyMode::kDedicated) {
    const PodInfo& pod = *config_.proxy_workload;
    proxies_->start("dedicated", pod, nullptr, [this, failed](const Result<>& started) {
      if (!started) return failed("cannot start the proxy", started.error());
      proxy_ready_.done();
    });
    return {};
  }
  if (auto capable = inpod::verify_capabilities(); !capable) return capable;
  if (config_.own_workload)
    proxies_->start_self(*config_.own_workload, [failed](const Result<>& started) {
      if (!started) failed("cannot serve our own metrics over HBONE", started.error());
    });
  manager_ = make_manager();
  manager_->start();
  proxy_ready_.done();
  return {};
}

std::unique_ptr<inpod::WorkloadManager> App::make_manager() {
  inpod::WorkloadManager::Callbacks callbacks;
  callbacks.ready = [this](bool ready) {
    if (ready)
      manager_ready_.done();
    else if (!draining_)
      manager_ready_ = readiness_.register_task("workload proxy manager");
  };
  callbacks.counts = [this](const inpod::StateManager::Counts& counts) {
    metrics::Shard& shard = *control_shard_;
    shard.gauge(families_->active_proxies).set(counts.active);
    shard.gauge(families_->pending_proxies).set(counts.pending);
    set_counter(shard.counter(families_->proxies_started), counts.started);
    set_counter(shard.counter(families_->proxies_stopped), counts.stopped);
  };
  auto engine = std::make_shared<std::minstd_rand>(std::random_device{}());
  callbacks.jitter = [engine] { return std::uniform_real_distribution<double>(-1, 1)(*engine); };
  inpod::WorkloadManager::Options options;
  options.path = config_.inpod.uds;
  return std::make_unique<inpod::WorkloadManager>(control_, *proxies_, std::move(options),
                                                  std::move(callbacks));
}

// ---- the admin thread's questions

nlohmann::json App::workload_state() {
  struct State {
    std::vector<inpod::StateManager::PodView> pods;
    WorkerProxies::Connections connections;
  };
  const auto state = net::ask<State>(control_, [this](std::function<void(State)> reply) {
    proxies_->connections([this, reply = std::move(reply)](WorkerProxies::Connections open) {
      reply({manager_ == nullptr ? std::vector<inpod::StateManager::PodView>() : manager_->view(),
             std::move(open)});
    });
  });
  auto json = nlohmann::json::object();
  for (const auto& pod : state.pods) {
    const bool up = pod.state == inpod::StateManager::PodState::kUp;
    auto& entry = json[pod.uid];
    entry["state"] = up ? "Up" : "Pending";
    entry["info"] = {{"name", pod.info.name},
                     {"namespace", pod.info.namespace_},
                     {"serviceAccount", pod.info.service_account}};
    const auto open = state.connections.find(pod.uid);
    if (up && open != state.connections.end())
      entry["connections"] = {{"inbound", connections_json(open->second.first)},
                              {"outbound", connections_json(open->second.second)}};
  }
  return json;
}

// ---- run and end

bool App::run() {
  control_.run();
  for (auto& worker : workers_) worker->stop();
  http_.stop(std::chrono::seconds(1));
  return !failed_;
}

void App::drain(const char* reason) {
  if (draining_) return;
  draining_ = true;
  drain_started_ = Clock::now();
  kLog.info("{}: drain started, waiting at most {} for connections to end", reason,
            milliseconds(config_.termination_deadline));
  auto finish = [this] {
    kLog.info("shutdown complete after {}", milliseconds(Clock::now() - drain_started_));
    control_.stop();
  };
  const bool dedicated = config_.mode == ProxyMode::kDedicated;
  auto stop_self = [this, finish] { proxies_->stop("self", DrainMode::kImmediate, finish); };
  if (dedicated)
    proxies_->stop("dedicated", DrainMode::kGraceful, finish);
  else if (manager_ != nullptr)
    manager_->drain(stop_self);
  else
    stop_self();
}

}  // namespace culvert::ztunnel
