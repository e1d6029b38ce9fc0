#include "ztunnel/inbound.h"

#include "common/hbone/connect.h"
#include "common/hbone/relay.h"
#include "common/http/chars.h"
#include "common/state/errors.h"
#include "ztunnel/connection_record.h"
#include "ztunnel/errors.h"
#include "ztunnel/guarded_relay.h"
#include "ztunnel/inbound_target.h"
#include "ztunnel/proxy_header.h"
#include "ztunnel/reset_if_cut.h"
#include "ztunnel/socket_gauge.h"

#include <chrono>

namespace culvert::ztunnel {
namespace {

constexpr auto kConnectTimeout = std::chrono::seconds(10);
constexpr auto kHeadTimeout = std::chrono::seconds(30);

struct TunnelInfo {
  net::SocketAddress client;  // the TCP peer of the tunnel
  net::SocketAddress local;   // pod ip:15008
};

void answer(hbone::Stream& stream, int status) {
  const std::string text = std::to_string(status);
  const h2::Field fields[] = {{":status", text}};
  stream.respond(fields, true);
}

// What was asked for, checked: ready to be allowed and dialled.
struct Request {
  state::SnapshotPtr mesh;
  state::WorkloadPtr local;
  std::string authority;
  InboundTarget target;
  authz::Connection connection;
};
struct Refusal {
  int status = 0;
  Error error;
};

net::Task<boost::system::result<Request, Refusal>> check_request(PodProxy& proxy,
                                                                 const TunnelInfo& tunnel,
                                                                 const h2::Head& head,
                                                                 const tls::Peer& peer) {
  const auto method = head.get(":method");
  if (!method || *method != "CONNECT")
    co_return Refusal{400, Error(hbone::Errc::kNotConnect, std::string(method.value_or("")))};
  const auto authority = hbone::parse_authority(head.get(":authority").value_or(""));
  if (!authority) co_return Refusal{400, authority.error()};
  auto local = co_await proxy.local_workload();
  if (!local) co_return Refusal{503, local.error()};
  const Worker& worker = proxy.worker();
  const auto& mesh = worker.mesh.current();
  const InboundInput input{.mesh = *mesh,
                           .network = worker.config.mesh.network,
                           .local = **local,
                           .connection = tunnel.local,
                           .illegal_ports = worker.config.listeners.illegal_ports};
  if (auto valid = validate_destination(input, *authority); !valid)
    co_return Refusal{400, valid.error()};
  auto target = find_inbound_target(input, *authority);
  if (!target) co_return Refusal{503, target.error()};
  authz::Connection connection{
      .source_identity = peer.identity, .source = tunnel.client, .destination = target->dial};
  co_return Request{mesh, std::move(*local), hbone::to_string(*authority), std::move(*target),
                    std::move(connection)};
}

// The client's workload, unless the request came through a gateway of another network, where its
// address says nothing; then what it says of itself (baggage) has to do.
ConnectionFacts facts_of(const PodProxy& proxy, const TunnelInfo& tunnel, const Request& request,
                         const h2::Head& head, const tls::Peer& peer) {
  const Config& config = proxy.worker().config;
  const auto origin = head.get("x-forwarded-network");
  const bool from_gateway = origin && !http::iequals(*origin, config.mesh.network);
  ConnectionFacts facts{.reporter = Reporter::kDestination,
                        .source = tunnel.client,
                        .destination = tunnel.local,
                        .hbone_address = request.authority,
                        .destination_workload = request.local,
                        .mutual_tls = true,
                        .source_identity = peer.identity};
  if (!from_gateway)
    facts.source_workload =
        request.mesh->workload_by_address(config.mesh.network, tunnel.client.ip);
  if (facts.source_workload == nullptr && config.mesh.baggage)
    facts.source_baggage = hbone::parse_baggage(head);
  facts.service = guess_inbound_service(request.target.services, hbone::parse_forwarded_host(head),
                                        request.target.dial.port, *request.local);
  return facts;
}

net::Task<Result<std::unique_ptr<net::Socket>>> dial_application(PodProxy& proxy,
                                                                 const TunnelInfo& tunnel,
                                                                 const InboundTarget& target) {
  net::SocketAddress dial = target.dial;
  auto source = proxy.spoofed_source(tunnel.client, false);
  if (target.proxy_protocol && proxy.worker().config.mesh.localhost_app_tunnel) {
    dial.ip = dial.ip.is_v4() ? net::IpAddress::loopback_v4() : net::IpAddress::loopback_v6();
    source.reset();
  }
  auto fd = proxy.settings().sockets.dial_local(dial.ip, source);
  if (!fd) co_return fd.error();
  co_return co_await net::Socket::connect(proxy.worker().reactor, std::move(*fd), dial,
                                          Clock::now() + kConnectTimeout);
}

void accept_stream(hbone::Stream& stream, const state::Workload& local, bool baggage) {
  const std::string said = baggage ? hbone::format_baggage(local) : "";
  std::vector<h2::Field> fields{{":status", "200"}};
  if (baggage) fields.push_back({"baggage", said});
  stream.respond(fields, false);
}

// What is open of an incoming connection; it has no more than it needs, as most are idle.
struct Incoming {
  Incoming(PodProxy& proxy, ConnectionEnds ends, ConnectionFacts facts, Time started)
      : entry(proxy.connections(), true, std::move(ends)),
        record(proxy.worker().traffic, std::move(facts), started) {}

  OpenConnections::Entry entry;
  ConnectionRecord record;
  std::unique_ptr<hbone::Stream> stream;
  std::unique_ptr<net::Socket> socket;  // the application's
  std::vector<uint8_t> prefix;          // for it: a PROXY header
};

// Null: it was refused, and the peer and the log were told.
CULVERT_OWN_FRAME net::Task<std::unique_ptr<Incoming>> open_incoming(
    PodProxy& proxy, const TunnelInfo& tunnel, std::unique_ptr<hbone::Stream> stream,
    const tls::Peer& peer) {
  Worker& worker = proxy.worker();
  const Time started = Clock::now();
  const auto head = co_await stream->head(started + kHeadTimeout);
  if (!head) co_return nullptr;
  if (const auto why = proxy.sheds(Shed::kStream)) {
    proxy.log_shed(Reporter::kDestination, tunnel.client, tunnel.local, *why);
    answer(*stream, 503);
    co_return nullptr;
  }
  const auto request = co_await check_request(proxy, tunnel, **head, peer);
  if (!request) {
    log_early_deny(Reporter::kDestination, tunnel.client, tunnel.local, request.error().error);
    answer(*stream, request.error().status);
    co_return nullptr;
  }
  const ConnectionEnds ends{.client = tunnel.client,
                            .dialled = request->target.dial,
                            .original = std::nullopt,
                            .original_host = hbone::parse_forwarded_host(**head),
                            .tunnelled = true};
  auto connection = std::make_unique<Incoming>(
      proxy, ends, facts_of(proxy, tunnel, *request, **head, peer), started);
  const auto refuse = [&](int status, const Error& error) {
    answer(*stream, status);
    connection->record.finish(error);
    return nullptr;
  };
  // Registered before the first check, so that no policy change can fall between the two.
  connection->entry.guard(peer.identity ? &*peer.identity : nullptr);
  const auto decision = proxy.decide(*request->local, connection->entry.connection());
  if (!decision.allowed()) co_return refuse(401, Error(Errc::kPolicyRejection, decision.reason()));
  auto socket = co_await dial_application(proxy, tunnel, request->target);
  if (!socket) co_return refuse(503, Error(Errc::kConnectionFailed, socket.error().message()));
  if (connection->entry.revoked()) co_return refuse(401, Error(Errc::kPolicyChange));
  accept_stream(*stream, *request->local, worker.config.mesh.baggage);
  stream->drop_head();
  connection->stream = std::move(stream);
  connection->socket = std::move(*socket);
  if (request->target.proxy_protocol && request->target.tunnel_target)
    connection->prefix = proxy_header(tunnel.client, *request->target.tunnel_target, peer.identity);
  co_return connection;
}

net::Task<> serve_stream(PodProxy& proxy, const TunnelInfo& tunnel,
                         std::unique_ptr<hbone::Stream> stream, const tls::Peer& peer) {
  const auto connection = co_await open_incoming(proxy, tunnel, std::move(stream), peer);
  if (connection == nullptr) co_return;
  ResetIfCut guard(*connection->socket);
  hbone::Relay relay(*connection->stream, *connection->socket, proxy.worker().buffers.input_bytes(),
                     connection->record.sent(), connection->record.received());
  if (!connection->prefix.empty()) relay.prepend(connection->prefix);
  const Error error = co_await run_guarded(relay, connection->entry);
  if (error.code != Errc::kPolicyChange) guard.ended();
  connection->record.finish(error);
}

}  // namespace

net::Task<> serve_tunnel(PodProxy& proxy, net::Fd accepted, net::SocketAddress client) {
  Worker& worker = proxy.worker();
  const SocketGauge open(worker.traffic, Reporter::kDestination);
  auto socket = std::make_unique<net::Socket>(worker.reactor, std::move(accepted));
  // Never redirected: the address it came to is the pod's own.
  const TunnelInfo tunnel{client, socket->local_address()};
  const auto deny = [&](const Error& error) {
    log_early_deny(Reporter::kDestination, client, tunnel.local, error);
  };
  const auto local = co_await proxy.local_workload();
  if (!local) co_return deny(local.error());
  auto credential = co_await worker.credentials.get((*local)->identity());
  if (!credential) co_return deny(Error(Errc::kIdentity, credential.error().message()));

  hbone::ServerOptions options;
  options.settings.max_window = worker.config.http2.stream_window;
  options.settings.connection_window = worker.config.http2.connection_window;
  options.settings.max_frame_size = worker.config.http2.frame_size;
  hbone::Server server(worker.reactor, options, worker.buffers, proxy.memory(),
                       [&](std::unique_ptr<hbone::Stream> stream, const tls::Peer& peer) {
                         return serve_stream(proxy, tunnel, std::move(stream), peer);
                       });
  struct Registration {
    PodProxy& proxy;
    hbone::Server& server;
    Registration(PodProxy& owner, hbone::Server& tunnel_server)
        : proxy(owner), server(tunnel_server) {
      proxy.add_server(server);
    }
    ~Registration() { proxy.remove_server(server); }
  } const registration(proxy, server);
  auto engine = tls::Engine::server(worker.tls, std::move(*credential));
  if (auto served = co_await server.run(std::move(socket), std::move(engine)); !served)
    deny(served.error());
}

}  // namespace culvert::ztunnel
