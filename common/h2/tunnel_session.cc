#include "common/h2/tunnel_session.h"

#include "common/h2/errors.h"
#include "common/h2/limits.h"
#include "common/h2/pings.h"

#include <algorithm>
#include <limits>
#include <vector>

namespace culvert::h2 {
namespace {

constexpr size_t kMaxAcknowledgements = 1000;

}  // namespace

TunnelSession::TunnelSession(Role role, const TunnelSettings& settings, const MemoryAccount& memory,
                             TunnelHandler& handler)
    : role_(role),
      settings_(settings),
      memory_(memory),
      handler_(handler),
      reader_(settings.max_frame_size, role == Role::kServer),
      decoder_(settings.max_header_list),
      peer_max_streams_(settings.assumed_peer_streams),
      receive_window_(std::max(settings.connection_window, kDefaultWindow)),
      initial_window_(std::min(settings.initial_window, settings.max_window)),
      growth_(initial_window_, settings.max_window) {
  if (role == Role::kClient) control_.append(as_bytes(kPreface));
  ByteQueue payload;
  append_setting(payload, Setting::kInitialWindowSize, initial_window_);
  append_setting(payload, Setting::kMaxFrameSize, settings.max_frame_size);
  append_setting(payload, Setting::kMaxHeaderListSize, settings.max_header_list);
  if (role == Role::kClient) append_setting(payload, Setting::kEnablePush, 0);
  if (settings.max_concurrent_streams)
    append_setting(payload, Setting::kMaxConcurrentStreams, *settings.max_concurrent_streams);
  append_frame(control_,
               {.length = static_cast<uint32_t>(payload.size()), .type = FrameType::kSettings},
               payload.readable());
  if (receive_window_ > kDefaultWindow)
    append_window_update(control_, 0, static_cast<uint32_t>(receive_window_ - kDefaultWindow));
}

TunnelSession::~TunnelSession() = default;

// ---- streams

TunnelStream* TunnelSession::find(StreamId id) {
  const auto found = streams_.find(id);
  return found == streams_.end() ? nullptr : found->second;
}

bool TunnelSession::was_used(StreamId id) const {
  if (id % 2 == 0) return false;
  return role_ == Role::kClient ? id < next_id_ : id <= last_peer_stream_;
}

void TunnelSession::skip_to(StreamId id) {
  const StreamId next = last_peer_stream_ == 0 ? 1 : last_peer_stream_ + 2;
  if (id == next) return;
  std::ranges::rotate(skipped_, skipped_.end() - 1);
  skipped_.front() = {next, id - 2};
}

bool TunnelSession::was_skipped(StreamId id) const {
  return std::ranges::any_of(
      skipped_, [&](const Skipped& range) { return range.first <= id && id <= range.last; });
}

void TunnelSession::add(StreamId id, TunnelStream& stream) {
  stream.id_ = id;
  stream.send_window_ = peer_initial_window_;
  // What was announced, however far others have grown; until the peer has our SETTINGS it may use
  // the default.
  stream.window_ = initial_window_;
  stream.receive_window_ = std::max(initial_window_, kDefaultWindow);
  streams_.emplace(id, &stream);
  schedule(stream);
}

void TunnelSession::forget(TunnelStream& stream) {
  if (stream.is_linked()) stream.unlink();
  if (gathered_for_ == &stream) gathered_for_ = nullptr, gathered_count_ = 0;
  if (data_stream_ == &stream) data_stream_ = nullptr;
  if (producing_ == &stream) producing_ = nullptr;
  streams_.erase(stream.id_);
  stream.id_ = 0;
}

void TunnelSession::remove(TunnelStream& stream, ErrorCode code) {
  forget(stream);
  stream.on_closed(code);
}

// Called where callbacks are not expected: the stream learns it in fill().
void TunnelSession::close_later(TunnelStream& stream, ErrorCode code) {
  if (stream.closing_) return;
  stream.closing_ = code;
  if (stream.is_linked()) stream.unlink();
  closing_.push_back(stream);
}

void TunnelSession::tell_closed() {
  while (!closing_.empty()) {
    TunnelStream& stream = closing_.front();
    remove(stream, *stream.closing_);
  }
}

void TunnelSession::close_if_over(TunnelStream& stream) {
  if (!stream.input_ended_ || !stream.output_ended_ || stream.closing_) return;
  forced_resets_.ended_well();
  remove(stream, ErrorCode::kNoError);
}

void TunnelSession::queue_reset(TunnelStream& stream, ErrorCode code) {
  if (stream.closing_) return;
  append_rst_stream(control_, stream.id_, code);
  close_later(stream, code);
}

Result<> TunnelSession::open(std::span<const Field> fields, TunnelStream& stream) {
  if (!accepts_requests()) return Error(Errc::kGoingAway);
  if (held_.empty() && streams_.size() < peer_max_streams_) {
    send_request(fields, stream);
    return {};
  }
  Held& held = held_.emplace_back();
  held.stream = &stream;
  for (const Field& field : fields)
    held.fields.push_back({{std::string(field.name), std::string(field.value)}, field.no_index});
  return {};
}

void TunnelSession::send_request(std::span<const Field> fields, TunnelStream& stream) {
  const StreamId id = next_id_;
  next_id_ += 2;
  stream.answered_ = true;
  add(id, stream);
  ByteQueue block;
  encoder_.encode(fields, block);
  append_header_block(control_, id, false, block.readable(), peer_max_frame_size_);
}

void TunnelSession::release_held() {
  while (!held_.empty() && streams_.size() < peer_max_streams_) {
    const Held held = std::move(held_.front());
    held_.erase(held_.begin());
    std::vector<Field> fields;
    fields.reserve(held.fields.size());
    for (const auto& [entry, no_index] : held.fields)
      fields.push_back({entry.name, entry.value, no_index});
    send_request(fields, *held.stream);
  }
}

bool TunnelSession::drop_held(TunnelStream& stream) {
  return std::erase_if(held_, [&](const Held& held) { return held.stream == &stream; }) > 0;
}

void TunnelSession::accept(StreamId id, TunnelStream& stream) { add(id, stream); }

void TunnelSession::respond(TunnelStream& stream, std::span<const Field> fields, bool end) {
  if (stream.id_ == 0 || stream.closing_ || stream.output_ended_) return;
  ByteQueue block;
  encoder_.encode(fields, block);
  append_header_block(control_, stream.id_, end, block.readable(), peer_max_frame_size_);
  stream.answered_ = true;
  if (!end) return schedule(stream);
  stream.output_ended_ = true;
  if (stream.input_ended_) {
    forced_resets_.ended_well();
    return close_later(stream, ErrorCode::kNoError);
  }
  // RFC 9113 section 8.1: the answer is complete without the rest of the request.
  queue_reset(stream, ErrorCode::kNoError);
}

void TunnelSession::consume(TunnelStream& stream, size_t n) {
  if (stream.id_ == 0 || stream.input_ended_ || stream.closing_) return;
  stream.unreturned_ += static_cast<uint32_t>(n);
  if (stream.unreturned_ < stream.window_ / 2) return;
  // A window is what we may have to hold. While memory is tight it does not grow, and shrinks by
  // what is not given back.
  const uint32_t window =
      memory_.tight() ? std::min(stream.window_, initial_window_) : growth_.window();
  const int64_t returned = int64_t{stream.unreturned_} + window - stream.window_;
  if (returned > 0) {
    append_window_update(control_, stream.id_, static_cast<uint32_t>(returned));
    stream.receive_window_ += returned;
    stream.window_ = window;
  } else {
    stream.window_ -= stream.unreturned_;
  }
  stream.unreturned_ = 0;
}

void TunnelSession::resume(TunnelStream& stream) {
  stream.can_produce_ = true;
  schedule(stream);
}

void TunnelSession::reset(TunnelStream& stream, ErrorCode code) {
  if (stream.id_ != 0)
    queue_reset(stream, code);
  else if (drop_held(stream))
    close_later(stream, code);
}

void TunnelSession::detach(TunnelStream& stream) {
  drop_held(stream);
  const bool carried = stream.answered_ && stream.head_received_;
  if (stream.id_ != 0) queue_reset(stream, carried ? ErrorCode::kConnectError : ErrorCode::kCancel);
  forget(stream);
}

// ---- the connection

void TunnelSession::measure() {
  if (!growth_.wants_ping(received_)) return;
  append_ping(control_, false, pings::kMeasure);
  growth_.asked(received_, Clock::now());
}

Result<> TunnelSession::count_queued(bool acknowledgement) {
  acknowledgements_ += acknowledgement ? 1 : 0;
  return acknowledgements_ > kMaxAcknowledgements || ++queued_ > limits::kQueuedFrames ? flood()
                                                                                       : Result<>{};
}

void TunnelSession::ping() { append_ping(control_, false, pings::kKeepalive); }

void TunnelSession::notify_shutdown() {
  if (role_ != Role::kServer) return;
  append_goaway(control_, kNoticeId, ErrorCode::kNoError);
  append_ping(control_, false, pings::kShutdown);
  noticing_ = true;
}

void TunnelSession::goaway(ErrorCode code) {
  append_goaway(control_, last_taken_, code);
  goaway_sent_ = true;
}

void TunnelSession::fail(ErrorCode code) {
  failed_ = true;
  // One by one: a stream's owner may detach another.
  while (!streams_.empty()) remove(*streams_.begin()->second, code);
  while (!held_.empty()) {
    TunnelStream& stream = *held_.back().stream;
    held_.pop_back();
    stream.on_closed(code);
  }
  tell_closed();
}

bool TunnelSession::accepts_requests() const {
  return role_ == Role::kClient && !failed_ && !goaway_sent_ && !goaway_received_ &&
         next_id_ < std::numeric_limits<StreamId>::max() - 1;
}

bool TunnelSession::wants_write() const {
  if (!control_.empty() || !closing_.empty()) return true;
  if (!held_.empty() && streams_.size() < peer_max_streams_) return true;
  return send_window_ > 0 && (!light_.empty() || !bulk_.empty());
}

bool TunnelSession::finished() const {
  return (goaway_sent_ || goaway_received_) && streams() == 0 && control_.empty();
}

}  // namespace culvert::h2
