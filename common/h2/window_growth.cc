#include "common/h2/window_growth.h"

#include <algorithm>

namespace culvert::h2 {

void WindowGrowth::answered(uint64_t received, Time now) {
  if (!asked_) return;
  const uint64_t on_the_way = received - asked_->received;
  const Duration round_trip = std::max(now - asked_->at, Duration(1));
  asked_.reset();
  shortest_ = std::min(shortest_, round_trip);
  const bool used = on_the_way >= uint64_t{window_} * 2 / 3;
  const bool grows = used && (window_ < kUnquestioned || path_holds(on_the_way, round_trip));
  if (grows) window_ = static_cast<uint32_t>(std::min<uint64_t>(2 * uint64_t{window_}, most_));
  next_ = received + uint64_t{window_} * (grows ? 1 : 8);
}

// Twice the product of bandwidth and delay, as the peer waits for half a window to be returned.
bool WindowGrowth::path_holds(uint64_t bytes, Duration round_trip) const {
  using Seconds = std::chrono::duration<double>;
  const double rate = static_cast<double>(bytes) / Seconds(round_trip).count();
  return 2 * rate * Seconds(shortest_).count() >= static_cast<double>(window_);
}

}  // namespace culvert::h2
