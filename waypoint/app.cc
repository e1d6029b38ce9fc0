#include "waypoint/app.h"

#include "common/admin/endpoints.h"
#include "common/admin/version.h"
#include "common/base/log.h"
#include "common/ca/certificates_json.h"
#include "common/ca/dev_ca.h"
#include "common/metrics/process.h"
#include "common/net/ask.h"
#include "common/net/socket_factory.h"
#include "waypoint/admin.h"
#include "waypoint/model_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <system_error>
#include <utility>

#include <nlohmann/json.hpp>

namespace culvert::waypoint {
namespace {

const log::Target kLog{"app"};
constexpr uint16_t kReadinessPort = 15021;
constexpr uint16_t kEnvoyStatsPort = 15090;
constexpr unsigned kNotReady = 503;  // what pilot-agent answers

int64_t milliseconds(Duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

}  // namespace

App::App(ProcessConfig config)
    : config_(std::move(config)),
      started_(Clock::now()),
      memory_("the process", config_.memory_budget),
      accepting_ends_(control_, [this] { stop_accepting(); }) {
  // Before any thread exists, so that all inherit the mask.
  signals_ = std::make_unique<net::Signals>(control_, std::initializer_list<int>{SIGTERM, SIGINT},
                                            [this](int signal) {
                                              if (signal == SIGINT && ending_)
                                                std::_Exit(0);  // the second ^C means now
                                              shut_down(signal == SIGINT ? "SIGINT" : "SIGTERM");
                                            });
  std::signal(SIGPIPE, SIG_IGN);
}

App::~App() {
  http_.stop(std::chrono::milliseconds(0));
  for (auto& worker : workers_) worker->stop();
}

// ---- start, in this order; any failure ends the process

Result<> App::start() {
  families_ = std::make_unique<MetricFamilies>(registry_);
  metrics::register_process_metrics(registry_);
  metrics::register_memory_metrics(registry_, memory_, h2::TunnelSettings().max_window);
  configured_ = readiness_.register_task("configuration");
  certified_ = readiness_.register_task("certificate");
  listening_ = readiness_.register_task("listeners");
  shard_ = &registry_.make_shard();
  shard_
      ->gauge(families_->build, shard_->labels(families_->build, {"proxy", config_.istio_version}))
      .set(1);
  shard_->gauge(families_->development_ca).set(1);

  auto opened = ca::DevCa::open(
      config_.ca_dir,
      {.ttl = std::chrono::duration_cast<std::chrono::seconds>(config_.secret_ttl)});
  if (!opened) return opened.error();
  signer_ = std::move(*opened);
  certificates_ = std::make_unique<ca::CertSource>(
      control_, *signer_,
      [this](const state::Identity& identity, const tls::CredentialPtr& credential) {
        take_certificate(identity, credential);
      });
  // First: a second process by mistake ends here, before clients come to it.
  if (auto bound = bind_admin(); !bound) return bound;
  if (auto started = start_workers(); !started) return started;
  http_.start();
  try {
    watch_config();
  } catch (const std::system_error& error) {
    return Error(error.code(), fmt::format("cannot watch {}", config_.config_path));
  }
  return {};
}

Result<> App::start_workers() {
  net::SocketFactoryOptions options;
  options.reuse_port = true;  // each worker has its own queue; the kernel spreads tunnels over them
  options.ipv6 = config_.ipv6;
  const net::SocketFactory sockets(options, nullptr, nullptr);
  for (unsigned i = 0; i < config_.worker_threads; ++i) {
    auto listener = sockets.listen(kHbonePort, net::SocketFactory::Transparent::kNo, true);
    if (!listener) return listener.error();
    try {
      workers_.push_back(std::make_unique<WorkerThread>(i, *families_, registry_, memory_,
                                                        std::move(listener->fd)));
    } catch (const std::system_error& error) {
      return Error(error.code(), "cannot start a worker");
    }
  }
  memory_watch_ = std::make_unique<net::MemoryWatch>(control_, memory_);
  for (auto& worker : workers_) worker->start();
  kLog.info("listening on port {} with {} workers", kHbonePort, workers_.size());
  listening_.done();
  return {};
}

Result<> App::bind_admin() {
  const auto admin = std::make_shared<admin::Site>();
  const auto agent = std::make_shared<admin::Site>();
  const auto readiness = std::make_shared<admin::Site>();
  const auto stats = std::make_shared<admin::Site>();
  const auto quit = on_control([this] { shut_down("POST /quitquitquit"); });
  AdminCallbacks callbacks;
  callbacks.config_dump = [this] { return config_dump(); };
  callbacks.server_info = [this] { return server_info(); };
  callbacks.state = [this] {
    if (draining_) return ServerState::kDraining;
    return readiness_.pending().empty() ? ServerState::kLive : ServerState::kPreInitializing;
  };
  callbacks.quit = quit;
  callbacks.drain_listeners = [this](bool graceful) {
    control_.post([this, graceful] {
      begin_drain("POST /drain_listeners");
      if (!graceful) stop_accepting();
    });
  };
  add_admin_endpoints(*admin, std::move(callbacks));
  add_agent_endpoints(*agent, quit, on_control([this] { begin_drain("POST /drain"); }));
  admin::add_stats_endpoints(*agent, registry_);
  admin::add_stats_endpoints(*stats, registry_);
  admin::add_readiness_endpoints(*agent, readiness_, kNotReady);
  admin::add_readiness_endpoints(*readiness, readiness_, kNotReady);

  const auto any = config_.ipv6 ? net::IpAddress::any_v6() : net::IpAddress::any_v4();
  std::vector<std::pair<net::SocketAddress, std::shared_ptr<admin::Site>>> ports{
      {{any, kReadinessPort}, readiness},
      {{any, config_.stats_port}, agent},
      {{any, kEnvoyStatsPort}, stats},
      {{net::IpAddress::loopback_v4(), config_.admin_port}, admin}};
  if (config_.ipv6_loopback)
    ports.push_back({{net::IpAddress::loopback_v6(), config_.admin_port}, admin});
  for (const auto& [address, site] : ports)
    if (auto bound = http_.listen(address, site); !bound) return bound.error();
  return {};
}

std::function<void()> App::on_control(UniqueFunction<void()> action) {
  const auto shared = std::make_shared<UniqueFunction<void()>>(std::move(action));
  return [this, shared] { control_.post([shared] { (*shared)(); }); };
}

// ---- what we are told, and who we are

void App::watch_config() {
  file_ = std::make_unique<ConfigFile>(
      control_, config_.config_path, config_.self,
      [this](const ModelPtr& model) { return take_model(model); },
      [this] { shard_->counter(families_->config_rejected).add(); });
  file_->load();
}

Result<> App::take_model(const ModelPtr& model) {
  const state::Identity identity = model->self().identity();
  // Tunnels, certificates and policies of others name it: a change is a restart.
  if (model_ != nullptr && identity != model_->self().identity()) {
    return invalid(fmt::format("waypoint: we are {}; to become {} the process must be restarted",
                               model_->self().identity().to_string(), identity.to_string()));
  }
  const bool first = model_ == nullptr;
  model_ = model;
  for (auto& worker : workers_) worker->set_model(model);
  shard_->counter(families_->config_loads).add();
  if (!first) return {};
  if (config_.identity_given && identity != config_.self.identity()) {
    kLog.warn("the configuration file makes us {}, the environment {}: the file wins",
              identity.to_string(), config_.self.identity().to_string());
  }
  configured_.done();
  fetch_certificate();
  return {};
}

void App::fetch_certificate() {
  certificates_->fetch(model_->self().identity(), ca::Priority::kRealTime,
                       [](const Result<tls::CredentialPtr>& result) {
                         if (result) return;  // on_update delivers it
                         kLog.error("no certificate yet, trying again: {}",
                                    result.error().message());
                       });
}

void App::take_certificate(const state::Identity& identity, const tls::CredentialPtr& credential) {
  if (credential == nullptr) return;
  kLog.info("certificate for {}", identity.to_string());
  for (auto& worker : workers_) worker->set_credential(credential);
  if (certified_) certified_.done();
}

nlohmann::json App::config_dump() {
  struct Answer {
    ModelPtr model;
    std::vector<ca::CertManager::Entry> certificates;
  };
  const auto answer = net::ask<Answer>(control_, [this](const std::function<void(Answer)>& reply) {
    reply({model_, certificates_->entries()});
  });
  nlohmann::json dump =
      answer.model == nullptr ? nlohmann::json::object() : model_json(*answer.model);
  dump["certificates"] = ca::certificates_json(answer.certificates);
  dump["version"] = admin::Version::of(config_.istio_version).to_json();
  return dump;
}

nlohmann::json App::server_info() const {
  const auto uptime = std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - started_);
  const std::string node =
      fmt::format("waypoint~{}~{}.{}~{}.svc.{}", config_.instance_ip, config_.pod_name,
                  config_.self.namespace_, config_.self.namespace_, config_.self.cluster_domain);
  return {{"version", admin::Version::of(config_.istio_version).line()},
          {"uptime_current_epoch", fmt::format("{}s", uptime.count())},
          {"uptime_all_epochs", fmt::format("{}s", uptime.count())},
          {"command_line_options", {{"concurrency", config_.worker_threads}}},
          {"node", {{"id", node}}}};
}

// ---- run and end

void App::run() {
  control_.run();
  for (auto& worker : workers_) worker->stop();
  http_.stop(std::chrono::seconds(1));
}

void App::begin_drain(const char* reason) {
  if (draining_) return;
  draining_ = true;
  kLog.info("{}: draining", reason);
  drained_ = readiness_.register_task("draining");
  for (auto& worker : workers_) worker->drain();
}

void App::shut_down(const char* reason) {
  if (ending_) return;
  ending_ = true;
  ending_since_ = Clock::now();
  begin_drain(reason);
  const std::string longest =
      config_.drain.until_idle
          ? "until all connections have ended"
          : fmt::format("for at most {} ms", milliseconds(config_.drain.duration));
  kLog.info("{}: shutting down, taking new connections for {} ms more, waiting {}", reason,
            milliseconds(config_.drain.accepting), longest);
  // Clients learn with some delay that we are going: the endpoint must leave the service first.
  accepting_ends_.arm_at(ending_since_ +
                         std::chrono::duration_cast<Duration>(config_.drain.accepting));
}

void App::stop_accepting() {
  for (auto& worker : workers_) worker->stop_accepting();
  if (!ending_) return;
  const Time deadline =
      config_.drain.until_idle
          ? kNever
          : ending_since_ + std::chrono::duration_cast<Duration>(config_.drain.duration);
  unfinished_ = workers_.size();
  for (auto& worker : workers_) {
    worker->finish(deadline, [this](size_t cut) { control_.post([this, cut] { finished(cut); }); });
  }
}

void App::finished(size_t cut) {
  cut_ += cut;
  if (--unfinished_ > 0) return;
  if (cut_ > 0) kLog.warn("{} tunnels were still open and have been cut", cut_);
  kLog.info("shutdown complete after {} ms", milliseconds(Clock::now() - ending_since_));
  control_.stop();
}

}  // namespace culvert::waypoint
