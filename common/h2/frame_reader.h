#pragma once

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/h2/frame.h"

#include <array>
#include <cstddef>
#include <cstdint>

namespace culvert::h2 {

// Told what arrives. Errors stop FrameReader::feed, which returns them.
class FrameSink {
 public:
  // A frame begins: the only word on its length and stream before its payload. For frames of
  // unknown types, which are then skipped (RFC 9113 section 4.1), the only one at all.
  virtual Result<> on_frame_header(const FrameHeader& header) = 0;
  // A piece of a DATA frame's payload as it arrived, padding left out: never waits for the rest.
  virtual Result<> on_data_piece(MutableBytes piece) = 0;
  // The DATA frame is complete. `overhead`: bytes of its length that were padding.
  virtual Result<> on_data_end(const FrameHeader& header, size_t overhead) = 0;
  // Any other frame, whole.
  virtual Result<> on_frame(const FrameHeader& header, Bytes payload) = 0;

 protected:
  ~FrameSink() = default;
};

// Cuts a byte stream into frames. What a read cuts is kept only for frames other than DATA, which
// are small; one of more than kMaxControl is an error (ENHANCE_YOUR_CALM).
class FrameReader {
 public:
  // The most that a frame other than DATA may hold: a whole header block of the list limit's size
  // with room to spare.
  static constexpr size_t kMaxControl = 256 * 1024;

  // `max_frame_size`: SETTINGS_MAX_FRAME_SIZE. The peer's preface comes first if `expects_preface`.
  FrameReader(uint32_t max_frame_size, bool expects_preface);

  // Takes all of `bytes`. Errors: Errc::kHandshake (not HTTP/2), Errc::kProtocol with the frame's
  // error in failure(), or the sink's.
  Result<> feed(MutableBytes bytes, FrameSink& sink);
  // Why feed() failed, if not by the sink.
  [[nodiscard]] ErrorCode failure() const { return failure_; }
  // Of a frame that has begun.
  [[nodiscard]] size_t held_bytes() const { return kept_.capacity(); }

 private:
  enum class State : uint8_t { kPreface, kHeader, kPadLength, kData, kPadding, kControl, kSkip };
  Result<> take(MutableBytes& bytes, FrameSink& sink);
  Result<> take_preface(MutableBytes& bytes);
  Result<> take_header(MutableBytes& bytes, FrameSink& sink);
  Result<> begin_frame(FrameSink& sink);
  Result<> take_pad_length(MutableBytes& bytes, FrameSink& sink);
  Result<> take_data(MutableBytes& bytes, FrameSink& sink);
  Result<> take_padding(MutableBytes& bytes, FrameSink& sink);
  Result<> take_control(MutableBytes& bytes, FrameSink& sink);
  Result<> data_taken(FrameSink& sink);
  Error fail(ErrorCode code, const char* what);

  const uint32_t max_frame_size_;
  State state_;
  ErrorCode failure_ = ErrorCode::kNoError;
  std::array<uint8_t, kFrameHeaderSize> head_;  // of the next header, as far as it is here
  uint8_t head_size_ = 0;
  uint8_t padding_ = 0;
  size_t left_ = 0;  // of the payload, padding not counted
  FrameHeader header_;
  ByteQueue kept_;  // a control frame's payload that a read has cut
};

}  // namespace culvert::h2
