#include "ztunnel/passthrough.h"

#include "common/net/original_dst.h"
#include "ztunnel/connection_record.h"
#include "ztunnel/errors.h"
#include "ztunnel/guarded_relay.h"
#include "ztunnel/inbound_target.h"
#include "ztunnel/reset_if_cut.h"
#include "ztunnel/socket_gauge.h"

#include <cerrno>
#include <chrono>
#include <memory>

namespace culvert::ztunnel {
namespace {

constexpr auto kConnectTimeout = std::chrono::seconds(10);

// From the client's address, with a port that none of its own connections has.
net::Task<Result<std::unique_ptr<net::Socket>>> dial_application(PodProxy& proxy,
                                                                 net::SocketAddress target,
                                                                 net::SocketAddress client) {
  const Time deadline = Clock::now() + kConnectTimeout;
  auto source = proxy.spoofed_source(client, true);
  for (;;) {
    auto fd = proxy.settings().sockets.dial_local(target.ip, source);
    if (!fd) co_return fd.error();
    auto server =
        co_await net::Socket::connect(proxy.worker().reactor, std::move(*fd), target, deadline);
    const bool taken = !server && server.error().code.value() == EADDRNOTAVAIL;
    if (!taken || !source || source->port == 0) co_return server;
    source->port = 0;  // whichever the kernel finds
  }
}

}  // namespace

net::Task<> serve_passthrough(PodProxy& proxy, net::Fd given, net::SocketAddress client) {
  ResetUnlessServed accepted(std::move(given));
  Worker& worker = proxy.worker();
  const Time started = Clock::now();
  const SocketGauge open(worker.traffic, Reporter::kDestination);
  const net::SocketAddress target = net::original_destination(accepted.get());
  const auto deny = [&](const Error& error) {
    log_early_deny(Reporter::kDestination, client, target, error);
  };
  if (worker.config.listeners.illegal_ports.contains(target.port))
    co_return deny(Error(Errc::kSelfCall));
  const auto local = co_await proxy.local_workload();
  if (!local) co_return deny(local.error());

  const auto mesh = worker.mesh.current();
  const auto services = services_of(*mesh, **local);
  ConnectionFacts facts{
      .reporter = Reporter::kDestination,
      .source = client,
      .destination = target,
      .source_workload = mesh->workload_by_address(worker.config.mesh.network, client.ip),
      .destination_workload = *local,
      .service = guess_inbound_service(services, std::nullopt, target.port, **local)};
  OpenConnections::Entry entry(proxy.connections(), true, {.client = client, .dialled = target});
  ConnectionRecord record(worker.traffic, std::move(facts), started);
  entry.guard(nullptr);
  const auto decision = proxy.decide(**local, entry.connection());
  if (!decision.allowed())
    co_return record.finish(Error(Errc::kPolicyRejection, decision.reason()));

  auto server = co_await dial_application(proxy, target, client);
  if (!server) co_return record.finish(Error(Errc::kConnectionFailed, server.error().message()));
  if (entry.revoked()) co_return record.finish(Error(Errc::kPolicyChange));
  net::Socket socket(worker.reactor, accepted.take());
  ResetIfCut client_guard(socket), server_guard(**server);
  net::Relay relay(socket, **server, worker.buffers.input_bytes(), worker.pipes, proxy.memory(),
                   record.received(), record.sent());
  const Error error = co_await run_guarded(relay, entry);
  if (error.code != Errc::kPolicyChange) {
    client_guard.ended();
    server_guard.ended();
  }
  record.finish(error);
}

}  // namespace culvert::ztunnel
