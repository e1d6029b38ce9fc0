#pragma once

#include "common/base/memory_account.h"
#include "common/metrics/registry.h"

namespace culvert::metrics {

// process_open_fds and process_max_fds (the soft limit), read when scraped.
void register_process_metrics(Registry& registry);

// culvert_memory_budget_bytes, culvert_memory_held_bytes, culvert_memory_resets_total and
// culvert_memory_pressure of the process, and culvert_connection_memory_budget_bytes, read when
// scraped. `process` outlives the registry.
void register_memory_metrics(Registry& registry, const MemoryAccount& process,
                             uint64_t connection_budget);

}  // namespace culvert::metrics
