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

// What is open of an outgoing connection; it has no more than it needs, as most are idle.
struct Outgoing {
  Outgoing(PodProxy& proxy, ConnectionEnds ends, ConnectionFacts facts, Time started)
      : entry(proxy.connections(), false, std::move(ends)),
        record(proxy.worker().traffic, std::move(facts), started) {}

  const OpenConnections::Entry entry;
  ConnectionRecord record;
  std::unique_ptr<net::Socket> client;
  std::unique_ptr<hbone::Stream> stream;  // through a tunnel,
  std::unique_ptr<net::Socket> server;    // or directly
};

CULVERT_OWN_FRAME net::Task<Result<>> connect_plain(PodProxy& proxy, net::SocketAddress address,
                                                    Outgoing& connection) {
  auto fd = proxy.settings().sockets.dial(address.ip);
  if (!fd) co_return fd.error();
  auto server = co_await net::Socket::connect(proxy.worker().reactor, std::move(*fd), address,
                                              Clock::now() + kConnectTimeout);
  if (!server) co_return Error(server.error().code, "io error");
  connection.server = std::move(*server);
  co_return Result<>{};
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

CULVERT_OWN_FRAME net::Task<Result<>> connect_tunnelled(PodProxy& proxy, const Route& route,
                                                        const state::Workload& source,
                                                        net::SocketAddress client,
                                                        Outgoing& connection) {
  const auto request = connect_request(route, source, client, *proxy.worker().random);
  hbone::TunnelKey key{.source = source.identity(),
                       .destination = route.identities,
                       .address = route.dial,
                       .client = client.ip};
  auto connected = co_await proxy.pool().connect(std::move(key), hbone::to_fields(request),
                                                 Clock::now() + kTunnelTimeout);
  if (!connected) co_return connected.error();
  connection.stream = std::move(connected->stream);
  connection.stream->drop_head();
  co_return Result<>{};
}

ConnectionFacts facts_of(const net::SocketAddress& client, const state::WorkloadPtr& source,
                         const Route& route) {
  const bool tunnelled = route.transport == Route::Transport::kHbone;
  ConnectionFacts facts{.reporter = Reporter::kSource,
                        .source = client,
                        .destination = route.dial,
                        .hbone_address = route.authority,
                        .source_workload = source,
                        .destination_workload = route.destination,
                        .service = route.service,
                        .mutual_tls = tunnelled};
  if (tunnelled) facts.source_identity = source->identity();
  return facts;
}

// Null: it was refused or failed, and that was said.
CULVERT_OWN_FRAME net::Task<std::unique_ptr<Outgoing>> open_outgoing(PodProxy& proxy,
                                                                     net::Fd socket,
                                                                     net::SocketAddress client) {
  ResetUnlessServed accepted(std::move(socket));
  Worker& worker = proxy.worker();
  const Time started = Clock::now();
  const net::SocketAddress target = net::original_destination(accepted.get());
  const auto deny = [&](const Error& error) {
    log_early_deny(Reporter::kSource, client, target, error);
    return nullptr;
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
  const ConnectionEnds ends{.client = client,
                            .dialled = route->dial,
                            .original = target,
                            .original_host = std::nullopt,
                            .tunnelled = tunnelled};
  auto connection =
      std::make_unique<Outgoing>(proxy, ends, facts_of(client, *source, *route), started);
  const auto connected =
      tunnelled ? co_await connect_tunnelled(proxy, *route, **source, client, *connection)
                : co_await connect_plain(proxy, route->dial, *connection);
  if (!connected) {
    connection->record.finish(connected.error());
    co_return nullptr;
  }
  connection->client = std::make_unique<net::Socket>(worker.reactor, accepted.take());
  co_return connection;
}

CULVERT_OWN_FRAME net::Task<> carry_plain(PodProxy& proxy, Outgoing& connection) {
  Worker& worker = proxy.worker();
  ResetIfCut client(*connection.client), server(*connection.server);
  net::Relay relay(*connection.client, *connection.server, worker.buffers.input_bytes(),
                   worker.pipes, proxy.memory(), connection.record.received(),
                   connection.record.sent());
  const auto outcome = co_await relay.run();
  client.ended();
  server.ended();
  connection.record.finish(outcome.error);
}

CULVERT_OWN_FRAME net::Task<> carry_tunnelled(Worker& worker, Outgoing& connection) {
  ResetIfCut client(*connection.client);
  hbone::Relay relay(*connection.stream, *connection.client, worker.buffers.input_bytes(),
                     connection.record.received(), connection.record.sent());
  const auto outcome = co_await relay.run();
  client.ended();
  connection.record.finish(outcome.error);
}

}  // namespace

net::Task<> serve_outbound(PodProxy& proxy, net::Fd accepted, net::SocketAddress client) {
  const SocketGauge open(proxy.worker().traffic, Reporter::kSource);
  const auto connection = co_await open_outgoing(proxy, std::move(accepted), client);
  if (connection == nullptr) co_return;
  Worker& worker = proxy.worker();
  co_await (connection->stream ? carry_tunnelled(worker, *connection)
                               : carry_plain(proxy, *connection));
}

}  // namespace culvert::ztunnel
