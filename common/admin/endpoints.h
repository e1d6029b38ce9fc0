#pragma once

#include "common/admin/http.h"
#include "common/admin/readiness.h"
#include "common/metrics/registry.h"

// What every process of ours answers. The objects outlive the server; handlers run on its thread.
namespace culvert::admin {

// /metrics and /stats/prometheus, any method.
void add_stats_endpoints(Site& site, const metrics::Registry& registry);

// GET /healthz/ready: 200, or `not_ready` with the names of what is pending.
void add_readiness_endpoints(Site& site, const Readiness& readiness, unsigned not_ready = 500);

}  // namespace culvert::admin
