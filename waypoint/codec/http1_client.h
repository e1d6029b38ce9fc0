#pragma once

#include "common/net/byte_stream.h"
#include "common/net/reactor.h"
#include "waypoint/codec/exchange.h"

#include <cstdint>
#include <memory>

namespace culvert::waypoint {

struct ClientCodecOptions {
  uint32_t max_header_bytes = 60 * 1024;  // of a response
  uint32_t max_header_fields = 100;
};

// One HTTP/1.1 connection to an endpoint: one exchange after the other. While none is running it
// watches its input, so that a server that closes an idle connection is noticed. Worker thread; one
// owner, which also outlives the exchanges it starts.
class Http1Client {
 public:
  // `stream`: connected. `reactor` outlives it.
  Http1Client(net::Reactor& reactor, std::unique_ptr<net::ByteStream> stream,
              ClientCodecOptions options);
  ~Http1Client();  // resets the stream unless it has ended on both sides
  Http1Client(const Http1Client&) = delete;
  Http1Client& operator=(const Http1Client&) = delete;

  // Whether start() may be called: no exchange is running, the last one was complete in both
  // directions and left the connection open, nothing has arrived uncalled for.
  [[nodiscard]] bool usable() const;
  // Exchanges that have been started.
  [[nodiscard]] uint64_t started() const;
  // The next exchange; only while usable() (CHECK). Errors of its calls: kBadMessage, kTooLarge,
  // kPeerReset, kConnectionLost (before or within the response), culvert::Errc::kTimedOut; and
  // kRefused when a connection that served before ends without a byte of an answer to a request
  // that is idempotent and was sent whole or had no body (RFC 9110 section 9.2.2: the server closed
  // it for idleness, at the same moment).
  std::unique_ptr<ClientExchange> start();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace culvert::waypoint
