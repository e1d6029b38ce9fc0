#include "ztunnel/inpod/backoff.h"

#include <fmt/format.h>

#include <algorithm>

namespace culvert::ztunnel::inpod {

Duration Backoff::next() {
  const Duration delay = std::min(next_, cap_);
  next_ = delay * 2;
  return delay;
}

std::string to_text(Duration delay) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(delay).count();
  return ms < 1000 ? fmt::format("{}ms", ms) : fmt::format("{}s", static_cast<double>(ms) / 1000);
}

}  // namespace culvert::ztunnel::inpod
