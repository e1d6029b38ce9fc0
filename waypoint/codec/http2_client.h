#pragma once

#include "common/net/byte_stream.h"
#include "common/net/reactor.h"
#include "waypoint/codec/exchange.h"
#include "waypoint/codec/http1_client.h"

#include <cstddef>
#include <memory>

namespace culvert::waypoint {

// One HTTP/2 connection to an endpoint, with prior knowledge, that carries many exchanges. Worker
// thread; one owner. Exchanges may outlive it and behave as lost then.
class Http2Client {
 public:
  Http2Client(net::Reactor& reactor, std::unique_ptr<net::ByteStream> stream,
              ClientCodecOptions options);
  ~Http2Client();
  Http2Client(const Http2Client&) = delete;
  Http2Client& operator=(const Http2Client&) = delete;

  // Whether one more exchange may be started now: the connection lives, takes requests, and the
  // peer's SETTINGS_MAX_CONCURRENT_STREAMS (100 until it has spoken) leaves room.
  [[nodiscard]] bool usable() const;
  // Exchanges now running.
  [[nodiscard]] size_t running() const;
  // The connection has ended; the owner may forget it.
  [[nodiscard]] bool closed() const;
  // Only while usable() (CHECK). Errors of its calls: kBadMessage, kTooLarge, kPeerReset, kRefused
  // (REFUSED_STREAM, or not processed according to GOAWAY), kConnectionLost,
  // culvert::Errc::kTimedOut.
  std::unique_ptr<ClientExchange> start();
  // No new exchanges; closes after the last one.
  void drain();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace culvert::waypoint
