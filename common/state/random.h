#pragma once

#include "common/state/balance.h"

#include <random>

namespace culvert::state {

// Random as processes use it: one per worker, seeded by the system. Not thread-safe.
class SystemRandom final : public Random {
 public:
  uint64_t below(uint64_t bound) override {
    return std::uniform_int_distribution<uint64_t>(0, bound - 1)(engine_);
  }

 private:
  std::mt19937_64 engine_{std::random_device{}()};
};

}  // namespace culvert::state
