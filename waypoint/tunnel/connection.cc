#include "waypoint/tunnel/connection.h"

#include "common/net/scope.h"
#include "waypoint/codec/server.h"
#include "waypoint/tunnel/prefixed_stream.h"
#include "waypoint/tunnel/sniff.h"
#include "waypoint/tunnel/tcp_proxy.h"

#include <utility>

namespace culvert::waypoint {
namespace {

constexpr size_t kRead = 4096;  // at a time; the sniffers decide within kMaxSniffed

ServerCodecOptions codec_options(const Limits& limits) {
  ServerCodecOptions options;
  options.max_header_bytes = limits.max_header_bytes;
  options.max_header_fields = limits.max_header_fields;
  options.max_streams = limits.max_http2_streams;
  options.header_timeout = limits.header_timeout;
  options.idle_timeout = limits.idle_timeout;
  return options;
}

net::Task<> serve_http(Services& services, OpenConnections& open, ClientTunnelPtr tunnel,
                       std::unique_ptr<net::ByteStream> stream, bool http2) {
  const ServerCodecOptions options = codec_options(tunnel->model->options().limits);
  // Not a coroutine itself: its captures are this frame's, which outlives the connection's tasks.
  ServeRequest serve = [&services, &tunnel](ServerExchange& exchange) {
    return services.proxy.serve(exchange, tunnel);
  };
  net::Reactor& reactor = services.worker.reactor;
  const auto connection =
      http2 ? make_http2_server(reactor, options, std::move(stream), std::move(serve))
            : make_http1_server(reactor, options, std::move(stream), std::move(serve));
  const OpenConnections::Http entry(open, *connection);
  co_await connection->run();
}

net::Task<> tell_when_done(net::Task<> task, bool& done, net::Event& changed) {
  co_await std::move(task);
  done = true;
  changed.wake_all();
}

net::Task<> serve_raw(Services& services, OpenConnections& open, ClientTunnelPtr tunnel,
                      std::unique_ptr<net::ByteStream> stream) {
  OpenConnections::Tcp entry(open, tunnel);
  bool done = false;
  net::Scope relay(services.worker.reactor);
  relay.spawn(tell_when_done(serve_tcp(services.worker, services.upstreams, services.telemetry,
                                       std::move(tunnel), std::move(stream)),
                             done, entry.changed()));
  while (!done && !entry.revoked()) co_await entry.changed().wait();
  relay.cancel();
}

Time in(Millis delay) { return delay == Millis(0) ? kNever : Clock::now() + delay; }

Spoken spoken(Sniffed sniffed) {
  switch (sniffed) {
    case Sniffed::kHttp1:
      return Spoken::kHttp1;
    case Sniffed::kHttp2:
      return Spoken::kHttp2;
    case Sniffed::kMore:
    case Sniffed::kOther:
      break;
  }
  return Spoken::kTcp;
}

}  // namespace

net::Task<std::optional<Spoken>> detect(net::ByteStream& stream, AppProtocol protocol,
                                        const Limits& limits, ByteQueue& read) {
  if (!has_http_chain(protocol)) co_return Spoken::kTcp;
  const bool undeclared = has_tcp_chain(protocol);
  // Where HTTP is declared, whatever is not HTTP/2 is the HTTP/1 server's to answer.
  const Spoken fallback = undeclared ? Spoken::kTcp : Spoken::kHttp1;
  Time deadline = in(undeclared ? limits.sniff_timeout : limits.idle_timeout);
  for (;;) {
    const auto n = co_await stream.read(read.prepare(kRead).first(kRead), deadline);
    if (!n && n.error().code != culvert::Errc::kTimedOut) co_return std::nullopt;
    if (!n && !undeclared && read.empty()) co_return std::nullopt;
    if (!n || *n == 0) co_return fallback;
    if (read.empty() && !undeclared) deadline = in(limits.header_timeout);
    read.commit(*n);
    const Sniffed sniffed = undeclared ? sniff(read.readable()) : sniff_http(read.readable());
    if (sniffed != Sniffed::kMore) co_return spoken(sniffed);
  }
}

net::Task<> serve_connection(Services& services, OpenConnections& open, ClientTunnelPtr tunnel,
                             std::unique_ptr<net::ByteStream> stream) {
  ByteQueue read;
  const auto found = co_await detect(*stream, tunnel->destination.port.protocol,
                                     tunnel->model->options().limits, read);
  if (!found) co_return stream->reset();
  if (read.empty()) {
    read.shrink();
  } else {
    auto whole = std::make_unique<PrefixedStream>(std::move(stream), std::move(read));
    stream = std::move(whole);
  }
  if (*found == Spoken::kTcp) {
    // The client may have taken its time, and a change meanwhile told nobody of this connection.
    ClientTunnelPtr current = under(tunnel, services.worker.model);
    if (current == nullptr) co_return stream->reset();
    co_await serve_raw(services, open, std::move(current), std::move(stream));
  } else {
    co_await serve_http(services, open, std::move(tunnel), std::move(stream),
                        *found == Spoken::kHttp2);
  }
}

}  // namespace culvert::waypoint
