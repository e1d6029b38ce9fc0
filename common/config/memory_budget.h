#pragma once

#include "common/base/machine.h"
#include "common/config/env.h"

#include <cstdint>

namespace culvert::config {

// A budget of memory cannot be less than this: it would not carry a few connections.
inline constexpr uint64_t kLeastMemoryBudget = uint64_t{1} << 20;

// The variable `name`, bytes; `fallback` if it is not set. Errors go to `env`.
uint64_t memory_budget(EnvReader& env, const char* name, uint64_t fallback);
// CULVERT_MEMORY_BUDGET: what the process may hold for those who do not read (MemoryAccount). By
// default half of what `machine` lets us use: the rest is for what is no stalled connection, the
// mesh's state, idle connections, and what the kernel counts as ours, such as buffers of sockets.
// Where nothing limits us a quarter, as the machine is the pods'. At least 16 MiB.
uint64_t process_memory_budget(EnvReader& env, const MemoryUse& machine);

}  // namespace culvert::config
