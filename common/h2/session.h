#pragma once

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/h2/headers.h"
#include "common/h2/role.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

// HTTP/2 (RFC 9113) without I/O: bytes in, bytes out, streams at the middle. nghttp2 lives behind
// this header.
//
// Sequences of calls, client:  open() … on_head, on_data*, on_end, on_closed
//                     server:  on_stream → handler; on_head … respond() … on_data*, on_end …
//                     on_closed
// After any call that may produce output, wants_write() is true and the owner drains. Callbacks
// come only from feed(), drain() and fail(); within them a handler may call back into the session,
// but nobody may destroy it.
namespace culvert::h2 {

using StreamId = int32_t;

// What one stream is told. A handler that dies before on_closed must detach() first.
class StreamHandler {
 public:
  // The request (server) or final response (client) head; of 1xx before that nothing is told, and
  // more than 16 reset the stream. `end`: no data follows; on_end comes too.
  virtual void on_head(Head head, bool end) = 0;
  // The owner gives window back with Session::consume as bytes are taken. Valid only during the
  // call.
  virtual void on_data(Bytes data) = 0;
  virtual void on_trailers(Head trailers) = 0;
  // END_STREAM: clean end of input.
  virtual void on_end() = 0;
  // The stream is gone; last call. `code` is kNoError when both sides had ended it, else
  // RST_STREAM's code (also our own) or the reason the connection died.
  virtual void on_closed(ErrorCode code) = 0;
  // The peer's RST_STREAM; on_closed follows. Without it, on_closed with an error means that the
  // peer broke HTTP and the session reset the stream, or that the connection is gone.
  virtual void on_reset_received() {}
  // Instead of on_head: the head is over Settings::max_header_list. True: the handler answers it
  // (the rest of the request comes as usual); false: the stream is reset with ENHANCE_YOUR_CALM.
  virtual bool on_head_too_large() { return false; }

  struct Produced {
    size_t bytes =
        0;  // written to the front of `to`; 0 and !end: nothing now, resume() when there is
    bool end = false;  // END_STREAM after these bytes
    bool trailers =
        false;  // with `end`: trailers were given to Session::submit_trailers in this call
  };
  // Asked for output when window and the connection have room. `to` is where it will be sent from.
  virtual Produced produce(MutableBytes to) = 0;

 protected:
  ~StreamHandler() = default;
};

class SessionHandler {
 public:
  // Server: a request begins. nullptr refuses it (REFUSED_STREAM). The handler may detach() before
  // this returns.
  virtual StreamHandler* on_stream(StreamId id) = 0;
  virtual void on_goaway(ErrorCode code, StreamId last) = 0;
  virtual void on_ping_ack() = 0;  // of ping()
  // Server: the peer has read notify_shutdown(), and whatever it sent before is here.
  virtual void on_shutdown_noticed() {}
  virtual void on_settings() = 0;  // the peer's SETTINGS came (again)

 protected:
  ~SessionHandler() = default;
};

struct Settings {
  uint32_t stream_window = 4U << 20;       // SETTINGS_INITIAL_WINDOW_SIZE
  uint32_t connection_window = 16U << 20;  // 4 x: stalled streams must not use up the connection
  uint32_t max_frame_size = 1U << 20;
  uint32_t max_header_list = 16384;                // also enforced on what arrives
  std::optional<uint32_t> max_concurrent_streams;  // announced and enforced; server
  uint32_t assumed_peer_streams = 100;  // until the peer's SETTINGS say otherwise; client
  bool extended_connect =
      false;  // announced and accepted: CONNECT with :protocol (RFC 8441); server
};

class Session {
 public:
  Session(Role role, const Settings& settings, SessionHandler& handler);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Takes all of `bytes`. Error: the peer broke the protocol or flooded us; GOAWAY is queued, drain
  // once more and close. Limits beyond nghttp2's own (SETTINGS, PING and RST_STREAM floods,
  // CONTINUATION): 1,000 empty DATA frames without data in between; 1,000 streams that the peer's
  // errors made us reset beyond those that ended well; and, of a server, 10,000 frames that the
  // peer caused and does not read.
  Result<> feed(Bytes bytes);
  // Appends frames to `out` until it holds `limit` bytes or there is nothing to send. Error: as
  // feed.
  Result<> drain(ByteQueue& out, size_t limit);
  [[nodiscard]] bool wants_write() const;
  // Neither reading nor writing makes sense any more: GOAWAY was sent and no stream is left.
  [[nodiscard]] bool finished() const;

  // Client. Error kGoingAway after GOAWAY or when stream ids ran out. `end`: no data follows. The
  // request may be held back until the peer allows another stream.
  Result<StreamId> open(std::span<const Field> fields, bool end, StreamHandler& handler);
  // Server: the response head; with `end` the stream's output is over, and a request that is still
  // being sent is stopped with RST_STREAM(NO_ERROR) behind it.
  void respond(StreamId id, std::span<const Field> fields, bool end);
  // An informational (1xx) response before the real one.
  void respond_informational(StreamId id, std::span<const Field> fields);
  // In StreamHandler::produce only, with Produced::trailers.
  void submit_trailers(StreamId id, std::span<const Field> fields);

  // `n` bytes of on_data were taken: the stream's window grows again. The connection's window is
  // returned when the bytes arrive, so that a stream nobody reads does not stall the others.
  void consume(StreamId id, size_t n);
  // produce() has something again.
  void resume(StreamId id);
  void reset(StreamId id, ErrorCode code);
  // No more callbacks for this stream.
  void detach(StreamId id);

  void ping();
  // Server. Graceful shutdown, first step (RFC 9113 section 6.8): announces that no new streams
  // should come, with a PING behind it whose answer is on_shutdown_noticed. Streams that the client
  // opened before it knew are still taken: most clients do not repeat what an early end refuses.
  void notify_shutdown();
  // Second step, or at once: GOAWAY with the last stream taken. Streams in progress go on.
  void goaway(ErrorCode code);
  // The transport is gone: on_closed(code) for every stream.
  void fail(ErrorCode code);

  [[nodiscard]] size_t streams() const;  // with a handler attached
  // The peer's SETTINGS_MAX_CONCURRENT_STREAMS.
  [[nodiscard]] uint32_t peer_max_streams() const;
  // Client: the peer's SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 8441 section 3).
  [[nodiscard]] bool peer_extended_connect() const;
  [[nodiscard]] bool accepts_requests() const;  // client: open() would work

  struct State;  // private to session.cc

 private:
  std::unique_ptr<State> state_;
};

}  // namespace culvert::h2
