#pragma once

#include "common/config/local_config.h"

#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace culvert::config {

// Everything a text says, as it is read.
struct LocalConfig final : LocalConfigSink {
  std::vector<LocalWorkload> workloads;
  std::vector<state::ServiceSpec> services;
  std::vector<state::Policy> policies;
  std::set<std::string> keys;

  bool take(LocalWorkload local) override {
    workloads.push_back(std::move(local));
    return !keys.insert("workload " + workloads.back().workload.uid).second;
  }
  bool take(state::ServiceSpec service) override {
    services.push_back(std::move(service));
    return !keys.insert("service " + services.back().key().to_string()).second;
  }
  bool take(state::Policy policy) override {
    policies.push_back(std::move(policy));
    return !keys.insert("policy " + policies.back().key()).second;
  }
};

inline Result<LocalConfig> parse_local_config(std::string_view yaml) {
  LocalConfig config;
  if (auto read = read_local_config(yaml_input(yaml), config); !read) return read.error();
  return config;
}

}  // namespace culvert::config
