#include "waypoint/model/balancer.h"

#include "common/base/check.h"

#include <algorithm>
#include <map>

namespace culvert::waypoint {
namespace {

bool contains(std::span<const size_t> list, size_t value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

// a / weight_a < b / weight_b without dividing; 32-bit factors cannot overflow the product.
bool less_busy(uint32_t a, uint32_t weight_a, uint32_t b, uint32_t weight_b) {
  return uint64_t{a} * weight_b < uint64_t{b} * weight_a;
}

}  // namespace

Balancer::Balancer(std::span<const EndpointState> endpoints) : size_(endpoints.size()) {
  std::map<uint32_t, Level> by_priority;
  for (size_t i = 0; i < endpoints.size(); ++i) {
    const EndpointState& endpoint = endpoints[i];
    if (endpoint.health != Health::kHealthy || endpoint.weight == 0) continue;
    Level& level = by_priority[endpoint.priority];
    const uint64_t sum = level.empty() ? 0 : level.back().end;
    level.push_back({sum + endpoint.weight, i, endpoint.weight});
    ++usable_;
  }
  for (auto& [priority, level] : by_priority) levels_.push_back(std::move(level));
}

const Balancer::Slot& Balancer::draw(const Level& level, state::Random& random) {
  const uint64_t point = random.below(level.back().end);
  return *std::upper_bound(level.begin(), level.end(), point,
                           [](uint64_t value, const Slot& slot) { return value < slot.end; });
}

std::optional<size_t> Balancer::pick_in(const Level& level, std::span<const uint32_t> active,
                                        std::span<const size_t> avoid, state::Random& random) {
  // Draws until the slot is neither avoided nor `other`; then the least busy of what is left, by
  // looking at all: bounded, and rare.
  const auto candidate = [&](const Slot* other) -> const Slot* {
    for (int i = 0; i < kDraws; ++i) {
      const Slot& slot = draw(level, random);
      if (&slot != other && !contains(avoid, slot.index)) return &slot;
    }
    const Slot* best = nullptr;
    for (const Slot& slot : level) {
      if (&slot == other || contains(avoid, slot.index)) continue;
      if (best == nullptr ||
          less_busy(active[slot.index], slot.weight, active[best->index], best->weight)) {
        best = &slot;
      }
    }
    return best;
  };
  const Slot* first = candidate(nullptr);
  if (first == nullptr) return std::nullopt;
  if (level.size() == 1) return first->index;
  const Slot* second = candidate(first);
  if (second == nullptr) return first->index;
  const bool second_wins =
      less_busy(active[second->index], second->weight, active[first->index], first->weight);
  return second_wins ? second->index : first->index;
}

std::optional<size_t> Balancer::pick(std::span<const uint32_t> active,
                                     std::span<const size_t> avoid, state::Random& random) const {
  CULVERT_CHECK(active.size() == size_);
  for (const Level& level : levels_) {
    if (auto index = pick_in(level, active, avoid, random)) return index;
  }
  if (avoid.empty() || levels_.empty()) return std::nullopt;
  return pick_in(levels_.front(), active, {}, random);
}

}  // namespace culvert::waypoint
