#pragma once

#include "common/metrics/registry.h"

namespace culvert::metrics {

// process_open_fds and process_max_fds (the soft limit), read when scraped.
void register_process_metrics(Registry& registry);

}  // namespace culvert::metrics
