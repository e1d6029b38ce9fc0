#include "waypoint/upstream/tunnels.h"

#include "common/hbone/stream_io.h"
#include "waypoint/codec/exchange.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

namespace culvert::waypoint {
namespace {

// Of a tunnel's TCP connection, which many requests with limits of their own may wait for; Istio's
// default connect timeout.
constexpr std::chrono::seconds kConnectTimeout{10};

// How long a tunnel without streams is kept: Istio's hboneIdleTimeout.
hbone::PoolOptions pool_options() {
  hbone::PoolOptions options;
  options.unused_timeout = std::chrono::hours(1);
  return options;
}

bool is_timeout(const Error& error) {
  return error.code == culvert::Errc::kTimedOut || error.code == std::errc::timed_out;
}

Error failed(const std::string& where, const Error& why) {
  if (is_timeout(why)) return {culvert::Errc::kTimedOut, "connecting to " + where};
  return {ExchangeErrc::kConnectFailed, fmt::format("{}: {}", where, why.message())};
}

std::string describe(const Endpoint& endpoint) {
  std::string text = endpoint.address.to_string();
  if (endpoint.tunnel == Tunnel::kHbone) {
    text += " through the tunnel to " + endpoint.node.to_string();
  }
  if (endpoint.workload == nullptr) return text;
  return fmt::format("{} ({}/{})", text, endpoint.workload->namespace_, endpoint.workload->name);
}

}  // namespace

Tunnels::Tunnels(Worker& worker)
    : worker_(worker),
      sockets_({}, nullptr, nullptr),
      pool_(worker.reactor, pool_options(), worker.buffers, worker.memory,
            [this](hbone::TunnelKey key) { return dial(std::move(key)); }) {}

net::Task<Result<Tunnels::Link>> Tunnels::connect(const Endpoint& endpoint, Time deadline) {
  auto attempt = endpoint.tunnel == Tunnel::kHbone ? connect_tunnel(endpoint, deadline)
                                                   : connect_plain(endpoint.address, deadline);
  auto link = co_await std::move(attempt);
  if (!link) co_return failed(describe(endpoint), link.error());
  co_return std::move(*link);
}

net::Task<Result<std::unique_ptr<net::Socket>>> Tunnels::dial_socket(net::SocketAddress address,
                                                                     Time deadline) {
  auto fd = sockets_.dial(address.ip);
  if (!fd) co_return fd.error();
  co_return co_await net::Socket::connect(worker_.reactor, std::move(*fd), address, deadline);
}

net::Task<Result<Tunnels::Link>> Tunnels::connect_plain(net::SocketAddress address, Time deadline) {
  auto socket = co_await dial_socket(address, deadline);
  if (!socket) co_return socket.error();
  Link link;
  link.local_address = (*socket)->local_address().to_string();
  link.stream = std::move(*socket);
  co_return link;
}

net::Task<Result<Tunnels::Link>> Tunnels::connect_tunnel(const Endpoint& endpoint, Time deadline) {
  if (worker_.credential == nullptr) co_return invalid("no certificate yet");
  const auto& own = worker_.credential->identity();
  if (!own) co_return invalid("our own certificate names no workload");
  hbone::TunnelKey key;
  key.source = *own;
  if (endpoint.identity) key.destination.push_back(*endpoint.identity);
  key.address = endpoint.node;
  const std::string authority = endpoint.address.to_string();
  std::vector<h2::Field> fields{{":method", "CONNECT"}, {":authority", authority}};
  auto connected = co_await pool_.connect(std::move(key), std::move(fields), deadline);
  if (!connected) co_return connected.error();
  Link link;
  link.local_address = connected->local.to_string();
  link.stream = std::make_unique<hbone::StreamIo>(std::move(connected->stream));
  co_return link;
}

net::Task<Result<hbone::Pool::Dialled>> Tunnels::dial(hbone::TunnelKey key) {
  auto credential = worker_.credential;
  auto socket = co_await dial_socket(key.address, Clock::now() + kConnectTimeout);
  if (!socket) co_return socket.error();
  hbone::Pool::Dialled dialled;
  dialled.socket = std::move(*socket);
  // Without an expectation of its own the peer must at least be of our trust domain, which is all
  // that Istio's Envoy asks for.
  dialled.engine =
      key.destination.empty()
          ? tls::Engine::client_in_domain(worker_.tls, std::move(credential),
                                          key.source.trust_domain)
          : tls::Engine::client(worker_.tls, std::move(credential), std::move(key.destination));
  co_return dialled;
}

net::Task<> Tunnels::drain(Time deadline) {
  pool_.drain();
  co_await pool_.drained(deadline);
}

}  // namespace culvert::waypoint
