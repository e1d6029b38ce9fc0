#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace culvert::ztunnel {

// How one pod's listeners end, on all workers, when those of a successor may be beside them
// (SO_REUSEPORT). Closing a listener resets whoever is just shaking hands with it, so it goes in
// two steps: the kernel is told to give new connections to the successor only, and a moment later,
// when nobody is on the way to ours any more, they are closed. Any thread.
class Handover {
 public:
  // `workers`: how many listeners we have on each port.
  explicit Handover(size_t workers) : workers_(workers), open_(workers) {}

  // The number of the successor's first listener in the kernel's list: behind all of ours.
  [[nodiscard]] uint32_t successor() const { return static_cast<uint32_t>(workers_); }
  // Once per worker, before it closes its listeners. True for the last: then new connections are
  // to be shared out again.
  [[nodiscard]] bool last_to_close() { return open_.fetch_sub(1) == 1; }

 private:
  const size_t workers_;
  std::atomic<size_t> open_;
};

}  // namespace culvert::ztunnel
