#pragma once

#include "common/net/byte_stream.h"
#include "waypoint/codec/exchange.h"
#include "waypoint/codec/http1_client.h"

#include <memory>

namespace culvert::waypoint {

// A connection that carries exchanges, of whatever version of HTTP: what the pool sees of one.
// Worker thread; one owner, which outlives the exchanges.
class HttpConnection {
 public:
  virtual ~HttpConnection() = default;
  // Whether one more exchange may be started now. HTTP/1: none is running; false for good once the
  // connection cannot be used again.
  [[nodiscard]] virtual bool usable() const = 0;
  // Only while usable().
  virtual std::unique_ptr<ClientExchange> start() = 0;
};

// HTTP/2 with prior knowledge, or HTTP/1.1, on `stream`, which is connected.
std::unique_ptr<HttpConnection> make_http_connection(net::Reactor& reactor, bool http2,
                                                     std::unique_ptr<net::ByteStream> stream,
                                                     const ClientCodecOptions& options);

}  // namespace culvert::waypoint
