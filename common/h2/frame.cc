#include "common/h2/frame.h"

#include <algorithm>
#include <array>

namespace culvert::h2 {

FrameHeader FrameHeader::parse(const uint8_t* from) {
  return {.length = uint32_t{from[0]} << 16 | uint32_t{from[1]} << 8 | from[2],
          .type = static_cast<FrameType>(from[3]),
          .flags = from[4],
          .stream = static_cast<int32_t>(read_u32(from + 5) & 0x7fffffff)};
}

void FrameHeader::write(uint8_t* to) const {
  to[0] = static_cast<uint8_t>(length >> 16);
  to[1] = static_cast<uint8_t>(length >> 8);
  to[2] = static_cast<uint8_t>(length);
  to[3] = static_cast<uint8_t>(type);
  to[4] = flags;
  write_u32(to + 5, static_cast<uint32_t>(stream));
}

void append_frame(ByteQueue& out, const FrameHeader& header, Bytes payload) {
  header.write(out.prepare(kFrameHeaderSize + payload.size()).data());
  out.commit(kFrameHeaderSize);
  out.append(payload);
}

void append_setting(ByteQueue& payload, Setting id, uint32_t value) {
  const MutableBytes to = payload.prepare(6);
  write_u16(to.data(), static_cast<uint16_t>(id));
  write_u32(to.data() + 2, value);
  payload.commit(6);
}

void append_window_update(ByteQueue& out, int32_t stream, uint32_t increment) {
  std::array<uint8_t, 4> payload;
  write_u32(payload.data(), increment);
  append_frame(out, {.length = 4, .type = FrameType::kWindowUpdate, .stream = stream}, payload);
}

void append_rst_stream(ByteQueue& out, int32_t stream, ErrorCode code) {
  std::array<uint8_t, 4> payload;
  write_u32(payload.data(), static_cast<uint32_t>(code));
  append_frame(out, {.length = 4, .type = FrameType::kRstStream, .stream = stream}, payload);
}

void append_ping(ByteQueue& out, bool ack, Bytes payload) {
  append_frame(out,
               {.length = static_cast<uint32_t>(payload.size()),
                .type = FrameType::kPing,
                .flags = ack ? flags::kAck : uint8_t{0}},
               payload);
}

void append_goaway(ByteQueue& out, int32_t last_stream, ErrorCode code) {
  std::array<uint8_t, 8> payload;
  write_u32(payload.data(), static_cast<uint32_t>(last_stream));
  write_u32(payload.data() + 4, static_cast<uint32_t>(code));
  append_frame(out, {.length = 8, .type = FrameType::kGoaway}, payload);
}

void append_header_block(ByteQueue& out, int32_t stream, bool end_stream, Bytes block,
                         size_t max_frame_size) {
  FrameHeader header{.type = FrameType::kHeaders,
                     .flags = end_stream ? flags::kEndStream : uint8_t{0},
                     .stream = stream};
  do {
    const Bytes piece = block.first(std::min(block.size(), max_frame_size));
    block = block.subspan(piece.size());
    header.length = static_cast<uint32_t>(piece.size());
    if (block.empty()) header.flags |= flags::kEndHeaders;
    append_frame(out, header, piece);
    header.type = FrameType::kContinuation;
    header.flags = 0;
  } while (!block.empty());
}

}  // namespace culvert::h2
