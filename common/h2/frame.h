#pragma once

#include "common/base/bytes.h"
#include "common/h2/headers.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

// The frames of HTTP/2 as they are on the wire (RFC 9113 sections 4 and 6).
namespace culvert::h2 {

enum class FrameType : uint8_t {
  kData = 0,
  kHeaders = 1,
  kPriority = 2,
  kRstStream = 3,
  kSettings = 4,
  kPushPromise = 5,
  kPing = 6,
  kGoaway = 7,
  kWindowUpdate = 8,
  kContinuation = 9,
};

namespace flags {
inline constexpr uint8_t kEndStream = 0x1;
inline constexpr uint8_t kAck = 0x1;
inline constexpr uint8_t kEndHeaders = 0x4;
inline constexpr uint8_t kPadded = 0x8;
inline constexpr uint8_t kPriority = 0x20;
}  // namespace flags

// RFC 9113 section 6.5.2.
enum class Setting : uint16_t {
  kHeaderTableSize = 1,
  kEnablePush = 2,
  kMaxConcurrentStreams = 3,
  kInitialWindowSize = 4,
  kMaxFrameSize = 5,
  kMaxHeaderListSize = 6,
};

inline constexpr size_t kFrameHeaderSize = 9;
inline constexpr uint32_t kDefaultMaxFrameSize = 16384;
inline constexpr uint32_t kMaxFrameSizeLimit = (1U << 24) - 1;
inline constexpr uint32_t kDefaultWindow = 65535;
inline constexpr int64_t kMaxWindow = 0x7fffffff;
// Section 6.8: the last stream of a GOAWAY that only gives notice.
inline constexpr int32_t kNoticeId = 0x7fffffff;
inline constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

struct FrameHeader {
  uint32_t length = 0;  // of the payload
  FrameType type = FrameType::kData;
  uint8_t flags = 0;
  int32_t stream = 0;

  [[nodiscard]] bool has(uint8_t flag) const { return (flags & flag) != 0; }
  // From and to kFrameHeaderSize bytes.
  static FrameHeader parse(const uint8_t* from);
  void write(uint8_t* to) const;
};

inline uint32_t read_u32(const uint8_t* from) {
  return uint32_t{from[0]} << 24 | uint32_t{from[1]} << 16 | uint32_t{from[2]} << 8 | from[3];
}
inline uint16_t read_u16(const uint8_t* from) {
  return static_cast<uint16_t>(from[0] << 8 | from[1]);
}
inline void write_u32(uint8_t* to, uint32_t value) {
  to[0] = static_cast<uint8_t>(value >> 24);
  to[1] = static_cast<uint8_t>(value >> 16);
  to[2] = static_cast<uint8_t>(value >> 8);
  to[3] = static_cast<uint8_t>(value);
}
inline void write_u16(uint8_t* to, uint16_t value) {
  to[0] = static_cast<uint8_t>(value >> 8);
  to[1] = static_cast<uint8_t>(value);
}

// Whole frames, appended to `out`.
void append_frame(ByteQueue& out, const FrameHeader& header, Bytes payload);
void append_setting(ByteQueue& payload, Setting id, uint32_t value);
void append_window_update(ByteQueue& out, int32_t stream, uint32_t increment);
void append_rst_stream(ByteQueue& out, int32_t stream, ErrorCode code);
void append_ping(ByteQueue& out, bool ack, Bytes payload);
void append_goaway(ByteQueue& out, int32_t last_stream, ErrorCode code);
// HEADERS and as many CONTINUATION as `max_frame_size` makes necessary.
void append_header_block(ByteQueue& out, int32_t stream, bool end_stream, Bytes block,
                         size_t max_frame_size);

}  // namespace culvert::h2
