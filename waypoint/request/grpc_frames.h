#pragma once

#include "common/base/bytes.h"

#include <algorithm>
#include <cstdint>

namespace culvert::waypoint {

// Counts gRPC's length-prefixed messages in a body, whatever its pieces: a byte of flags, four of
// length, the message. Nothing is kept, so that a wrong length only counts wrong.
class GrpcFrames {
 public:
  void feed(Bytes data) {
    while (!data.empty()) {
      if (left_ > 0) {
        const size_t skip = std::min<uint64_t>(left_, data.size());
        left_ -= skip;
        data = data.subspan(skip);
        continue;
      }
      if (header_++ > 0) length_ = (length_ << 8U) | data.front();
      data = data.subspan(1);
      if (header_ < kHeader) continue;
      ++messages_;
      left_ = length_;
      header_ = 0;
      length_ = 0;
    }
  }
  [[nodiscard]] uint64_t messages() const { return messages_; }

 private:
  static constexpr unsigned kHeader = 5;
  unsigned header_ = 0;
  uint32_t length_ = 0;
  uint64_t left_ = 0;
  uint64_t messages_ = 0;
};

}  // namespace culvert::waypoint
