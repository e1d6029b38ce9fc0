#pragma once

#include "common/base/clock.h"

#include <cstdint>
#include <optional>

namespace culvert::h2 {

// How large the windows of a connection's streams should be, learnt from what arrives: whatever
// comes between a PING and its answer is what a window must hold for the peer never to wait.
//
// Up to kUnquestioned the window simply doubles while two thirds of it are on the way: that much
// bridges the moments in which a busy machine runs somebody else. Beyond, most of what is on the
// way may just be queueing in front of us, where it delays every other stream (bufferbloat). So the
// window grows on only if the path itself holds so much: the rate, times the shortest round trip
// this connection has seen, twice. Not thread-safe.
class WindowGrowth {
 public:
  static constexpr uint32_t kUnquestioned = 2U << 20;

  WindowGrowth(uint32_t initial, uint32_t most) : window_(initial), most_(most) {}

  [[nodiscard]] uint32_t window() const { return window_; }
  // Whether to send a PING now. `received`: all bytes of DATA so far.
  [[nodiscard]] bool wants_ping(uint64_t received) const {
    return window_ < most_ && !asked_ && received >= next_;
  }
  void asked(uint64_t received, Time now) { asked_ = {received, now}; }
  // Ignored unless one was asked for: a peer can answer what it likes.
  void answered(uint64_t received, Time now);

 private:
  struct Asked {
    uint64_t received;
    Time at;
  };

  [[nodiscard]] bool path_holds(uint64_t bytes, Duration round_trip) const;

  uint32_t window_;
  const uint32_t most_;
  std::optional<Asked> asked_;
  uint64_t next_ = 0;                    // `received` from which on to ask again
  Duration shortest_ = Duration::max();  // round trip
};

}  // namespace culvert::h2
