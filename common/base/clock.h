#pragma once

#include <chrono>

namespace culvert {

// Time on the data plane is steady; wall time appears only in logs and certificates.
using Clock = std::chrono::steady_clock;
using Time = Clock::time_point;
using Duration = Clock::duration;
using WallClock = std::chrono::system_clock;
using WallTime = WallClock::time_point;

inline constexpr Time kNever = Time::max();

}  // namespace culvert
