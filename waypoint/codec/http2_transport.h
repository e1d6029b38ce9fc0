#pragma once

#include "common/h2/session.h"
#include "common/net/byte_stream.h"
#include "common/net/event.h"
#include "common/net/scope.h"

#include <cstdint>
#include <functional>
#include <memory>

namespace culvert::waypoint {

// The settings of the waypoint's HTTP/2 connections, which live inside of tunnels.
//
// Windows: 256 KiB per stream carries 2 Gbit/s over the millisecond of a cluster; what a client can
// make us hold is that times its streams (100: 25 MiB). The connection's window is given back when
// bytes arrive, so it only bounds what is on the way: 1 MiB. A head may be twice its limit on the
// wire: crumbs of a cookie count 32 bytes each there; the codecs check the limit itself.
h2::Settings http2_settings(uint32_t max_header_bytes, uint32_t max_header_fields);

// What moves the bytes of one HTTP/2 connection between a ByteStream and an h2::Session. Output of
// a turn of the reactor leaves in one write at its end; while the stream does not take it nothing
// more is produced, so the writers of bodies feel it. Worker thread.
class Http2Transport final : private net::TurnHook {
 public:
  // `handler` as for Session; `after_input` is called when the session took what one read brought,
  // and never from within a callback of the session. Both outlive the transport.
  Http2Transport(net::Reactor& reactor, std::unique_ptr<net::ByteStream> stream, h2::Role role,
                 const h2::Settings& settings, h2::SessionHandler& handler,
                 std::function<void()> after_input);
  ~Http2Transport();  // resets the stream unless run() has returned; streams get on_closed
  Http2Transport(const Http2Transport&) = delete;
  Http2Transport& operator=(const Http2Transport&) = delete;

  // Until the connection is over: the peer closed it or broke the protocol, the session finished
  // after GOAWAY, or end(). Then every stream gets on_closed, the last words (GOAWAY) are sent, and
  // the peer is given a moment to close first, so that nothing on its way to it is lost. Call once.
  // Destroying the task resets the byte stream, with on_closed for every stream.
  net::Task<> run();
  // After calls to the session that may have made output: it leaves at the end of this turn.
  void flush();
  // Over at once, with GOAWAY.
  void end(h2::ErrorCode code);

  [[nodiscard]] h2::Session& session() { return session_; }
  [[nodiscard]] const h2::Session& session() const { return session_; }
  [[nodiscard]] net::Reactor& reactor() const { return reactor_; }
  // The connection is over; streams that end now end because of that.
  [[nodiscard]] bool over() const { return over_; }

 private:
  void on_turn() override { wake_.wake_all(); }
  net::Task<> read_all();
  net::Task<> write_all();
  net::Task<> part();
  void finish();
  void abandon();

  net::Reactor& reactor_;
  std::unique_ptr<net::ByteStream> stream_;
  h2::Session session_;
  std::function<void()> after_input_;
  ByteQueue out_;
  bool over_ = false;
  bool writing_ = false;       // a write is pending, or failed: nobody knows what of it arrived
  bool input_over_ = false;    // end of input, or its failure
  bool streams_told_ = false;  // session_.fail() was called
  bool closed_ = false;        // the stream needs no reset
  net::Event wake_, over_event_;
  net::Scope tasks_;  // last: they use everything above
};

}  // namespace culvert::waypoint
