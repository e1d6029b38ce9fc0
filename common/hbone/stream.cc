#include "common/hbone/stream.h"

#include "common/h2/errors.h"

#include <algorithm>
#include <string>
#include <utility>

namespace culvert::hbone {
namespace {

// NO_ERROR and CANCEL are how Istio's ztunnel ends a stream early, CONNECT_ERROR how a reset of the
// far socket arrives (RFC 9113 section 8.5); everything else is a failure of the tunnel.
Error closed_error(h2::ErrorCode code) {
  const std::string name(h2::to_string(code));
  switch (code) {
    case h2::ErrorCode::kRefusedStream:
      return Error(h2::Errc::kRefused);
    case h2::ErrorCode::kNoError:
    case h2::ErrorCode::kCancel:
    case h2::ErrorCode::kConnectError:
      return {h2::Errc::kStreamReset, name};
    default:
      return {h2::Errc::kConnectionLost, name};
  }
}

}  // namespace

Stream::Stream(h2::Connection& connection)
    : connection_(&connection), held_(connection.memory()), changed_(connection.reactor()) {}

Stream::~Stream() {
  // What is not over is reset, unless a refusal is on its way, which has a reset behind it.
  if (connection_ != nullptr && opened_) connection_->detach(*this);
}

Result<> Stream::open(std::span<const h2::Field> fields) {
  auto opened = connection_->open(fields, *this);
  opened_ = opened.has_value();
  return opened;
}

void Stream::accept(h2::StreamId id) {
  opened_ = true;
  connection_->accept(id, *this);
}

net::Task<Result<const h2::Head*>> Stream::head(Time deadline) {
  while (!head_) {
    if (failure_) co_return *failure_;
    if (!co_await changed_.wait(deadline)) co_return Error(culvert::Errc::kTimedOut);
  }
  co_return &*head_;
}

void Stream::respond(std::span<const h2::Field> fields, bool end) {
  if (connection_ == nullptr) return;
  connection_->respond(*this, fields, end);
  output_ended_ = end;
}

void Stream::attach(Observer* observer) {
  observer_ = observer;
  if (observer_ == nullptr) return;
  take_input();
  more_output();
}

void Stream::take_input() {
  if (observer_ == nullptr) return;
  if (!kept_.empty()) {
    const iovec all{kept_.readable().data(), kept_.size()};
    const size_t taken = observer_->on_data({&all, 1});
    kept_.consume(taken);
    kept_.shrink();
    if (kept_.empty()) held_.release();
    if (taken > 0 && connection_ != nullptr) connection_->consume(*this, taken);
  }
  deliver_end();
}

void Stream::more_output() {
  if (connection_ != nullptr && !output_ended_) connection_->resume(*this);
}

void Stream::reset(h2::ErrorCode code) {
  if (connection_ != nullptr) connection_->reset(*this, code);
}

// ---- from the session

void Stream::on_head(h2::Head head, bool /*end*/) {
  head_ = std::move(head);
  changed_.wake_all();
}

void Stream::on_data(std::span<const iovec> pieces) {
  size_t taken = 0;
  if (observer_ != nullptr && kept_.empty()) taken = observer_->on_data(pieces);
  if (taken > 0 && connection_ != nullptr) connection_->consume(*this, taken);
  for (const iovec& piece : pieces) {
    const size_t skip = std::min(taken, piece.iov_len);
    taken -= skip;
    kept_.append({static_cast<const uint8_t*>(piece.iov_base) + skip, piece.iov_len - skip});
  }
  if (kept_.empty()) return;
  if (auto held = held_.resize(kept_.capacity()); !held) give_up(held.error());
}

// Whoever should take the input has stalled, and waits for nothing: its end is now.
void Stream::give_up(const Error& refusal) {
  failure_ = refusal;
  kept_.clear();
  kept_.shrink();
  held_.release();
  connection_->reset(*this, h2::ErrorCode::kEnhanceYourCalm);
  deliver_end();
}

void Stream::on_end() {
  input_ended_ = true;
  deliver_end();
}

void Stream::on_closed(h2::ErrorCode code) {
  const Error* refusal = std::exchange(connection_, nullptr)->refusal();
  if (!failure_ && (!input_ended_ || !output_ended_))
    failure_ = refusal != nullptr ? *refusal : closed_error(code);
  deliver_end();
  changed_.wake_all();
}

// What came before the end goes first; then the end, then the failure.
void Stream::deliver_end() {
  if (observer_ == nullptr || !kept_.empty()) return;
  if (input_ended_ && !end_delivered_) {
    end_delivered_ = true;
    observer_->on_end();
  }
  if (failure_ && observer_ != nullptr) {
    Observer* observer = observer_;
    observer_ = nullptr;
    observer->on_reset(*failure_);
  }
}

h2::TunnelStream::Produced Stream::produce(std::span<const iovec> to) {
  if (observer_ == nullptr) return {};
  const Produced produced = observer_->produce(to);
  output_ended_ |= produced.end;
  return produced;
}

}  // namespace culvert::hbone
