#pragma once

#include "common/base/clock.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <utility>

namespace culvert {

// For what may happen very often and is to be said once a second at most. Not thread-safe.
class OnceASecond {
 public:
  // How many times it was too early since it was said last, if it may be said now.
  [[nodiscard]] std::optional<uint64_t> left_out(Time now) {
    if (said_ && now - *said_ < std::chrono::seconds(1)) {
      ++left_out_;
      return std::nullopt;
    }
    said_ = now;
    return std::exchange(left_out_, 0);
  }

 private:
  std::optional<Time> said_;
  uint64_t left_out_ = 0;
};

}  // namespace culvert
