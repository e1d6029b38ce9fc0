#include "common/hbone/relay.h"

#include "common/h2/errors.h"

#include <chrono>

namespace culvert::hbone {

Relay::Relay(Stream& stream, net::Socket& socket, MutableBytes scratch, net::Meter& to_stream,
             net::Meter& to_socket)
    : stream_(stream),
      socket_(socket),
      scratch_(scratch),
      to_stream_(to_stream),
      to_socket_(to_socket),
      finished_(socket.reactor()) {}

Relay::~Relay() {
  socket_.observe(nullptr);
  stream_.attach(nullptr);
}

void Relay::prepend(Bytes bytes) { prefix_.append(bytes); }

net::Task<net::RelayOutcome> Relay::run() {
  socket_.observe(this);
  send_prefix();
  stream_.attach(this);
  while (!done_) co_await finished_.wait();
  if (peer_stopped_) {
    // The application still sends what nobody takes. A reset tells it, but only after it has what
    // it was sent.
    socket_.observe(nullptr);
    co_await net::linger(socket_, scratch_, Clock::now() + std::chrono::minutes(1));
  }
  co_return net::RelayOutcome{std::move(error_)};
}

void Relay::on_ready() {
  if (want_read_ && socket_.readable()) {
    want_read_ = false;
    stream_.more_output();
  }
  if (!socket_.writable()) return;
  if (!send_prefix()) return;
  if (want_write_) {
    want_write_ = false;
    stream_.take_input();
  }
}

bool Relay::send_prefix() {
  while (!prefix_.empty() && socket_.writable() && !write_failed_) {
    const net::IoResult sent = socket_.send(prefix_.readable());
    if (sent.status == net::IoResult::Status::kError) write_failed(sent.error);
    prefix_.consume(sent.bytes);
  }
  if (!prefix_.empty() && !write_failed_) return false;
  prefix_.clear();
  prefix_.shrink();
  return true;
}

// ---- socket → stream

h2::StreamHandler::Produced Relay::produce(MutableBytes to) {
  if (socket_ended_) return {};
  // A short read has already shown that there is nothing more: asking again costs a system call for
  // every small message.
  if (!socket_.readable()) {
    want_read_ = true;
    return {};
  }
  const net::IoResult got = socket_.recv(to);
  switch (got.status) {
    case net::IoResult::Status::kDone:
      to_stream_.add(got.bytes);
      return {.bytes = got.bytes};
    case net::IoResult::Status::kWouldBlock:
      want_read_ = true;
      return {};
    case net::IoResult::Status::kEof:
      socket_ended_ = true;
      check_done();
      return {.end = true};
    case net::IoResult::Status::kError:
      break;
  }
  socket_ended_ = true;
  if (!net::is_disconnect(got.error)) error_ = system_error(got.error, "receive");
  stream_.reset(h2::ErrorCode::kConnectError);
  done_ = true;
  finished_.wake_all();
  return {};
}

// ---- stream → socket

size_t Relay::on_data(Bytes data) {
  if (write_failed_) return data.size();  // dropped: the application is gone
  if (!prefix_.empty()) {
    want_write_ = true;
    return 0;
  }
  const net::IoResult sent = socket_.send(data);
  if (sent.status == net::IoResult::Status::kError) {
    write_failed(sent.error);
    return data.size();
  }
  to_socket_.add(sent.bytes);
  want_write_ = sent.bytes < data.size();
  return sent.bytes;
}

void Relay::write_failed(int error) {
  // The other direction still has its end to reach: the application may have answered and closed.
  write_failed_ = true;
  if (!net::is_disconnect(error)) error_ = system_error(error, "send");
  check_done();
}

void Relay::on_end() {
  stream_ended_ = true;
  socket_.finish_output();
  check_done();
}

void Relay::on_reset(const Error& error) {
  if (done_) return;
  if (stream_ended_) {
    peer_stopped_ = !socket_ended_;  // it had said all it had to say
  } else {
    // The application learns it as a reset in any case; in the log it is an error only when the
    // tunnel failed.
    socket_.abort();
    if (error.code != make_error_code(h2::Errc::kStreamReset)) error_ = error;
  }
  done_ = true;
  finished_.wake_all();
}

void Relay::check_done() {
  if (socket_ended_ && write_failed_ && !stream_ended_) {
    // Everything the application said is on its way; what the peer still sends goes nowhere.
    stream_.reset(h2::ErrorCode::kNoError);
    done_ = true;
  }
  done_ |= socket_ended_ && stream_ended_;
  if (done_) finished_.wake_all();
}

}  // namespace culvert::hbone
