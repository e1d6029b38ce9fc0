#pragma once

#include "common/config/env.h"

#include <cstdint>
#include <optional>

namespace culvert::ztunnel {

// How many data-plane threads: ZTUNNEL_WORKER_THREADS ("N", "P%", or 0 for all CPUs), else the
// proxy config's concurrency, else a share of the CPUs. The CPU count is
// ZTUNNEL_RESOURCE_CPU_LIMIT, else ZTUNNEL_CPU_LIMIT, else `cpus`. At least 1. Errors go to `env`;
// every variable is checked even when another one decides.
unsigned worker_threads(config::EnvReader& env, std::optional<uint16_t> concurrency, unsigned cpus);

}  // namespace culvert::ztunnel
