#include "waypoint/codec/http2_stream.h"

#include "waypoint/codec/http2_head.h"

#include <algorithm>
#include <string>
#include <vector>

namespace culvert::waypoint {

Http2Stream::Http2Stream(Http2Transport& transport)
    : changed_(transport.reactor()), transport_(&transport), written_(transport.reactor()) {}

Http2Stream::~Http2Stream() { detach(); }

void Http2Stream::detach() {
  if (transport_ != nullptr && id_ >= 0) transport_->session().detach(id_);
  transport_ = nullptr;
}

void Http2Stream::wake() {
  changed_.wake_all();
  written_.wake_all();
}

// ---- for the exchange

net::Task<Result<BodyPiece>> Http2Stream::read(Time deadline) {
  handed_over_.clear();
  while (arrived_.empty() && !input_ended_) {
    if (failure_) co_return *failure_;
    handed_over_.shrink();
    if (!co_await changed_.wait(deadline)) co_return Error(culvert::Errc::kTimedOut);
  }
  std::swap(arrived_, handed_over_);
  if (transport_ != nullptr && !handed_over_.empty()) {
    transport_->session().consume(id_, handed_over_.size());
    transport_->flush();
  }
  BodyPiece piece;
  piece.data = handed_over_.readable();
  piece.end = input_ended_;
  if (piece.end) piece.trailers = std::move(trailers_in_);
  co_return piece;
}

net::Task<Result<>> Http2Stream::write_body(Bytes data, Time deadline) {
  writing_ = data;
  // The bytes are the caller's: nothing may point to them once this call is over, however it ends.
  struct Release {
    Bytes& writing;
    ~Release() { writing = {}; }
  } const release{writing_};
  if (transport_ != nullptr) {
    transport_->session().resume(id_);
    transport_->flush();
  }
  while (!writing_.empty()) {
    if (failure_) co_return *failure_;
    if (!co_await written_.wait(deadline)) co_return Error(culvert::Errc::kTimedOut);
  }
  co_return Result<>{};
}

net::Task<Result<>> Http2Stream::finish_body(const http::Headers& trailers, Time deadline) {
  trailers_out_ = trailers;
  finish_ = true;
  if (transport_ != nullptr && !output_ended_) {
    transport_->session().resume(id_);
    transport_->flush();
  }
  while (!output_ended_) {
    if (failure_) co_return *failure_;
    if (!co_await written_.wait(deadline)) co_return Error(culvert::Errc::kTimedOut);
  }
  co_return Result<>{};
}

void Http2Stream::cancel(h2::ErrorCode code) {
  if (transport_ == nullptr) return;
  const bool first = !failure_;
  fail(Error(culvert::Errc::kCancelled));
  if (first && id_ >= 0) {
    transport_->session().reset(id_, code);
    transport_->flush();
  }
  wake();
}

void Http2Stream::lost(Error error) {
  if (!input_ended_ || !output_ended_) fail(std::move(error));
  transport_ = nullptr;
  wake();
}

// ---- from the session

void Http2Stream::on_data(Bytes data) {
  counts_.body_received += data.size();
  counts_.wire_received += data.size();
  if (failure_) return;  // reset already: nobody will read it
  arrived_.append(data);
  changed_.wake_all();
}

void Http2Stream::on_trailers(h2::Head trailers) {
  counts_.wire_received += wire_size(trailers);
  for (const auto& field : trailers.fields) {
    if (trailers_in_.add(field.name, field.value)) continue;
    // Valid for the session, so over the limits of Headers.
    fail(Error(ExchangeErrc::kTooLarge, "trailers"));
    transport_->session().reset(id_, h2::ErrorCode::kEnhanceYourCalm);
    return wake();
  }
}

void Http2Stream::on_end() {
  if (!failure_) input_ended_ = true;
  changed_.wake_all();
}

void Http2Stream::on_closed(h2::ErrorCode code) {
  Error error;
  if (!input_ended_ || !output_ended_) error = closed_error(code);
  lost(std::move(error));
  on_over();
}

Error Http2Stream::closed_error(h2::ErrorCode code) const {
  std::string name(h2::to_string(code));
  if (transport_->over() && !reset_received_) return Error(ExchangeErrc::kConnectionLost);
  if (code == h2::ErrorCode::kRefusedStream) return Error(ExchangeErrc::kRefused);
  // NO_ERROR without the peer's reset is our own, behind a complete answer.
  if (reset_received_ || code == h2::ErrorCode::kNoError)
    return {ExchangeErrc::kPeerReset, std::move(name)};
  return {ExchangeErrc::kBadMessage, std::move(name)};
}

h2::StreamHandler::Produced Http2Stream::produce(MutableBytes to) {
  const size_t n = std::min(to.size(), writing_.size());
  std::copy_n(writing_.begin(), n, to.begin());
  writing_ = writing_.subspan(n);
  counts_.body_sent += n;
  counts_.wire_sent += n;
  if (!writing_.empty()) return {.bytes = n};
  written_.wake_all();
  if (!finish_) return {.bytes = n};
  output_ended_ = true;
  std::vector<h2::Field> fields;
  append_fields(fields, trailers_out_, FieldSet::kTrailers);
  ended_by_data_ = fields.empty();
  if (!ended_by_data_) {
    counts_.wire_sent += wire_size(fields);
    transport_->session().submit_trailers(id_, fields);
  }
  return {.bytes = n, .end = true, .trailers = !ended_by_data_};
}

}  // namespace culvert::waypoint
