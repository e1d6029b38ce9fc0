#pragma once

#include "common/base/bytes.h"
#include "common/base/memory_account.h"
#include "common/h2/tunnel_session.h"
#include "common/net/socket.h"
#include "common/net/task.h"
#include "common/tls/engine.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

namespace culvert::h2 {

// Scratch memory of one worker, used within a call and never across: so an idle connection holds no
// buffer, and a busy one works in memory that is warm.
struct Buffers {
  Buffers();
  std::unique_ptr<uint8_t[]> input;  // kInputSize bytes of ciphertext from the socket
  tls::RecordBatch batch;            // frames on their way out
  static constexpr size_t kInputSize = 16 * tls::Engine::kMaxRecord;
  [[nodiscard]] MutableBytes input_bytes() const { return {input.get(), kInputSize}; }
};

// Told about a connection. Called from the reactor; may not destroy the connection within the call.
class ConnectionHandler {
 public:
  // Server: a request begins. True: it was given its stream by accept(); false refuses it.
  virtual bool on_stream(StreamId id) = 0;
  // No new streams will be taken (GOAWAY came, or the limit of stream ids).
  virtual void on_going_away() = 0;
  // The last call: the transport is closed and every stream has had its on_closed.
  virtual void on_closed(const Error& reason) = 0;

 protected:
  ~ConnectionHandler() = default;
};

struct Keepalive {
  // A PING after `interval` of whatever traffic, the peer gone when it is not answered within
  // `timeout`; the next interval starts at the answer. Istio's ztunnel does 10 s and 20 s on both
  // ends.
  std::chrono::milliseconds interval{10'000};
  std::chrono::milliseconds timeout{20'000};
};

// A tunnel: HTTP/2 over TLS over one socket, driven by the reactor. All output of a turn leaves in
// one flush at its end: frames of all streams share records, and a batch of records is one send.
//
// The byte's way out:  TunnelStream::produce (reads the application's socket straight into a record
// of Buffers::batch) → Engine::seal (where it lies) → send.
// In:  recv into Buffers::input → Engine::open (where it lies) → TunnelSession::feed →
// TunnelStream::on_data (one scattered send to the application's socket for all that came for it).
// Nothing is copied in between but the records that a read has cut, and what a socket does not
// take. While the peer does not take our bytes nothing is produced, so the applications feel it.
// What it holds meanwhile is in an account; where that refuses, the connection is closed.
class Connection final : private net::Socket::Observer,
                         private net::TurnHook,
                         private net::TimerEntry,
                         private TunnelHandler,
                         private tls::PlaintextSink {
 public:
  // After a finished TLS handshake. `memory`, `handler` and `buffers` outlive the connection.
  Connection(Role role, std::unique_ptr<net::Socket> socket, std::unique_ptr<tls::Engine> engine,
             const TunnelSettings& settings, const Keepalive& keepalive, Buffers& buffers,
             MemoryAccount& memory, ConnectionHandler& handler);
  ~Connection() override;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Sends our preface and takes what the handshake left over. Call once.
  void start();

  // Streams, as in TunnelSession.
  Result<> open(std::span<const Field> fields, TunnelStream& stream);
  void accept(StreamId id, TunnelStream& stream) { session_.accept(id, stream); }
  void respond(TunnelStream& stream, std::span<const Field> fields, bool end);
  void consume(TunnelStream& stream, size_t n);
  void resume(TunnelStream& stream);
  void reset(TunnelStream& stream, ErrorCode code);
  void detach(TunnelStream& stream);

  // Graceful: the connection takes no new streams, those in progress go on, and it closes after the
  // last. A server first gives notice and takes what the client opened before it read that (RFC
  // 9113 section 6.8); the final GOAWAY follows the client's answer, and keepalive ends a
  // connection whose client does not answer.
  void drain();
  // Abrupt: GOAWAY(code), close_notify, close; streams end with INTERNAL_ERROR, as when the
  // transport is lost.
  void close(ErrorCode code, const Error& reason);

  // Once it is closed, its user keeps it until this returns: when the peer has acknowledged what
  // was said last, if all was said, or has gone; after a minute at most. Who closes the descriptor
  // sooner lets the next byte from the peer (WINDOW_UPDATE) reset the connection, and what was not
  // sent yet is lost.
  net::Task<> linger();

  [[nodiscard]] bool closed() const { return closed_; }
  [[nodiscard]] bool accepts_requests() const { return !closed_ && session_.accepts_requests(); }
  [[nodiscard]] size_t streams() const { return session_.streams(); }
  [[nodiscard]] uint32_t peer_max_streams() const { return session_.peer_max_streams(); }
  // Memory of what the socket did not take or the session has not finished with; an idle connection
  // holds at most TunnelSession::kIdleBytes.
  [[nodiscard]] size_t held_bytes() const { return unsent_.capacity() + session_.held_bytes(); }
  // Who pays for what is held here and by streams.
  [[nodiscard]] MemoryAccount& memory() const { return memory_; }
  // The account's refusal, if that is why it was closed; else null. For streams, within on_closed.
  [[nodiscard]] const Error* refusal() const { return refusal_.get(); }
  [[nodiscard]] const tls::Peer& peer() const { return engine_->peer(); }
  [[nodiscard]] net::Reactor& reactor() const { return socket_->reactor(); }
  [[nodiscard]] const net::SocketAddress& local_address() const { return local_address_; }

 private:
  void on_ready() override;
  void on_turn() override;
  void on_timer() override;
  bool on_stream(StreamId id) override;
  void on_goaway(ErrorCode code, StreamId last) override;
  void on_ping_ack() override;
  void on_shutdown_noticed() override;
  Result<> on_plaintext(MutableBytes plaintext) override;
  void on_open_done() override;

  void read_some();
  bool goes_on(const Result<bool>& opened);
  void flush();
  void go_away();
  bool send_pending();
  void schedule_flush();
  void flush_if_wanted();
  bool pay();
  void lose(int error);
  void say_last();
  void give_up(const Error& refusal);
  void fail(ErrorCode code, const Error& reason);

  const Role role_;
  std::unique_ptr<net::Socket> socket_;
  const net::SocketAddress local_address_;
  std::unique_ptr<tls::Engine> engine_;
  TunnelSession session_;
  Keepalive keepalive_;
  Buffers& buffers_;
  MemoryAccount& memory_;
  ConnectionHandler& handler_;
  size_t batch_size_ = tls::RecordBatch::kSize;
  ByteQueue unsent_;  // ciphertext the socket did not take; while not empty nothing is produced
  HeldBytes held_;    // for it, and for what the session has not finished with
  std::unique_ptr<const Error> refusal_;
  bool waiting_for_pong_ = false;
  bool draining_ = false;    // drain() was called
  bool going_away_ = false;  // and the final GOAWAY is queued: no stream is taken any more
  std::unique_ptr<const Error> lost_;  // why nothing can be sent, while input is still read
  bool said_all_ = false;              // it was closed behind the end of its last stream
  bool closed_ = false;
};

}  // namespace culvert::h2
