#pragma once

#include "common/base/error.h"

namespace culvert::waypoint {

// What the parser or the serialiser found wrong, as an exchange's error: kBadMessage or kTooLarge.
[[nodiscard]] Error bad_message(const Error& cause);
// Why a byte stream failed, as an exchange's error: kConnectionLost; culvert::Errc::kTimedOut
// stays.
[[nodiscard]] Error connection_lost(const Error& cause);

}  // namespace culvert::waypoint
