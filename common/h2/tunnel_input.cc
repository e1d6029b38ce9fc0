// TunnelSession: what arrives.
#include "common/h2/errors.h"
#include "common/h2/limits.h"
#include "common/h2/pings.h"
#include "common/h2/tunnel_session.h"

#include <algorithm>
#include <limits>
#include <vector>

namespace culvert::h2 {
namespace {

constexpr int kMaxContinuations = 64;

bool carries(const std::array<uint8_t, 8>& expected, Bytes payload) {
  return std::equal(expected.begin(), expected.end(), payload.begin(), payload.end());
}

// What comes before a HEADERS frame's block: the length of the padding, and the priority.
size_t prefix_of(const FrameHeader& header) {
  return (header.has(flags::kPadded) ? 1U : 0U) + (header.has(flags::kPriority) ? 5U : 0U);
}

// What is left of a HEADERS payload without padding and priority (RFC 9113 section 6.2).
std::optional<Bytes> fragment_of(const FrameHeader& header, Bytes payload) {
  const size_t padding = header.has(flags::kPadded) ? payload.front() : 0;
  payload = payload.subspan(prefix_of(header));
  if (payload.size() < padding) return std::nullopt;
  return payload.first(payload.size() - padding);
}

}  // namespace

Result<> TunnelSession::feed(MutableBytes bytes) {
  if (failed_) return Error(Errc::kProtocol, "the connection has failed before");
  auto taken = reader_.feed(bytes, *this);
  if (!taken && !failed_) {
    goaway(reader_.failure());
    failed_ = true;
  }
  return taken;
}

void TunnelSession::end_of_read() { hand_on(); }

Result<> TunnelSession::break_off(ErrorCode code, const char* what) {
  hand_on();
  goaway(code);
  failed_ = true;
  return Error(Errc::kProtocol, what);
}

Result<> TunnelSession::flood() {
  static_cast<void>(break_off(ErrorCode::kEnhanceYourCalm, ""));
  return Error(Errc::kFlood);
}

Result<> TunnelSession::forced_reset() {
  if (!forced_resets_.count(Clock::now())) return flood();
  return count_queued(false);
}

Result<> TunnelSession::reset_by_error(TunnelStream& stream, ErrorCode code) {
  const StreamId id = stream.id_;
  hand_on();  // may be its end
  if (TunnelStream* still = find(id)) queue_reset(*still, code);
  return forced_reset();
}

// ---- frames

Result<> TunnelSession::on_frame_header(const FrameHeader& header) {
  // RFC 9113 section 3.4; an acknowledgement is no preface.
  if (!settings_received_ && (header.type != FrameType::kSettings || header.has(flags::kAck)))
    return break_off(ErrorCode::kProtocolError, "the peer's first frame is not SETTINGS");
  const bool continues = header.type == FrameType::kContinuation;
  if ((block_stream_ != 0) != continues || (continues && header.stream != block_stream_))
    return break_off(ErrorCode::kProtocolError, "a header block is interrupted");
  if (header.type == FrameType::kData) return begin_data(header);
  return {};
}

Result<> TunnelSession::on_frame(const FrameHeader& header, Bytes payload) {
  switch (header.type) {
    case FrameType::kHeaders:
      return take_headers(header, payload);
    case FrameType::kContinuation:
      return take_continuation(header, payload);
    case FrameType::kRstStream:
      return take_rst_stream(header, payload);
    case FrameType::kSettings:
      return take_settings(header, payload);
    case FrameType::kPing:
      return take_ping(header, payload);
    case FrameType::kGoaway:
      if (header.stream != 0) return break_off(ErrorCode::kProtocolError, "GOAWAY of a stream");
      if (payload.size() < 8) return break_off(ErrorCode::kFrameSizeError, "a malformed GOAWAY");
      return take_goaway(payload);
    case FrameType::kWindowUpdate:
      return take_window_update(header, payload);
    case FrameType::kPushPromise:
      return break_off(ErrorCode::kProtocolError, "a push, which was not allowed");
    case FrameType::kPriority:
      return take_priority(header, payload);
    case FrameType::kData:
      break;
  }
  return {};
}

// ---- DATA

Result<> TunnelSession::begin_data(const FrameHeader& header) {
  data_stream_ = nullptr;
  if (!was_used(header.stream))
    return break_off(ErrorCode::kProtocolError, "DATA for a stream that was never opened");
  receive_window_ -= header.length;
  if (receive_window_ < 0)
    return break_off(ErrorCode::kFlowControlError, "more DATA than the connection's window");
  received_ += header.length;
  unreturned_ += header.length;
  if (unreturned_ >= settings_.connection_window / 2) {
    append_window_update(control_, 0, unreturned_);
    receive_window_ += unreturned_;
    unreturned_ = 0;
  }
  measure();
  TunnelStream* stream = find(header.stream);
  if (stream == nullptr || stream->closing_) return {};  // gone: what is on its way is dropped
  if (stream->input_ended_) return reset_by_error(*stream, ErrorCode::kStreamClosed);
  // RFC 9113 section 8.1: a message begins with its head.
  if (!stream->head_received_) return reset_by_error(*stream, ErrorCode::kProtocolError);
  stream->receive_window_ -= header.length;
  if (stream->receive_window_ < 0) return reset_by_error(*stream, ErrorCode::kFlowControlError);
  data_stream_ = stream;
  return {};
}

Result<> TunnelSession::on_data_piece(MutableBytes piece) {
  useless_ = 0;
  if (data_stream_ == nullptr || data_stream_->closing_) return {};
  if (gathered_for_ != data_stream_ || gathered_count_ == gathered_.size()) hand_on();
  gathered_for_ = data_stream_;
  gathered_[gathered_count_++] = {piece.data(), piece.size()};
  return {};
}

Result<> TunnelSession::on_data_end(const FrameHeader& header, size_t overhead) {
  const bool end = header.has(flags::kEndStream);
  if (header.length == overhead && !end && ++useless_ > limits::kUselessFrames) return flood();
  TunnelStream* stream = data_stream_;
  data_stream_ = nullptr;
  if (stream == nullptr) return {};
  if (overhead > 0) consume(*stream, overhead);
  if (!end) return {};
  hand_on();
  if (TunnelStream* still = find(header.stream); still != nullptr && !still->closing_)
    end_input_of(*still);
  return {};
}

void TunnelSession::hand_on() {
  TunnelStream* stream = std::exchange(gathered_for_, nullptr);
  const size_t count = std::exchange(gathered_count_, 0);
  if (stream != nullptr && !stream->closing_) stream->on_data(std::span(gathered_).first(count));
}

void TunnelSession::end_input_of(TunnelStream& stream) {
  stream.input_ended_ = true;
  const StreamId id = stream.id_;
  stream.on_end();
  if (TunnelStream* still = find(id)) close_if_over(*still);
}

// ---- heads

Result<> TunnelSession::take_headers(const FrameHeader& header, Bytes payload) {
  hand_on();
  if (payload.size() < prefix_of(header))
    return break_off(ErrorCode::kFrameSizeError, "HEADERS too short for their flags");
  const auto fragment = fragment_of(header, payload);
  if (header.stream == 0 || !fragment)
    return break_off(ErrorCode::kProtocolError, "malformed HEADERS");
  block_stream_ = header.stream;
  block_end_ = header.has(flags::kEndStream);
  continuations_ = 0;
  if (header.has(flags::kEndHeaders)) return take_block(*fragment);
  block_.append(*fragment);
  return {};
}

Result<> TunnelSession::take_continuation(const FrameHeader& header, Bytes payload) {
  if (++continuations_ > kMaxContinuations ||
      block_.size() + payload.size() > FrameReader::kMaxControl)
    return flood();
  block_.append(payload);
  if (!header.has(flags::kEndHeaders)) return {};
  auto taken = take_block(block_.readable());
  block_.clear();
  block_.shrink();
  return taken;
}

Result<> TunnelSession::take_block(Bytes block) {
  const StreamId id = std::exchange(block_stream_, 0);
  TunnelStream* stream = find(id);
  const bool is_request = role_ == Role::kServer && id % 2 == 1 && id > last_peer_stream_;
  if (!is_request && (!was_used(id) || was_skipped(id)))
    return break_off(ErrorCode::kProtocolError, "HEADERS for a stream that cannot be");
  HeadKind kind = HeadKind::kTrailers;
  if (is_request) kind = HeadKind::kRequest;
  if (stream != nullptr && !stream->head_received_) kind = HeadKind::kResponse;
  auto decoded = decoder_.decode(block, kind);
  if (!decoded) return break_off(ErrorCode::kCompressionError, "a header block that is none");
  if (is_request) {
    skip_to(id);
    last_peer_stream_ = id;
    return take_request(std::move(*decoded), block_end_);
  }
  if (stream == nullptr || stream->closing_) return {};  // gone
  return take_head_of(*stream, std::move(*decoded), block_end_);
}

Result<> TunnelSession::take_request(DecodedHead decoded, bool end) {
  const StreamId id = last_peer_stream_;
  if (goaway_sent_) {  // the peer was told which one is the last (RFC 9113 section 6.8)
    append_rst_stream(control_, id, ErrorCode::kRefusedStream);
    return count_queued(false);
  }
  last_taken_ = id;
  const bool room =
      !settings_.max_concurrent_streams || streams_.size() < *settings_.max_concurrent_streams;
  if (!room || !handler_.on_stream(id)) {
    append_rst_stream(control_, id, ErrorCode::kRefusedStream);
    return room ? count_queued(false) : forced_reset();
  }
  TunnelStream* stream = find(id);
  if (stream == nullptr || stream->closing_) return {};  // given up already
  return take_head_of(*stream, std::move(decoded), end);
}

Result<> TunnelSession::take_head_of(TunnelStream& stream, DecodedHead decoded, bool end) {
  const bool trailers = stream.head_received_;
  if (stream.input_ended_) return reset_by_error(stream, ErrorCode::kStreamClosed);
  if (decoded.verdict == DecodedHead::Verdict::kTooLarge)
    return reset_by_error(stream, ErrorCode::kEnhanceYourCalm);
  // RFC 9113 section 8.1: a second head ends the stream. A tunnel has none (section 8.5), so what
  // it says does not matter.
  if (decoded.verdict == DecodedHead::Verdict::kMalformed || (trailers && !end))
    return reset_by_error(stream, ErrorCode::kProtocolError);
  if (trailers) {
    end_input_of(stream);
    return {};
  }
  if (role_ == Role::kClient && decoded.head.get(":status").value_or("").starts_with('1')) {
    // 1xx is not the answer; another head follows (RFC 9110 section 15.2).
    if (end) return reset_by_error(stream, ErrorCode::kProtocolError);
    if (++stream.informational_ <= limits::kInformational) return {};
    return reset_by_error(stream, ErrorCode::kEnhanceYourCalm);
  }
  stream.head_received_ = true;
  const StreamId id = stream.id_;
  stream.on_head(std::move(decoded.head), end);
  if (!end) return {};
  if (TunnelStream* still = find(id); still != nullptr && !still->closing_) end_input_of(*still);
  return {};
}

// ---- the rest

Result<> TunnelSession::take_settings(const FrameHeader& header, Bytes payload) {
  if (header.stream != 0) return break_off(ErrorCode::kProtocolError, "SETTINGS of a stream");
  if (header.has(flags::kAck)) {
    if (!payload.empty()) return break_off(ErrorCode::kFrameSizeError, "a malformed SETTINGS");
    return {};
  }
  if (payload.size() % 6 != 0) return break_off(ErrorCode::kFrameSizeError, "a malformed SETTINGS");
  // RFC 9113 section 6.5.2: without the setting there is no limit.
  if (!settings_received_) peer_max_streams_ = std::numeric_limits<uint32_t>::max();
  settings_received_ = true;
  for (; !payload.empty(); payload = payload.subspan(6)) {
    const auto id = static_cast<Setting>(read_u16(payload.data()));
    if (auto good = apply_setting(id, read_u32(payload.data() + 2)); !good) return good;
  }
  append_frame(control_, {.type = FrameType::kSettings, .flags = flags::kAck}, {});
  return count_queued(true);
}

Result<> TunnelSession::apply_setting(Setting id, uint32_t value) {
  switch (id) {
    case Setting::kHeaderTableSize:
      encoder_.set_table_size(value);
      break;
    case Setting::kEnablePush:
      if (value > 1 || (role_ == Role::kClient && value == 1))
        return break_off(ErrorCode::kProtocolError, "a bad SETTINGS_ENABLE_PUSH");
      break;
    case Setting::kMaxConcurrentStreams:
      peer_max_streams_ = value;
      break;
    case Setting::kMaxFrameSize:
      if (value < kDefaultMaxFrameSize || value > kMaxFrameSizeLimit)
        return break_off(ErrorCode::kProtocolError, "a bad SETTINGS_MAX_FRAME_SIZE");
      peer_max_frame_size_ = value;
      break;
    case Setting::kInitialWindowSize: {
      if (value > kMaxWindow)
        return break_off(ErrorCode::kFlowControlError, "a bad SETTINGS_INITIAL_WINDOW_SIZE");
      const int64_t change = value - peer_initial_window_;
      peer_initial_window_ = value;
      for (const auto& [stream_id, stream] : streams_) {
        stream->send_window_ += change;
        if (stream->send_window_ > kMaxWindow)
          return break_off(ErrorCode::kFlowControlError, "a window beyond all bounds");
        schedule(*stream);
      }
      break;
    }
    case Setting::kMaxHeaderListSize:
      break;
  }
  return {};
}

Result<> TunnelSession::take_ping(const FrameHeader& header, Bytes payload) {
  if (header.stream != 0) return break_off(ErrorCode::kProtocolError, "PING of a stream");
  if (payload.size() != 8) return break_off(ErrorCode::kFrameSizeError, "a malformed PING");
  if (!header.has(flags::kAck)) {
    append_ping(control_, true, payload);
    return count_queued(true);
  }
  if (carries(pings::kMeasure, payload)) {
    growth_.answered(received_, Clock::now());
  } else if (carries(pings::kShutdown, payload)) {
    hand_on();
    if (std::exchange(noticing_, false)) handler_.on_shutdown_noticed();
  } else if (carries(pings::kKeepalive, payload)) {
    handler_.on_ping_ack();
  }
  return {};
}

Result<> TunnelSession::take_goaway(Bytes payload) {
  hand_on();
  goaway_received_ = true;
  const auto last = static_cast<StreamId>(read_u32(payload.data()) & 0x7fffffff);
  // Those the peer did not take may go to another connection. One by one: a stream's owner may
  // detach another.
  std::vector<StreamId> refused;
  for (const auto& [id, stream] : streams_)
    if (role_ == Role::kClient && id > last) refused.push_back(id);
  for (const StreamId id : refused)
    if (TunnelStream* stream = find(id)) remove(*stream, ErrorCode::kRefusedStream);
  while (!held_.empty()) {
    TunnelStream& stream = *held_.front().stream;
    held_.erase(held_.begin());
    stream.on_closed(ErrorCode::kRefusedStream);
  }
  handler_.on_goaway(static_cast<ErrorCode>(read_u32(payload.data() + 4)), last);
  return {};
}

Result<> TunnelSession::take_window_update(const FrameHeader& header, Bytes payload) {
  if (payload.size() != 4)
    return break_off(ErrorCode::kFrameSizeError, "a malformed WINDOW_UPDATE");
  const uint32_t increment = read_u32(payload.data()) & 0x7fffffff;
  if (header.stream == 0) {
    send_window_ += increment;
    if (increment == 0 || send_window_ > kMaxWindow)
      return break_off(increment == 0 ? ErrorCode::kProtocolError : ErrorCode::kFlowControlError,
                       "a bad WINDOW_UPDATE");
    return {};
  }
  if (!was_used(header.stream))
    return break_off(ErrorCode::kProtocolError, "WINDOW_UPDATE of a stream that was never opened");
  TunnelStream* stream = find(header.stream);
  if (stream == nullptr || stream->closing_) return {};
  stream->send_window_ += increment;
  if (increment == 0) return reset_by_error(*stream, ErrorCode::kProtocolError);
  if (stream->send_window_ > kMaxWindow)
    return reset_by_error(*stream, ErrorCode::kFlowControlError);
  schedule(*stream);
  return {};
}

Result<> TunnelSession::take_priority(const FrameHeader& header, Bytes payload) {
  if (header.stream == 0) return break_off(ErrorCode::kProtocolError, "PRIORITY of no stream");
  if (payload.size() == 5) return {};
  // RFC 9113 section 6.3: an error of the stream. An idle one has no errors of its own, since it
  // must not be reset (section 6.4).
  if (!was_used(header.stream))
    return break_off(ErrorCode::kFrameSizeError, "a malformed PRIORITY of an idle stream");
  TunnelStream* stream = find(header.stream);
  if (stream == nullptr || stream->closing_) return {};
  return reset_by_error(*stream, ErrorCode::kFrameSizeError);
}

Result<> TunnelSession::take_rst_stream(const FrameHeader& header, Bytes payload) {
  hand_on();
  if (payload.size() != 4) return break_off(ErrorCode::kFrameSizeError, "a malformed RST_STREAM");
  if (!was_used(header.stream))
    return break_off(ErrorCode::kProtocolError, "RST_STREAM of a stream that was never opened");
  TunnelStream* stream = find(header.stream);
  if (stream == nullptr) return {};
  const bool useless = role_ == Role::kServer && !stream->answered_ && !stream->closing_;
  remove(*stream, static_cast<ErrorCode>(read_u32(payload.data())));
  return useless ? forced_reset() : Result<>{};
}

}  // namespace culvert::h2
