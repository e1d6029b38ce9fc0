#pragma once

#include "common/h2/headers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// Frames as text, written and read by hand, so that tests say anything a peer could.
namespace culvert::h2 {

using StreamId = int32_t;

struct Frame {
  uint8_t type = 0, flags = 0;
  StreamId id = 0;
  std::string payload;
};
enum Type : uint8_t {
  kData,
  kHeaders,
  kPriority,
  kRst,
  kSettings,
  kPush,
  kPing,
  kGoaway,
  kWindow,
  kContinuation
};

inline std::string be(uint64_t value, int bytes) {
  std::string out;
  for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(value >> (8 * i));
  return out;
}
inline uint32_t be(std::string_view text) {
  uint32_t value = 0;
  for (const char c : text) value = value << 8 | static_cast<uint8_t>(c);
  return value;
}
inline std::string frame(uint8_t type, uint8_t flags, StreamId id, std::string_view payload) {
  return be(payload.size(), 3) + static_cast<char>(type) + static_cast<char>(flags) +
         be(static_cast<uint32_t>(id), 4) + std::string(payload);
}
// Literal fields without indexing (RFC 7541 section 6.2.2); names and values below 127 bytes, or
// the value of any length below 16 KiB.
inline std::string block(const std::vector<std::pair<std::string, std::string>>& fields) {
  std::string out;
  for (const auto& [name, value] : fields) {
    out += std::string(1, '\0') + static_cast<char>(name.size()) + name;
    if (value.size() < 127) {
      out += static_cast<char>(value.size());
    } else {
      size_t rest = value.size() - 127;
      out += '\x7f';
      for (; rest >= 128; rest /= 128) out += static_cast<char>(rest % 128 + 128);
      out += static_cast<char>(rest);
    }
    out += value;
  }
  return out;
}
inline std::vector<Frame> parse(std::string_view text) {
  std::vector<Frame> frames;
  while (text.size() >= 9) {
    const size_t length = be(text.substr(0, 3));
    frames.push_back({static_cast<uint8_t>(text[3]), static_cast<uint8_t>(text[4]),
                      static_cast<StreamId>(be(text.substr(5, 4))),
                      std::string(text.substr(9, length))});
    text.remove_prefix(std::min(text.size(), 9 + length));
  }
  EXPECT_TRUE(text.empty());
  return frames;
}
// The error code of the first frame of `type` on `id`.
inline std::optional<ErrorCode> code_of(const std::vector<Frame>& frames, uint8_t type,
                                        StreamId id = 0) {
  for (const Frame& f : frames)
    if (f.type == type && f.id == id)
      return static_cast<ErrorCode>(
          be(std::string_view(f.payload).substr(type == kGoaway ? 4 : 0, 4)));
  return std::nullopt;
}

inline const std::string kClientPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
inline const std::string kConnectBlock =
    block({{":method", "CONNECT"}, {":authority", "10.0.0.1:80"}});

}  // namespace culvert::h2
