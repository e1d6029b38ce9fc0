#pragma once

#include "common/hbone/stream.h"
#include "common/net/relay.h"
#include "common/net/socket.h"

namespace culvert::hbone {

// Copies between an application's socket and a tunnel stream until both directions have ended.
//   socket → stream: when the tunnel has room it asks, and the socket is read straight into the
//   records. stream → socket: what came in one read of the tunnel is written to the socket at once;
//   the stream keeps what does not fit.
// FIN ↔ END_STREAM, after every byte before it. A reset on one side becomes a reset on the other
// (RFC 9113 section 8.5: CONNECT_ERROR; any RST_STREAM or a lost tunnel resets the socket).
class Relay final : public net::Abandonable,
                    private net::Socket::Observer,
                    private Stream::Observer {
 public:
  // `scratch`: the worker's. References outlive the relay.
  Relay(Stream& stream, net::Socket& socket, MutableBytes scratch, net::Meter& to_stream,
        net::Meter& to_socket);
  ~Relay();
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  // Bytes for the socket that go before anything from the stream (a PROXY header).
  void prepend(Bytes bytes);
  // Returns when both directions have ended. Destroying the task abandons the copy.
  net::Task<net::RelayOutcome> run();
  void abandon() override;

 private:
  void on_ready() override;
  size_t on_data(std::span<const iovec> pieces) override;
  void on_end() override;
  void on_reset(const Error& error) override;
  h2::TunnelStream::Produced produce(std::span<const iovec> to) override;
  bool send_prefix();
  void receive_failed(int error);
  void write_failed(int error);
  void check_done();

  Stream& stream_;
  net::Socket& socket_;
  MutableBytes scratch_;
  net::Meter& to_stream_;
  net::Meter& to_socket_;
  ByteQueue prefix_;
  bool want_read_ = false;     // the tunnel asked and the socket had nothing
  bool want_write_ = false;    // the stream has more than the socket took
  bool socket_ended_ = false;  // FIN or reset read: END_STREAM or RST_STREAM follows
  bool stream_ended_ = false;  // END_STREAM taken: FIN sent
  bool write_failed_ = false;  // the application takes nothing any more
  bool peer_stopped_ = false;  // the stream is gone while the application still sends
  bool done_ = false;
  Error error_;
  net::Event finished_;
};

}  // namespace culvert::hbone
