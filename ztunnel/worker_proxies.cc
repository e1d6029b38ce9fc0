#include "ztunnel/worker_proxies.h"

#include "common/base/log.h"
#include "common/net/countdown.h"

#include <fcntl.h>

#include <chrono>
#include <system_error>

namespace culvert::ztunnel {
namespace {

const log::Target kLog{"proxy"};

net::Fd duplicate(const net::Fd& fd) {
  return net::Fd(fd ? ::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0) : -1);
}

}  // namespace

WorkerProxies::WorkerProxies(net::Reactor& control, const Config& config, Memory& memory,
                             std::vector<std::unique_ptr<Worker>>& workers, net::NetnsPtr home)
    : control_(control),
      config_(config),
      memory_(memory),
      workers_(workers),
      home_(std::move(home)) {}

net::SocketFactoryOptions WorkerProxies::socket_options(bool self) const {
  using std::chrono::duration_cast, std::chrono::seconds;
  net::SocketFactoryOptions options;
  const bool shared = config_.mode == ProxyMode::kShared;
  if (!self) options.mark = config_.sockets.packet_mark;
  options.reuse_port = shared && !self && config_.inpod.port_reuse;
  options.ipv6 = config_.ipv6;
  options.keepalive = {.enabled = config_.sockets.keepalive,
                       .time = duration_cast<seconds>(config_.sockets.keepalive_time),
                       .interval = duration_cast<seconds>(config_.sockets.keepalive_interval),
                       .retries = config_.sockets.keepalive_retries,
                       .user_timeout = config_.sockets.user_timeout};
  return options;
}

Result<std::vector<PodProxy::Listeners>> WorkerProxies::listen(const net::SocketFactory& sockets,
                                                               bool self) {
  using Transparent = net::SocketFactory::Transparent;
  Transparent transparent = Transparent::kTry;
  if (config_.sockets.original_source)
    transparent = *config_.sockets.original_source ? Transparent::kRequire : Transparent::kNo;
  if (self) transparent = Transparent::kNo;
  const bool share = !socket_options(self).reuse_port;
  std::vector<PodProxy::Listeners> sets;
  for (size_t i = 0; i < workers_.size(); ++i) {
    PodProxy::Listeners set;
    if (share && i > 0) {
      // One port, one socket: every worker watches it, and whoever is free accepts.
      set = {duplicate(sets[0].outbound), duplicate(sets[0].inbound),
             duplicate(sets[0].inbound_plaintext), sets[0].inbound_transparent,
             sets[0].plaintext_transparent};
      sets.push_back(std::move(set));
      continue;
    }
    auto inbound = sockets.listen(config_.listeners.inbound.port, transparent, false);
    if (!inbound) return inbound.error();
    set.inbound = std::move(inbound->fd);
    set.inbound_transparent = inbound->transparent;
    if (!self) {
      auto plaintext = sockets.listen(config_.listeners.inbound_plaintext.port, transparent, true);
      if (!plaintext) return plaintext.error();
      set.inbound_plaintext = std::move(plaintext->fd);
      set.plaintext_transparent = plaintext->transparent;
      auto outbound = sockets.listen(config_.listeners.outbound.port, transparent, true);
      if (!outbound) return outbound.error();
      set.outbound = std::move(outbound->fd);
    }
    if (i == 0) {
      const auto note = [&](const char* component, uint16_t port, bool is_transparent) {
        kLog.write(log::Level::kInfo, "listener established",
                   {log::bare("address", net::SocketAddress{config_.ipv6 ? net::IpAddress::any_v6()
                                                                         : net::IpAddress::any_v4(),
                                                            port}
                                             .to_string()),
                    log::str("component", component),
                    {"transparent", is_transparent ? "true" : "false", log::Field::Kind::kBool}});
      };
      note("inbound", config_.listeners.inbound.port, set.inbound_transparent);
      if (!self) {
        note("inbound plaintext", config_.listeners.inbound_plaintext.port,
             set.plaintext_transparent);
        note("outbound", config_.listeners.outbound.port, set.plaintext_transparent);
      }
    }
    sets.push_back(std::move(set));
  }
  return sets;
}

void WorkerProxies::start_on_workers(PodProxy::Settings settings,
                                     std::vector<PodProxy::Listeners> listeners, Done done) {
  const uint64_t id = next_id_++;
  running_[settings.uid] = id;
  auto finish = [this, uid = settings.uid, done = std::move(done)](const Result<>& result) mutable {
    if (result) return done({});
    stop(uid, DrainMode::kImmediate,
         [done = std::move(done), error = result.error()]() mutable { done(std::move(error)); });
  };
  auto countdown = std::make_shared<net::Countdown>(control_, workers_.size(), std::move(finish));
  for (size_t i = 0; i < workers_.size(); ++i) {
    Worker& worker = *workers_[i];
    worker.reactor.post(
        [&worker, id, settings, set = std::move(listeners[i]), countdown]() mutable {
          try {
            worker.proxies[id] =
                std::make_unique<PodProxy>(worker, std::move(settings), std::move(set));
            net::Countdown::report(countdown);
          } catch (const std::system_error& error) {
            net::Countdown::report(countdown, Error(error.code(), "cannot start the proxy"));
          }
        });
  }
}

void WorkerProxies::start(const std::string& uid, const PodInfo& pod, net::NetnsPtr netns,
                          Done done) {
  const net::SocketFactory sockets(socket_options(false), std::move(netns), home_);
  std::shared_ptr<Handover> handover;
  if (socket_options(false).reuse_port)
    handover = std::make_shared<Handover>(workers_.size(),
                                          sockets.listening(config_.listeners.inbound.port));
  auto listeners = listen(sockets, false);
  if (!listeners) return done(listeners.error());
  start_on_workers({.uid = uid,
                    .pod = pod,
                    .sockets = sockets,
                    .memory = memory_.workload(pod),
                    .handover = std::move(handover)},
                   std::move(*listeners), std::move(done));
}

void WorkerProxies::start_self(const PodInfo& pod, Done done) {
  const net::SocketFactory sockets(socket_options(true), nullptr, home_);
  auto listeners = listen(sockets, true);
  if (!listeners) return done(listeners.error());
  start_on_workers({.uid = "self",
                    .pod = pod,
                    .sockets = sockets,
                    .memory = memory_.workload(pod),
                    .self = true},
                   std::move(*listeners), std::move(done));
}

void WorkerProxies::stop(const std::string& uid, DrainMode mode, UniqueFunction<void()> done) {
  const auto found = running_.find(uid);
  if (found == running_.end()) return done();
  const uint64_t id = found->second;
  running_.erase(found);
  const Time deadline =
      Clock::now() + std::chrono::duration_cast<Duration>(config_.termination_deadline);
  auto countdown = std::make_shared<net::Countdown>(
      control_, workers_.size(), [done = std::move(done)](const Result<>&) mutable { done(); });
  for (auto& owned : workers_) {
    Worker& worker = *owned;
    worker.reactor.post([&worker, id, mode, deadline, countdown] {
      const auto proxy = worker.proxies.find(id);
      if (proxy == worker.proxies.end() || proxy->second == nullptr) {
        worker.proxies.erase(id);
        return net::Countdown::report(countdown);
      }
      proxy->second->drain(mode, deadline, [&worker, id, countdown] {
        worker.proxies.erase(id);
        net::Countdown::report(countdown);
      });
    });
  }
}

void WorkerProxies::publish(const state::SnapshotPtr& snapshot) {
  for (auto& owned : workers_) {
    Worker& worker = *owned;
    worker.reactor.post([&worker, snapshot] {
      worker.mesh.set(snapshot);
      for (auto& [id, proxy] : worker.proxies) proxy->mesh_changed();
    });
  }
}

void WorkerProxies::connections(UniqueFunction<void(Connections)> done) {
  auto all = std::make_shared<Connections>();
  auto countdown = std::make_shared<net::Countdown>(
      control_, workers_.size(),
      [all, done = std::move(done)](const Result<>&) mutable { done(std::move(*all)); });
  for (auto& owned : workers_) {
    Worker& worker = *owned;
    worker.reactor.post([this, &worker, all, countdown] {
      Connections mine;
      for (const auto& [id, proxy] : worker.proxies)
        mine[proxy->settings().uid] = {proxy->connections().inbound(),
                                       proxy->connections().outbound()};
      control_.post([all, mine = std::move(mine)]() mutable {
        for (auto& [uid, lists] : mine) {
          auto& [inbound, outbound] = (*all)[uid];
          inbound.insert(inbound.end(), lists.first.begin(), lists.first.end());
          outbound.insert(outbound.end(), lists.second.begin(), lists.second.end());
        }
      });
      net::Countdown::report(countdown);
    });
  }
}

}  // namespace culvert::ztunnel
