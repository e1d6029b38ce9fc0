#include "ztunnel/pod_proxy.h"

#include "common/base/log.h"
#include "common/net/original_dst.h"
#include "common/state/errors.h"
#include "ztunnel/connection_record.h"
#include "ztunnel/errors.h"
#include "ztunnel/inbound.h"
#include "ztunnel/outbound.h"
#include "ztunnel/passthrough.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace culvert::ztunnel {
namespace {

const log::Target kLog{"proxy"};
// Longer than any handshake within a cluster takes.
constexpr auto kHandover = std::chrono::milliseconds(100);
constexpr auto kConnectTimeout = std::chrono::seconds(10);
constexpr auto kWorkloadTimeout = std::chrono::seconds(5);

hbone::PoolOptions pool_options(const Config& config) {
  hbone::PoolOptions options;
  options.max_streams = config.pool.max_streams_per_connection;
  options.unused_timeout =
      std::chrono::duration_cast<std::chrono::milliseconds>(config.pool.unused_release_timeout);
  options.settings.max_window = config.http2.stream_window;
  options.settings.connection_window = config.http2.connection_window;
  options.settings.max_frame_size = config.http2.frame_size;
  return options;
}

log::Level policy_level(const Config& config) {
  return config.logging.policy_at_info ? log::Level::kInfo : log::Level::kDebug;
}

}  // namespace

PodProxy::PodProxy(Worker& worker, Settings settings, Listeners listeners)
    : worker_(worker),
      settings_(std::move(settings)),
      inbound_transparent_(listeners.inbound_transparent),
      plaintext_transparent_(listeners.plaintext_transparent),
      connections_(settings_.uid, policy_level(worker.config)),
      pool_(worker.reactor, pool_options(worker.config), worker.buffers, *settings_.memory,
            [this](hbone::TunnelKey key) { return dial(std::move(key)); }),
      accepted_(worker.reactor),
      control_(worker.reactor) {
  using Serve = net::Task<> (*)(PodProxy&, net::Fd, net::SocketAddress);
  const auto listen = [this](net::Fd fd, Shed what, Reporter reporter, Serve serve) {
    if (!fd) return;
    listeners_.push_back(std::make_unique<net::Listener>(
        worker_.reactor, std::move(fd),
        [this, what, reporter, serve](net::Fd accepted, net::SocketAddress peer) {
          if (const auto why = sheds(what)) {
            log_shed(reporter, peer, net::original_destination(accepted.get()), *why);
            return net::close_with_reset(std::move(accepted));
          }
          accepted_.spawn(serve(*this, std::move(accepted), peer));
        }));
  };
  listen(std::move(listeners.inbound), Shed::kTunnel, Reporter::kDestination, serve_tunnel);
  listen(std::move(listeners.inbound_plaintext), Shed::kConnection, Reporter::kDestination,
         serve_passthrough);
  listen(std::move(listeners.outbound), Shed::kConnection, Reporter::kSource, serve_outbound);
}

PodProxy::~PodProxy() {
  listeners_.clear();
  control_.cancel();
  accepted_.cancel();
}

net::Task<Result<state::WorkloadPtr>> PodProxy::local_workload() {
  const PodInfo& pod = settings_.pod;
  auto workload = co_await worker_.mesh.wait_for(pod, Clock::now() + kWorkloadTimeout);
  if (workload == nullptr) {
    auto who = fmt::format("{}.{} ({})", pod.service_account, pod.namespace_, pod.name);
    kLog.warn("timed out waiting for workload '{}' from xds", who);
    co_return Error(state::Errc::kUnknownSourceWorkload, std::move(who));
  }
  known_ = workload;
  co_return workload;
}

std::optional<net::SocketAddress> PodProxy::spoofed_source(const net::SocketAddress& client,
                                                           bool plaintext) const {
  const bool transparent = plaintext ? plaintext_transparent_ : inbound_transparent_;
  if (settings_.self || !transparent) return std::nullopt;
  return net::SocketAddress{client.ip, plaintext ? client.port : uint16_t{0}};
}

authz::Decision PodProxy::decide(const state::Workload& local,
                                 const authz::Connection& connection) const {
  return check_policies(*worker_.mesh.current(), local, connection, policy_level(worker_.config));
}

net::Task<Result<hbone::Pool::Dialled>> PodProxy::dial(hbone::TunnelKey key) {
  auto credential = co_await worker_.credentials.get(key.source);
  if (!credential) co_return Error(Errc::kIdentity, credential.error().message());
  auto fd = settings_.sockets.dial(key.address.ip);
  if (!fd) co_return fd.error();
  auto socket = co_await net::Socket::connect(worker_.reactor, std::move(*fd), key.address,
                                              Clock::now() + kConnectTimeout);
  if (!socket) {
    if (socket.error().code.value() == ETIMEDOUT)
      co_return Error(Errc::kNetworkPolicy, socket.error().message());
    co_return Error(socket.error().code, "io error");
  }
  co_return hbone::Pool::Dialled{
      std::move(*socket),
      tls::Engine::client(worker_.tls, std::move(*credential), std::move(key.destination))};
}

std::optional<Error> PodProxy::sheds(Shed what) {
  return settings_.self ? std::nullopt : worker_.memory.shed(memory(), what);
}

void PodProxy::log_shed(Reporter reporter, const net::SocketAddress& source,
                        const net::SocketAddress& destination, Error why) {
  const auto more = shed_log_.left_out(worker_.reactor.now());
  if (!more) return;
  if (*more > 0)
    why.context += fmt::format(" ({} more were refused since this was said last)", *more);
  log_early_deny(reporter, source, destination, why);
}

void PodProxy::add_server(hbone::Server& server) {
  servers_.push_back(&server);
  if (draining_) server.drain();
}

void PodProxy::remove_server(hbone::Server& server) { std::erase(servers_, &server); }

void PodProxy::mesh_changed() {
  const auto& mesh = worker_.mesh.current();
  const PodInfo& pod = settings_.pod;
  auto local = mesh->local_workload(pod.name, pod.namespace_, pod.service_account);
  // A workload that left the mesh keeps its connections: the pod's removal is what ends them. Until
  // then policies go on to hold for what it was.
  if (local == nullptr) local = known_;
  if (local == nullptr) return;  // it never was there, so nothing was let in
  known_ = local;
  if (mesh->policy_version() == policy_version_ && local == checked_for_) return;
  policy_version_ = mesh->policy_version();
  checked_for_ = local;
  connections_.check_policies(*mesh, *local);
}

void PodProxy::drain(DrainMode mode, Time deadline, UniqueFunction<void()> done) {
  draining_ = true;
  control_.spawn(finish_drain(mode, deadline, std::move(done)));
}

void PodProxy::close_listeners() {
  // What the kernel has already accepted for us would be reset by closing the listener.
  for (auto& listener : listeners_) listener->accept_all();
  if (settings_.handover != nullptr && settings_.handover->last_to_close())
    for (auto& listener : listeners_) listener->divert_no_more();
  listeners_.clear();
}

net::Task<> PodProxy::hand_over(Time deadline) {
  const uint16_t port = worker_.config.listeners.inbound.port;  // it is the same on all of ours
  if (const auto heir = settings_.handover->heir(settings_.sockets.listening(port)))
    for (auto& listener : listeners_) listener->divert(*heir);
  net::Event never(worker_.reactor);
  co_await never.wait(std::min(deadline, Clock::now() + kHandover));
}

net::Task<> PodProxy::finish_drain(DrainMode mode, Time deadline, UniqueFunction<void()> done) {
  if (mode == DrainMode::kGraceful) {
    for (hbone::Server* server : servers_) server->drain();
    if (settings_.handover != nullptr) co_await hand_over(deadline);
  }
  close_listeners();
  if (mode == DrainMode::kGraceful) {
    if (!co_await accepted_.drained(deadline))
      kLog.warn("drain duration expired with {} pending connections of {}/{}, closing them",
                accepted_.size(), settings_.pod.namespace_, settings_.pod.name);
  }
  accepted_.cancel();
  pool_.drain();
  // What applications said last may still be on its way to a peer.
  if (mode == DrainMode::kGraceful) co_await pool_.drained(deadline);
  // The caller destroys this proxy, and with it this very task: not from inside it.
  worker_.reactor.post(std::move(done));
}

}  // namespace culvert::ztunnel
