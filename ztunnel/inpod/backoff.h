#pragma once

#include "common/base/clock.h"

#include <string>

namespace culvert::ztunnel::inpod {

// Growing delays: `first`, then doubled up to `cap`.
class Backoff {
 public:
  Backoff(Duration first, Duration cap) : first_(first), cap_(cap), next_(first) {}
  Duration next();
  void reset() { next_ = first_; }

 private:
  Duration first_, cap_, next_;
};

// "20ms", "1.28s": for log lines.
std::string to_text(Duration delay);

}  // namespace culvert::ztunnel::inpod
