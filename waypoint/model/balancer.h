#pragma once

#include "common/state/balance.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace culvert::waypoint {

enum class Health : uint8_t { kHealthy, kUnhealthy, kDraining };

// What the choice of an endpoint depends on, besides how busy it is.
struct EndpointState {
  Health health = Health::kHealthy;
  uint32_t weight = 1;    // 0 is never chosen
  uint32_t priority = 0;  // the lowest number that has a usable endpoint is used
};

// Chooses an endpoint: two candidates at random by weight, of which the less busy one wins ("power
// of two choices", Istio's LEAST_REQUEST). Busy is active requests per weight, so that weights hold
// under load and, because a draw goes to the first candidate, also without any. Built once per list
// of endpoints; immutable, so that workers share it; a pick takes O(log n).
class Balancer {
 public:
  // How often a candidate that must be avoided is drawn anew before all endpoints are looked at;
  // Istio's host_selection_retry_max_attempts.
  static constexpr int kDraws = 5;

  Balancer() = default;
  // Endpoints that are not healthy or have no weight take no part.
  explicit Balancer(std::span<const EndpointState> endpoints);

  // `active[i]`: requests now running on endpoint i; one number per endpoint.
  // `avoid`: endpoints that a previous try used. Obeyed while anything else is usable, otherwise
  // ignored: a retry on the same host is better than none. nullopt: no usable endpoint.
  [[nodiscard]] std::optional<size_t> pick(std::span<const uint32_t> active,
                                           std::span<const size_t> avoid,
                                           state::Random& random) const;

  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] size_t usable() const { return usable_; }

 private:
  struct Slot {
    uint64_t end;  // running sum of weights up to and including this one
    size_t index;  // of the endpoint
    uint32_t weight;
  };
  using Level = std::vector<Slot>;  // one priority

  static const Slot& draw(const Level& level, state::Random& random);
  static std::optional<size_t> pick_in(const Level& level, std::span<const uint32_t> active,
                                       std::span<const size_t> avoid, state::Random& random);

  std::vector<Level> levels_;  // by priority; none is empty
  size_t size_ = 0, usable_ = 0;
};

}  // namespace culvert::waypoint
