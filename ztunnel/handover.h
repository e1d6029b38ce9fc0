#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace culvert::ztunnel {

// How one pod's listeners end, on all workers, when those of another process may be beside them
// (SO_REUSEPORT). Closing a listener resets whoever is just shaking hands with it, so it goes in
// two steps: the kernel is told to give new connections to the other process only, and a moment
// later, when nobody is on the way to ours any more, they are closed. Any thread.
class Handover {
 public:
  // `workers`: how many listeners we have on each port. `before`: who listened there before us
  // (SocketFactory::listening).
  Handover(size_t workers, std::vector<uint64_t> before)
      : workers_(workers), before_(std::move(before)), open_(workers) {}

  // The number of the other's first listener in the kernel's list, by who listens there `now`.
  // Mostly that is our successor, behind all of ours; but where the one before us has stayed (an
  // update that is taken back) it is that, in front of ours. Nothing: that one goes as well, and
  // what the list is like is not known.
  [[nodiscard]] std::optional<uint32_t> heir(const std::vector<uint64_t>& now) const {
    const auto stayed = static_cast<size_t>(std::ranges::count_if(
        before_, [&](uint64_t socket) { return std::ranges::find(now, socket) != now.end(); }));
    if (stayed == 0) return static_cast<uint32_t>(workers_);
    if (stayed == before_.size()) return 0;
    return std::nullopt;
  }
  // Once per worker, before it closes its listeners. True for the last: then new connections are
  // to be shared out again.
  [[nodiscard]] bool last_to_close() { return open_.fetch_sub(1) == 1; }

 private:
  const size_t workers_;
  const std::vector<uint64_t> before_;
  std::atomic<size_t> open_;
};

}  // namespace culvert::ztunnel
