#include "common/net/relay.h"

#include <algorithm>
#include <cerrno>
#include <chrono>

namespace culvert::net {
namespace {

// One direction's share of a turn: then other connections have theirs.
constexpr int kChunksPerTurn = 8;
// Read at a time while memory is short.
constexpr size_t kSmallChunk = 16 * 1024;

}  // namespace

bool is_disconnect(int errno_value) {
  return errno_value == ECONNRESET || errno_value == EPIPE || errno_value == ENOTCONN;
}

Relay::Relay(Socket& client, Socket& server, MutableBytes scratch, PipePool& pipes,
             MemoryAccount& memory, Meter& to_server, Meter& to_client)
    : scratch_(scratch),
      pipes_(pipes),
      memory_(memory),
      to_server_{.from = client, .to = server, .meter = to_server, .held = HeldBytes(memory)},
      to_client_{.from = server, .to = client, .meter = to_client, .held = HeldBytes(memory)},
      done_(client.reactor()) {}

Relay::~Relay() {
  to_server_.from.observe(nullptr);
  to_server_.to.observe(nullptr);
}

Task<RelayOutcome> Relay::run() {
  to_server_.from.observe(this);
  to_server_.to.observe(this);
  pump();
  while (!abandoned_ && (!to_server_.done || !to_client_.done)) co_await done_.wait();
  if (abandoned_) co_return RelayOutcome{};
  // A side that still sends, while nobody takes it, must not lose what it was sent.
  for (Direction* direction : {&to_server_, &to_client_}) {
    if (!direction->write_failed || direction->read_ended) continue;
    direction->from.observe(nullptr);
    co_await linger(direction->from, scratch_, Clock::now() + std::chrono::minutes(1));
  }
  co_return RelayOutcome{std::move(error_)};
}

void Relay::abandon() {
  abandoned_ = true;
  to_server_.done = to_client_.done = true;
  done_.wake_all();
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
      lost(direction, sent.error);
      direction.pending.clear();
    } else {
      direction.pending.consume(sent.bytes);
      direction.meter.add(before - direction.pending.size());
    }
    direction.pending.shrink();
    if (direction.pending.empty()) direction.held.release();
  }
  const MutableBytes scratch = memory_.has_room(scratch_.size())
                                   ? scratch_
                                   : scratch_.first(std::min(kSmallChunk, scratch_.size()));
  for (int chunk = 0; direction.pending.empty() && !direction.read_ended && !direction.write_failed;
       ++chunk) {
    const bool large = direction.moved >= kSpliceAfter && !direction.from.urgent() &&
                       memory_.has_room(Pipe::kCapacity);
    if (direction.pipe != nullptr || large) return splice(direction);
    if (!direction.from.readable()) return false;
    if (chunk == kChunksPerTurn) return true;
    const IoResult got = direction.from.recv(scratch);
    if (got.status == IoResult::Status::kWouldBlock) continue;
    if (got.done())
      write(direction, scratch.first(got.bytes));
    else
      take_end(direction, got);
  }
  if (direction.pending.empty()) finish(direction);
  return false;
}

// As move(), once it is worth a pipe. The pipe is the worker's again as soon as it is empty.
bool Relay::splice(Direction& direction) {
  auto& pipe = direction.pipe;
  if (pipe == nullptr) pipe = pipes_.take();
  if (pipe == nullptr) {
    direction.moved = 0;  // none is to be had: copy for a while
    return true;
  }
  bool more = false;
  for (int chunk = 0; !direction.write_failed; ++chunk) {
    if (pipe->held() > 0) {
      if (!direction.to.writable()) {
        hold(direction, pipe->held());
        return false;
      }
      const IoResult sent = direction.to.send(*pipe);
      if (sent.status == IoResult::Status::kError) lost(direction, sent.error);
      direction.meter.add(sent.bytes);
      continue;
    }
    if (direction.read_ended || !direction.from.readable()) break;
    if (more = chunk >= kChunksPerTurn || direction.from.urgent(); more) break;
    const IoResult got = direction.from.recv(*pipe);
    if (got.status == IoResult::Status::kWouldBlock || got.done()) continue;
    take_end(direction, got);
  }
  pipes_.give(std::move(pipe));
  direction.held.release();
  if (direction.read_ended || direction.write_failed) finish(direction);
  return more;
}

void Relay::take_end(Direction& direction, const IoResult& result) {
  direction.read_ended = true;
  direction.reset = result.status == IoResult::Status::kError;
  if (direction.reset && !is_disconnect(result.error))
    error_ = system_error(result.error, "receive");
}

// Nobody takes this direction any more. The other one still has its end to reach.
void Relay::lost(Direction& direction, int error) {
  direction.write_failed = true;
  if (!is_disconnect(error)) error_ = system_error(error, "send");
}

void Relay::write(Direction& direction, Bytes bytes) {
  const IoResult sent = direction.to.send(bytes);
  if (sent.status == IoResult::Status::kError) return lost(direction, sent.error);
  direction.meter.add(sent.bytes);
  direction.moved += bytes.size();
  direction.pending.append(bytes.subspan(sent.bytes));
  hold(direction, direction.pending.capacity());
}

// What waits because `direction.to` does not take it. Both ends are over if that may not be.
void Relay::hold(Direction& direction, size_t bytes) {
  auto held = direction.held.resize(bytes);
  if (held) return;
  error_ = held.error();
  for (Direction* each : {&to_server_, &to_client_}) {
    each->to.abort();
    each->pending.clear();
    each->read_ended = each->write_failed = each->done = true;
  }
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
  Event next_turn(socket.reactor());
  int chunks = 0;
  for (Time now = Clock::now(); now < deadline && socket.unacknowledged() > 0; now = Clock::now()) {
    const auto got = co_await socket.read(scratch, std::min(deadline, now + kPoll));
    if (got ? *got == 0 : got.error().code != make_error_code(Errc::kTimedOut)) co_return;
    // Who sends faster than this reads never makes it wait.
    if (++chunks % kChunksPerTurn == 0) co_await next_turn.wait(now);
  }
}

}  // namespace culvert::net
