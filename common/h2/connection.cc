#include "common/h2/connection.h"

#include "common/h2/errors.h"
#include "common/net/relay.h"

namespace culvert::h2 {
namespace {

// Of a tunnel, in the kernel: what a stream says next waits behind no more.
constexpr size_t kMaxUnsent = 128 * 1024;
// What the session holds of ordinary heads and answers is not counted: it is there for a turn.
constexpr size_t kOrdinary = 16 * 1024;
constexpr int kStepsPerTurn = 4;  // then other connections have their turn
constexpr auto kLongestLinger = std::chrono::minutes(1);

}  // namespace

Buffers::Buffers() : input(std::make_unique_for_overwrite<uint8_t[]>(kInputSize)) {}

Connection::Connection(Role role, std::unique_ptr<net::Socket> socket,
                       std::unique_ptr<tls::Engine> engine, const TunnelSettings& settings,
                       const Keepalive& keepalive, Buffers& buffers, MemoryAccount& memory,
                       ConnectionHandler& handler)
    : role_(role),
      socket_(std::move(socket)),
      local_address_(socket_->local_address()),
      engine_(std::move(engine)),
      session_(role, settings, memory, *this),
      keepalive_(keepalive),
      buffers_(buffers),
      memory_(memory),
      handler_(handler),
      held_(memory) {}

Connection::~Connection() {
  socket_->observe(nullptr);
  if (!closed_) {
    closed_ = true;
    session_.fail(ErrorCode::kCancel);
  }
}

void Connection::start() {
  socket_->observe(this);
  socket_->limit_unsent(kMaxUnsent);
  batch_size_ = tls::RecordBatch::whole_packets(socket_->segment_size());
  reactor().arm(*this, Clock::now() + keepalive_.interval);
  // Application data may have come with the last handshake flight.
  if (!goes_on(engine_->open({}, *this, unsent_))) return;
  schedule_flush();
  read_some();
}

// ---- input

void Connection::on_ready() {
  if (closed_) return;
  if (socket_->writable()) schedule_flush();
  read_some();
}

void Connection::read_some() {
  const MutableBytes input = buffers_.input_bytes();
  for (int step = 0; !closed_ && (socket_->readable() || lost_); ++step) {
    if (step == kStepsPerTurn) return reactor().next_turn(*this);
    const size_t kept = engine_->take_partial(input);
    const net::IoResult got = socket_->recv(input.subspan(kept));
    if (got.status == net::IoResult::Status::kError)
      return fail(ErrorCode::kInternalError, system_error(got.error, "connection lost"));
    if (got.status == net::IoResult::Status::kEof)
      return fail(ErrorCode::kInternalError,
                  Error(Errc::kConnectionLost, "the peer closed the connection"));
    if (!goes_on(engine_->open(input.first(kept + got.bytes), *this, unsent_))) return;
    if (lost_ && !got.done()) return fail(ErrorCode::kInternalError, *lost_);
    if (!closed_ && !pay()) return;
  }
  flush_if_wanted();
}

// What open() says. False: that was the end.
bool Connection::goes_on(const Result<bool>& opened) {
  if (opened && *opened) return true;
  if (opened) {
    fail(ErrorCode::kInternalError,
         Error(Errc::kConnectionLost, "the peer closed the TLS connection"));
    return false;
  }
  if (!closed_) say_last();  // GOAWAY or an alert: let the peer know why
  fail(ErrorCode::kProtocolError, opened.error());
  return false;
}

Result<> Connection::on_plaintext(MutableBytes plaintext) { return session_.feed(plaintext); }
void Connection::on_open_done() { session_.end_of_read(); }

// ---- output

void Connection::schedule_flush() {
  if (!closed_) reactor().at_turn_end(*this);
}

void Connection::flush_if_wanted() {
  if (!unsent_.empty() || session_.wants_write() || session_.finished()) schedule_flush();
}

void Connection::on_turn() {
  if (closed_) return;
  if (socket_->readable() || lost_) read_some();
  if (!closed_) flush();
}

// False while the socket takes no more, and when the connection was closed or lost.
bool Connection::send_pending() {
  if (lost_) return false;
  while (!unsent_.empty()) {
    if (!socket_->writable()) return false;
    const net::IoResult sent = socket_->send(unsent_.readable());
    if (sent.status == net::IoResult::Status::kError) {
      lose(sent.error);
      return false;
    }
    unsent_.consume(sent.bytes);
  }
  unsent_.shrink();
  return pay();
}

void Connection::flush() {
  tls::RecordBatch& batch = buffers_.batch;
  for (int step = 0; send_pending() && session_.wants_write(); ++step) {
    if (step == kStepsPerTurn) return reactor().next_turn(*this);
    batch.clear(batch_size_);
    session_.fill(batch);
    if (closed_ || batch.empty()) break;
    const auto sealed = engine_->seal(batch, unsent_);
    if (!sealed) return fail(ErrorCode::kInternalError, sealed.error());
    net::IoResult sent;
    if (unsent_.empty()) sent = socket_->send(*sealed);
    if (sent.status == net::IoResult::Status::kError) return lose(sent.error);
    unsent_.append(sealed->subspan(sent.bytes));
    if (!pay()) return;
  }
  if (!closed_ && !lost_ && session_.finished() && unsent_.empty()) {
    said_all_ = true;
    close(ErrorCode::kNoError, Error(Errc::kGoingAway));
  }
}

// Nothing can be sent any more. What the peer said before it went is still read, from the next turn
// on: it may be all it had to say. The end of that is the connection's.
void Connection::lose(int error) {
  lost_ = std::make_unique<const Error>(system_error(error, "connection lost"));
  unsent_.clear();
  unsent_.shrink();
  reactor().next_turn(*this);
}

// ---- streams

Result<> Connection::open(std::span<const Field> fields, TunnelStream& stream) {
  if (closed_) return Error(Errc::kGoingAway);
  auto opened = session_.open(fields, stream);
  schedule_flush();
  return opened;
}

void Connection::respond(TunnelStream& stream, std::span<const Field> fields, bool end) {
  if (closed_) return;
  session_.respond(stream, fields, end);
  schedule_flush();
}

void Connection::consume(TunnelStream& stream, size_t n) {
  if (closed_) return;
  session_.consume(stream, n);
  flush_if_wanted();
}

void Connection::resume(TunnelStream& stream) {
  if (closed_) return;
  session_.resume(stream);
  flush_if_wanted();
}

void Connection::reset(TunnelStream& stream, ErrorCode code) {
  if (closed_) return;
  session_.reset(stream, code);
  schedule_flush();
}

void Connection::detach(TunnelStream& stream) {
  session_.detach(stream);
  flush_if_wanted();
}

bool Connection::on_stream(StreamId id) { return !going_away_ && handler_.on_stream(id); }

void Connection::on_goaway(ErrorCode /*code*/, StreamId /*last*/) { handler_.on_going_away(); }

// ---- keepalive: one timer, alternately "time to ask" and "no answer"

void Connection::on_timer() {
  if (closed_) return;
  if (waiting_for_pong_) return close(ErrorCode::kNoError, Error(Errc::kPingTimeout));
  waiting_for_pong_ = true;
  session_.ping();
  schedule_flush();
  reactor().arm(*this, Clock::now() + keepalive_.timeout);
}

void Connection::on_ping_ack() {
  waiting_for_pong_ = false;
  reactor().arm(*this, Clock::now() + keepalive_.interval);
}

// ---- end

void Connection::drain() {
  if (closed_ || draining_) return;
  draining_ = true;
  if (role_ == Role::kServer)
    session_.notify_shutdown();
  else
    go_away();
  schedule_flush();
}

void Connection::on_shutdown_noticed() {
  if (draining_ && !going_away_) go_away();
}

void Connection::go_away() {
  going_away_ = true;
  session_.goaway(ErrorCode::kNoError);
  schedule_flush();
}

void Connection::close(ErrorCode code, const Error& reason) {
  if (closed_) return;
  if (!session_.finished()) session_.goaway(code);  // else it has been said
  say_last();
  fail(ErrorCode::kInternalError, reason);
}

// Best effort: a peer that does not read learns it from the FIN.
void Connection::say_last() {
  if (!send_pending()) return;
  tls::RecordBatch& batch = buffers_.batch;
  batch.clear();
  session_.fill(batch);
  const auto sealed = engine_->seal(batch, unsent_);
  if (!sealed) return;
  unsent_.append(*sealed);
  engine_->close_notify(unsent_);
  send_pending();
}

net::Task<> Connection::linger() {
  if (said_all_)
    co_await net::linger(*socket_, buffers_.input_bytes(), Clock::now() + kLongestLinger);
}

// For what is held now. False: that was refused, and the connection is closed.
bool Connection::pay() {
  const size_t session = session_.held_bytes();
  const auto paid = held_.resize(unsent_.capacity() + (session > kOrdinary ? session : 0));
  if (!paid) give_up(paid.error());
  return static_cast<bool>(paid);
}

// The peer does not read, so it cannot be told; what the kernel still has for it goes as well.
void Connection::give_up(const Error& refusal) {
  refusal_ = std::make_unique<const Error>(refusal);
  socket_->abort();
  fail(ErrorCode::kEnhanceYourCalm, refusal);
}

void Connection::fail(ErrorCode code, const Error& reason) {
  if (closed_) return;
  closed_ = true;
  disarm();
  if (net::TurnHook::is_linked()) net::TurnHook::unlink();
  socket_->observe(nullptr);
  session_.fail(code);
  socket_->finish_output();
  unsent_.clear();
  unsent_.shrink();
  held_.release();
  handler_.on_closed(reason);
}

}  // namespace culvert::h2
