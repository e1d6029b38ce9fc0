#include "common/net/relay.h"

#include <cerrno>
#include <chrono>

namespace culvert::net {
namespace {

// One direction's share of a turn: then other connections have theirs.
constexpr int kChunksPerTurn = 8;

}  // namespace

bool is_disconnect(int errno_value) {
  return errno_value == ECONNRESET || errno_value == EPIPE || errno_value == ENOTCONN;
}

Relay::Relay(Socket& client, Socket& server, MutableBytes scratch, Meter& to_server,
             Meter& to_client)
    : scratch_(scratch),
      to_server_{.from = client, .to = server, .meter = to_server},
      to_client_{.from = server, .to = client, .meter = to_client},
      done_(client.reactor()) {}

Relay::~Relay() {
  to_server_.from.observe(nullptr);
  to_server_.to.observe(nullptr);
}

Task<RelayOutcome> Relay::run() {
  to_server_.from.observe(this);
  to_server_.to.observe(this);
  pump();
  while (!to_server_.done || !to_client_.done) co_await done_.wait();
  // A side that still sends, while nobody takes it, must not lose what it was sent.
  for (Direction* direction : {&to_server_, &to_client_}) {
    if (!direction->write_failed || direction->read_ended) continue;
    direction->from.observe(nullptr);
    co_await linger(direction->from, scratch_, Clock::now() + std::chrono::minutes(1));
  }
  co_return RelayOutcome{std::move(error_)};
}

void Relay::pump() {
  const bool more_up = move(to_server_), more_down = move(to_client_);
  if (more_up || more_down) done_.reactor().next_turn(*this);
  if (to_server_.done && to_client_.done) done_.wake_all();
}

bool Relay::move(Direction& direction) {
  if (direction.done) return false;
  if (!direction.pending.empty() && direction.to.writable()) {
    Bytes queued = direction.pending.readable();
    const size_t before = queued.size();
    const IoResult sent = direction.to.send(queued);
    if (sent.status == IoResult::Status::kError) {
      direction.write_failed = true;
      if (!is_disconnect(sent.error)) error_ = system_error(sent.error, "send");
      direction.pending.clear();
    } else {
      direction.pending.consume(sent.bytes);
      direction.meter.add(before - direction.pending.size());
    }
    direction.pending.shrink();
  }
  for (int chunk = 0; direction.pending.empty() && !direction.read_ended && !direction.write_failed;
       ++chunk) {
    if (!direction.from.readable()) return false;
    if (chunk == kChunksPerTurn) return true;
    const IoResult got = direction.from.recv(scratch_);
    if (got.status == IoResult::Status::kWouldBlock) continue;
    if (got.done()) {
      write(direction, scratch_.first(got.bytes));
      continue;
    }
    direction.read_ended = true;
    direction.reset = got.status == IoResult::Status::kError;
    if (direction.reset && !is_disconnect(got.error)) error_ = system_error(got.error, "receive");
  }
  if (direction.pending.empty()) finish(direction);
  return false;
}

void Relay::write(Direction& direction, Bytes bytes) {
  const IoResult sent = direction.to.send(bytes);
  if (sent.status == IoResult::Status::kError) {
    // Nobody takes this direction any more. The other one still has its end to reach.
    direction.write_failed = true;
    if (!is_disconnect(sent.error)) error_ = system_error(sent.error, "send");
    return;
  }
  direction.meter.add(sent.bytes);
  direction.pending.append(bytes.subspan(sent.bytes));
}

void Relay::finish(Direction& direction) {
  if (direction.reset) {
    direction.to.abort();
    // A reset ends both directions of its connection.
    to_server_.done = to_client_.done = true;
    to_server_.read_ended = to_client_.read_ended = true;
    return;
  }
  if (direction.read_ended && !direction.write_failed) direction.to.finish_output();
  direction.done = true;
}

Task<> linger(Socket& socket, MutableBytes scratch, Time deadline) {
  constexpr auto kPoll = std::chrono::milliseconds(100);
  for (Time now = Clock::now(); now < deadline && socket.unacknowledged() > 0; now = Clock::now()) {
    const auto got = co_await socket.read(scratch, std::min(deadline, now + kPoll));
    if (got ? *got == 0 : got.error().code != make_error_code(Errc::kTimedOut)) co_return;
  }
}

}  // namespace culvert::net
