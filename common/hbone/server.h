#pragma once

#include "common/h2/connection.h"
#include "common/hbone/stream.h"
#include "common/net/scope.h"
#include "common/tls/engine.h"

#include <chrono>
#include <functional>
#include <memory>

namespace culvert::hbone {

struct ServerOptions {
  h2::TunnelSettings settings{.max_header_list = 65536, .max_concurrent_streams = 200};
  h2::Keepalive keepalive;
  std::chrono::milliseconds handshake_timeout = std::chrono::seconds(15);
};

// One accepted tunnel: TLS handshake, HTTP/2, and a task per CONNECT stream. Lives in the coroutine
// that serves it; destroying it ends its streams.
class Server final : private h2::ConnectionHandler {
 public:
  // Answers one stream, from its head to its end. The peer is the tunnel's.
  using Serve = std::function<net::Task<>(std::unique_ptr<Stream>, const tls::Peer&)>;
  // `memory` pays for what the tunnel and its streams hold; it outlives them.
  Server(net::Reactor& reactor, const ServerOptions& options, h2::Buffers& buffers,
         MemoryAccount& memory, Serve serve);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Handshakes on `socket`, then serves until the tunnel has closed and every stream's task has
  // ended. Error: the handshake failed. Call once.
  net::Task<Result<>> run(std::unique_ptr<net::Socket> socket, std::unique_ptr<tls::Engine> engine);
  // Graceful shutdown: see h2::Connection::drain.
  void drain();
  // Abrupt: GOAWAY and close.
  void close(h2::ErrorCode code, const Error& reason);

 private:
  bool on_stream(h2::StreamId id) override;
  void on_going_away() override {}
  void on_closed(const Error& reason) override;

  const ServerOptions& options_;
  h2::Buffers& buffers_;
  MemoryAccount& memory_;
  Serve serve_;
  std::unique_ptr<h2::Connection> connection_;
  bool draining_ = false;
  net::Event closed_;
  net::Scope streams_;  // last: tasks hold streams of connection_
};

}  // namespace culvert::hbone
