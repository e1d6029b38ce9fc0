#pragma once

#include "common/net/byte_stream.h"
#include "common/net/reactor.h"
#include "common/net/task.h"
#include "waypoint/codec/exchange.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

// The side that faces clients: one connection inside of a CONNECT, in HTTP/1.1 or HTTP/2, as a
// series of ServerExchanges. Worker thread.
namespace culvert::waypoint {

struct ServerCodecOptions {
  uint32_t max_header_bytes = 60 * 1024;             // a longer head: 431
  uint32_t max_header_fields = 100;                  // likewise
  uint32_t max_streams = 100;                        // HTTP/2: requests at a time; more are refused
  std::chrono::milliseconds header_timeout{60'000};  // first byte of a head to its last: 408
  std::chrono::milliseconds idle_timeout{3'600'000};  // between requests; 0: none
};

// Answers one request, to its end. The codec destroys the task when the client is gone: for HTTP/1
// when its input has ended or failed before the answer was complete (as in Envoy, which does not
// serve half-closed HTTP/1 clients), for HTTP/2 when it reset the stream or the connection ended.
using ServeRequest = std::function<net::Task<>(ServerExchange&)>;

// What makes the connection end gracefully: the requests in progress are answered, HTTP/1 says
// "Connection: close", HTTP/2 sends GOAWAY.
class ServerConnection {
 public:
  virtual ~ServerConnection() = default;
  // Serves until the connection has ended and every exchange's task with it. Call once. Destroying
  // the task resets the stream.
  virtual net::Task<> run() = 0;
  // From the reactor, at any time; also before run().
  virtual void drain() = 0;
};

// HTTP/1.1 (and 1.0), one request at a time; pipelined ones wait. What is not valid HTTP is
// answered with the parser's status (400, 408, 413, 414, 431, 501, 505) and ends the connection;
// such a request never reaches `serve`. A request head, after hop-by-hop removal, is as
// ServerExchange says.
std::unique_ptr<ServerConnection> make_http1_server(net::Reactor& reactor,
                                                    ServerCodecOptions options,
                                                    std::unique_ptr<net::ByteStream> stream,
                                                    ServeRequest serve);

// HTTP/2 with prior knowledge (RFC 9113 section 3.3), also gRPC. Flow control follows the readers
// of bodies; a stream nobody reads does not stall the others. Malformed requests are stream errors.
std::unique_ptr<ServerConnection> make_http2_server(net::Reactor& reactor,
                                                    ServerCodecOptions options,
                                                    std::unique_ptr<net::ByteStream> stream,
                                                    ServeRequest serve);

}  // namespace culvert::waypoint
