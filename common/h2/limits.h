#pragma once

#include <cstddef>

// What a peer may have us do for nothing on one HTTP/2 connection; of Session and TunnelSession.
namespace culvert::h2::limits {

// Frames in a row that carry nothing.
inline constexpr int kUselessFrames = 1000;
// Frames of ours that wait for a peer that does not read. A hundred streams never have so many.
inline constexpr size_t kQueuedFrames = 10'000;
// Resets that it made us send, or that came before an answer, at once: see ForcedResets.
inline constexpr int kForcedResets = 1000;
// 1xx heads of one response; endless ones would be an answer that never begins.
inline constexpr int kInformational = 16;

}  // namespace culvert::h2::limits
