#include "ztunnel/outbound.h"

#include "common/hbone/connect.h"
#include "common/hbone/relay.h"
#include "common/net/original_dst.h"
#include "ztunnel/connection_record.h"
#include "ztunnel/errors.h"
#include "ztunnel/reset_if_cut.h"
#include "ztunnel/route.h"
#include "ztunnel/socket_gauge.h"

#include <chrono>

namespace culvert::ztunnel {
namespace {

constexpr auto kConnectTimeout = std::chrono::seconds(10);
// Certificate, connect, handshakes and the far side's own connect together: each has its own,
// shorter limit.
constexpr auto kTunnelTimeout = std::chrono::seconds(60);

Error outcome_error(net::RelayOutcome outcome) { return std::move(outcome.error); }

net::Task<Error> carry_plain(PodProxy& proxy, net::Fd accepted, const Route& route,
                             ConnectionRecord& record) {
  Worker& worker = proxy.worker();
  auto fd = proxy.settings().sockets.dial(route.dial.ip, std::nullopt);
  if (!fd) co_return fd.error();
  auto server = co_await net::Socket::connect(worker.reactor, std::move(*fd), route.dial,
                                              Clock::now() + kConnectTimeout);
  if (!server) co_return Error(server.error().code, "io error");
  net::Socket client(worker.reactor, std::move(accepted));
  ResetIfCut client_guard(client), server_guard(**server);
  net::Relay relay(client, **server, worker.buffers.input_bytes(), record.received(),
                   record.sent());
  auto outcome = co_await relay.run();
  client_guard.ended();
  server_guard.ended();
  co_return outcome_error(std::move(outcome));
}

hbone::ConnectRequest connect_request(const Route& route, const state::Workload& source,
                                      const net::SocketAddress& client, state::Random& random) {
  const auto id = [&] { return random.below(UINT64_MAX); };
  return {
      .authority = route.authority,
      .baggage = hbone::format_baggage(source),
      .forwarded = hbone::format_forwarded(client, route.service ? route.service->hostname : ""),
      .traceparent = hbone::make_traceparent(id(), id(), id()),
      .origin_network = {}};
}

net::Task<Error> carry_tunnelled(PodProxy& proxy, net::Fd accepted, const Route& route,
                                 const state::Workload& source, net::SocketAddress client_address,
                                 ConnectionRecord& record) {
  Worker& worker = proxy.worker();
  const auto request = connect_request(route, source, client_address, *worker.random);
  hbone::TunnelKey key{.source = source.identity(),
                       .destination = route.identities,
                       .address = route.dial,
                       .client = client_address.ip};
  auto connected = co_await proxy.pool().connect(std::move(key), hbone::to_fields(request),
                                                 Clock::now() + kTunnelTimeout);
  if (!connected) co_return connected.error();
  net::Socket client(worker.reactor, std::move(accepted));
  ResetIfCut client_guard(client);
  hbone::Relay relay(*connected->stream, client, worker.buffers.input_bytes(), record.received(),
                     record.sent());
  auto outcome = co_await relay.run();
  client_guard.ended();
  co_return outcome_error(std::move(outcome));
}

ConnectionInfo describe(const net::SocketAddress& client, const net::SocketAddress& target,
                        const Route& route) {
  const bool tunnelled = route.transport == Route::Transport::kHbone;
  return {.src = client.to_string(),
          .original_dst = target.to_string(),
          .actual_dst = route.dial.to_string(),
          .protocol = tunnelled ? "HBONE" : "TCP",
          .has_original_dst = true};
}

}  // namespace

net::Task<> serve_outbound(PodProxy& proxy, net::Fd accepted, net::SocketAddress client) {
  Worker& worker = proxy.worker();
  const Time started = Clock::now();
  const SocketGauge open(worker.traffic, Reporter::kSource);
  const net::SocketAddress target = net::original_destination(accepted.get());
  const auto deny = [&](const Error& error) {
    log_early_deny(Reporter::kSource, client, target, error);
  };
  // Nothing redirected goes to our own ports on loopback; who does so talks to us, and would for
  // ever.
  if (target.ip.is_loopback() && worker.config.listeners.illegal_ports.contains(target.port))
    co_return deny(Error(Errc::kSelfCall));

  const auto source = co_await proxy.local_workload();
  if (!source) co_return deny(source.error());
  const auto mesh = worker.mesh.current();
  const auto route = decide_route({.mesh = *mesh,
                                   .network = worker.config.mesh.network,
                                   .hbone_port = worker.config.listeners.inbound.port,
                                   .source = **source,
                                   .client = client.ip,
                                   .target = target},
                                  *worker.random);
  if (!route) co_return deny(route.error());

  const bool tunnelled = route->transport == Route::Transport::kHbone;
  ConnectionFacts facts{.reporter = Reporter::kSource,
                        .source = client,
                        .destination = route->dial,
                        .hbone_address = route->authority,
                        .source_workload = *source,
                        .destination_workload = route->destination,
                        .service = route->service,
                        .mutual_tls = tunnelled};
  if (tunnelled) facts.source_identity = (*source)->identity();
  const OpenConnections::Entry entry(proxy.connections(), false, describe(client, target, *route));
  ConnectionRecord record(worker.traffic, std::move(facts), started);
  Error error = tunnelled ? co_await carry_tunnelled(proxy, std::move(accepted), *route, **source,
                                                     client, record)
                          : co_await carry_plain(proxy, std::move(accepted), *route, record);
  record.finish(error);
}

}  // namespace culvert::ztunnel
