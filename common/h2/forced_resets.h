#pragma once

#include "common/base/clock.h"
#include "common/h2/limits.h"

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace culvert::h2 {

// Streams of one connection that cost us work and came to nothing: resets that the peer made us
// send, or that came before an answer ("rapid reset"). A stream that ends well makes up for one,
// and so does time, as clients may rightly give up on servers that do not answer. Not thread-safe.
class ForcedResets {
 public:
  // One more. False: they are too many at once.
  [[nodiscard]] bool count(Time now) {
    const int64_t over = std::min<int64_t>((now - forgiven_) / kForgiven, count_);
    count_ -= over;
    forgiven_ = count_ == 0 ? now : forgiven_ + over * kForgiven;
    return ++count_ <= limits::kForcedResets;
  }
  void ended_well() { count_ = std::max<int64_t>(0, count_ - 1); }

 private:
  static constexpr Duration kForgiven = std::chrono::milliseconds(100);  // one each

  int64_t count_ = 0;
  Time forgiven_{};  // until when
};

}  // namespace culvert::h2
