#include "common/config/memory_budget.h"

#include <algorithm>

namespace culvert::config {

uint64_t memory_budget(EnvReader& env, const char* name, uint64_t fallback) {
  const uint64_t bytes = env.bytes(name).value_or(fallback);
  if (bytes < kLeastMemoryBudget) env.reject(name, "must be at least 1Mi");
  return bytes;
}

uint64_t process_memory_budget(EnvReader& env, const MemoryUse& machine) {
  const uint64_t share = machine.limit / (machine.limited ? 2 : 4);
  return memory_budget(env, "CULVERT_MEMORY_BUDGET", std::max(share, 16 * kLeastMemoryBudget));
}

}  // namespace culvert::config
