#pragma once

#include "common/state/balance.h"

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace culvert::test {

// Gives the values in turn, over and over; a value at or above the bound is taken modulo it.
// Remembers the bounds, so that a test can tell what was weighed.
class FixedRandom final : public state::Random {
 public:
  explicit FixedRandom(std::vector<uint64_t> values = {0}) : values_(std::move(values)) {}

  uint64_t below(uint64_t bound) override {
    bounds_.push_back(bound);
    return values_[next_++ % values_.size()] % bound;
  }
  [[nodiscard]] const std::vector<uint64_t>& bounds() const { return bounds_; }

 private:
  std::vector<uint64_t> values_;
  std::vector<uint64_t> bounds_;
  size_t next_ = 0;
};

}  // namespace culvert::test
