#pragma once

#include "common/base/result.h"

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace culvert::config {

// The fields of Istio's ProxyConfig that our proxies read; all others are ignored.
struct ProxyConfig {
  std::optional<std::string> discovery_address;
  std::optional<uint16_t> proxy_admin_port;
  std::optional<uint16_t> stats_port;
  std::optional<uint16_t> concurrency;
  std::optional<std::chrono::nanoseconds> termination_drain_duration;
  std::map<std::string, std::string> proxy_metadata;  // keys as written; missing means empty

  // `other` on top: its scalars replace, its metadata is merged key by key.
  void merge(ProxyConfig other);
};

// The PROXY_CONFIG variable: YAML (hence JSON) of one ProxyConfig. Blank text is an empty one.
Result<ProxyConfig> parse_proxy_config(std::string_view yaml);
// The mesh configuration file: only its `defaultConfig` is read.
Result<ProxyConfig> parse_mesh_config(std::string_view yaml);

}  // namespace culvert::config
