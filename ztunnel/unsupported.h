#pragma once

#include "common/config/env.h"
#include "ztunnel/config.h"

namespace culvert::ztunnel {

// What Istio's ztunnel does and this build does not, where `env` and what was read of it, `config`,
// ask for it: an error recorded in `env` where running without would be less safe or would serve
// nobody, a line in `config.warnings` where it merely has no effect. Pure.
void report_unsupported(const config::Env& all, config::EnvReader& env, Config& config);

}  // namespace culvert::ztunnel
