#include "common/h2/frame_reader.h"

#include "common/h2/errors.h"

#include <algorithm>
#include <cstring>

namespace culvert::h2 {

FrameReader::FrameReader(uint32_t max_frame_size, bool expects_preface)
    : max_frame_size_(max_frame_size),
      state_(expects_preface ? State::kPreface : State::kHeader),
      left_(expects_preface ? kPreface.size() : 0) {}

Error FrameReader::fail(ErrorCode code, const char* what) {
  failure_ = code;
  return {Errc::kProtocol, what};
}

Result<> FrameReader::feed(MutableBytes bytes, FrameSink& sink) {
  while (!bytes.empty())
    if (auto taken = take(bytes, sink); !taken) return taken;
  return {};
}

Result<> FrameReader::take(MutableBytes& bytes, FrameSink& sink) {
  switch (state_) {
    case State::kPreface:
      return take_preface(bytes);
    case State::kHeader:
      return take_header(bytes, sink);
    case State::kPadLength:
      return take_pad_length(bytes, sink);
    case State::kData:
      return take_data(bytes, sink);
    case State::kPadding:
      return take_padding(bytes, sink);
    case State::kControl:
      return take_control(bytes, sink);
    case State::kSkip:
      break;
  }
  const size_t skipped = std::min(left_, bytes.size());
  bytes = bytes.subspan(skipped);
  left_ -= skipped;
  if (left_ == 0) state_ = State::kHeader;
  return {};
}

Result<> FrameReader::take_preface(MutableBytes& bytes) {
  const size_t n = std::min(left_, bytes.size());
  const std::string_view expected = kPreface.substr(kPreface.size() - left_, n);
  if (as_text(bytes.first(n)) != expected) {
    failure_ = ErrorCode::kProtocolError;
    return Error(Errc::kHandshake, "the peer does not speak HTTP/2");
  }
  bytes = bytes.subspan(n);
  left_ -= n;
  if (left_ == 0) state_ = State::kHeader;
  return {};
}

Result<> FrameReader::take_header(MutableBytes& bytes, FrameSink& sink) {
  const size_t n = std::min(kFrameHeaderSize - head_size_, bytes.size());
  std::memcpy(head_.data() + head_size_, bytes.data(), n);
  head_size_ += static_cast<uint8_t>(n);
  bytes = bytes.subspan(n);
  if (head_size_ < kFrameHeaderSize) return {};
  head_size_ = 0;
  header_ = FrameHeader::parse(head_.data());
  return begin_frame(sink);
}

Result<> FrameReader::begin_frame(FrameSink& sink) {
  left_ = header_.length;
  padding_ = 0;
  if (header_.length > max_frame_size_)
    return fail(ErrorCode::kFrameSizeError, "a frame longer than SETTINGS_MAX_FRAME_SIZE");
  if (auto good = sink.on_frame_header(header_); !good) return good;
  if (header_.type > FrameType::kContinuation) {
    state_ = left_ > 0 ? State::kSkip : State::kHeader;
    return {};
  }
  if (header_.type != FrameType::kData) {
    if (header_.length > kMaxControl)
      return fail(ErrorCode::kEnhanceYourCalm, "a control frame that is too long");
    state_ = left_ > 0 ? State::kControl : State::kHeader;
    return left_ > 0 ? Result<>{} : sink.on_frame(header_, {});
  }
  if (header_.has(flags::kPadded)) {
    if (left_ == 0) return fail(ErrorCode::kFrameSizeError, "a padded frame without its padding");
    state_ = State::kPadLength;
    return {};
  }
  state_ = State::kData;
  return left_ == 0 ? data_taken(sink) : Result<>{};
}

Result<> FrameReader::take_pad_length(MutableBytes& bytes, FrameSink& sink) {
  padding_ = bytes.front();
  bytes = bytes.subspan(1);
  if (padding_ >= left_) return fail(ErrorCode::kProtocolError, "more padding than payload");
  left_ -= 1 + size_t{padding_};
  state_ = State::kData;
  return left_ == 0 ? data_taken(sink) : Result<>{};
}

Result<> FrameReader::take_data(MutableBytes& bytes, FrameSink& sink) {
  const MutableBytes piece = bytes.first(std::min(left_, bytes.size()));
  bytes = bytes.subspan(piece.size());
  left_ -= piece.size();
  if (auto taken = sink.on_data_piece(piece); !taken) return taken;
  return left_ == 0 ? data_taken(sink) : Result<>{};
}

Result<> FrameReader::data_taken(FrameSink& sink) {
  left_ = padding_;
  state_ = left_ > 0 ? State::kPadding : State::kHeader;
  const size_t overhead = header_.has(flags::kPadded) ? 1 + size_t{padding_} : 0;
  return left_ > 0 ? Result<>{} : sink.on_data_end(header_, overhead);
}

Result<> FrameReader::take_padding(MutableBytes& bytes, FrameSink& sink) {
  const size_t n = std::min(left_, bytes.size());
  bytes = bytes.subspan(n);
  left_ -= n;
  if (left_ > 0) return {};
  state_ = State::kHeader;
  return sink.on_data_end(header_, 1 + size_t{padding_});
}

Result<> FrameReader::take_control(MutableBytes& bytes, FrameSink& sink) {
  const MutableBytes piece = bytes.first(std::min(left_, bytes.size()));
  bytes = bytes.subspan(piece.size());
  left_ -= piece.size();
  if (left_ > 0) {
    kept_.append(piece);
    return {};
  }
  state_ = State::kHeader;
  if (kept_.empty()) return sink.on_frame(header_, piece);
  kept_.append(piece);
  auto taken = sink.on_frame(header_, kept_.readable());
  kept_.clear();
  kept_.shrink();
  return taken;
}

}  // namespace culvert::h2
