#pragma once

#include "common/net/byte_stream.h"
#include "common/net/reactor.h"
#include "waypoint/codec/exchange.h"
#include "waypoint/codec/http1_client.h"

#include <cstddef>
#include <memory>

namespace culvert::waypoint {

// One HTTP/2 connection to an endpoint, with prior knowledge, that carries many exchanges. Worker
// thread; one owner, which does not destroy it from a task of one of its exchanges' calls.
// Exchanges may outlive it and behave as lost then. Heads arrive and leave without hop-by-hop
// fields; :scheme is "http".
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
  // (REFUSED_STREAM, not processed according to GOAWAY, or the connection ended before send()),
  // kConnectionLost, culvert::Errc::kTimedOut. An upgrade becomes extended CONNECT (RFC 8441), a
  // 2xx to it the status 101; send() waits for the peer's SETTINGS then, and fails with
  // kConnectFailed if they do not allow it.
  std::unique_ptr<ClientExchange> start();
  // No new exchanges; closes after the last one.
  void drain();

  struct State;  // private to http2_client.cc

 private:
  std::unique_ptr<State> state_;
};

}  // namespace culvert::waypoint
