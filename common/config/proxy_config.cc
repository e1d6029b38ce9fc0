#include "common/config/proxy_config.h"

#include "common/config/env.h"

#include <fmt/format.h>

#include <yaml-cpp/yaml.h>

namespace culvert::config {
namespace {

// Every helper throws YAML::Exception or Problem; parse() turns both into an Error. yaml-cpp
// reports by exception anyway, and this runs once, at start.
struct Problem : std::runtime_error {
  using std::runtime_error::runtime_error;
};

[[noreturn]] void fail(const YAML::Node& node, const std::string& what) {
  throw Problem(fmt::format("{} (line {})", what, node.Mark().line + 1));
}

std::optional<uint16_t> read_u16(const YAML::Node& config, const char* key) {
  const YAML::Node node = config[key];
  if (!node || node.IsNull()) return std::nullopt;
  if (!node.IsScalar()) fail(node, fmt::format("{}: not a number", key));
  const auto value = parse_unsigned(node.Scalar(), 65535);
  if (!value) fail(node, fmt::format("{}: {}", key, value.error().message()));
  return static_cast<uint16_t>(*value);
}

std::optional<std::chrono::nanoseconds> read_duration(const YAML::Node& config, const char* key) {
  const YAML::Node node = config[key];
  if (!node || node.IsNull()) return std::nullopt;
  if (!node.IsScalar()) fail(node, fmt::format("{}: not a duration", key));
  const auto value = parse_duration(node.Scalar());
  if (!value) fail(node, fmt::format("{}: {}", key, value.error().message()));
  return *value;
}

std::optional<std::string> read_string(const YAML::Node& config, const char* key) {
  const YAML::Node node = config[key];
  if (!node || node.IsNull()) return std::nullopt;
  if (!node.IsScalar()) fail(node, fmt::format("{}: not a string", key));
  return node.Scalar();
}

ProxyConfig read_config(const YAML::Node& node) {
  ProxyConfig config;
  if (!node || node.IsNull()) return config;
  if (!node.IsMap()) fail(node, "not a map");
  config.discovery_address = read_string(node, "discoveryAddress");
  config.proxy_admin_port = read_u16(node, "proxyAdminPort");
  config.stats_port = read_u16(node, "statsPort");
  config.concurrency = read_u16(node, "concurrency");
  config.termination_drain_duration = read_duration(node, "terminationDrainDuration");
  const YAML::Node metadata = node["proxyMetadata"];
  if (!metadata || metadata.IsNull()) return config;
  if (!metadata.IsMap()) fail(metadata, "proxyMetadata: not a map");
  for (const auto& entry : metadata) {
    if (!entry.first.IsScalar() || !entry.second.IsScalar()) {
      fail(entry.second, "proxyMetadata: keys and values must be strings");
    }
    config.proxy_metadata[entry.first.Scalar()] = entry.second.Scalar();
  }
  return config;
}

template <class Read>
Result<ProxyConfig> parse(std::string_view yaml, Read read) {
  try {
    return read(YAML::Load(std::string(yaml)));
  } catch (const std::exception& error) {
    return invalid(error.what());
  }
}

template <class T>
void replace(std::optional<T>& mine, const std::optional<T>& other) {
  if (other) mine = other;
}

}  // namespace

void ProxyConfig::merge(ProxyConfig other) {
  replace(discovery_address, other.discovery_address);
  replace(proxy_admin_port, other.proxy_admin_port);
  replace(stats_port, other.stats_port);
  replace(concurrency, other.concurrency);
  replace(termination_drain_duration, other.termination_drain_duration);
  for (auto& [key, value] : other.proxy_metadata) proxy_metadata[key] = std::move(value);
}

Result<ProxyConfig> parse_proxy_config(std::string_view yaml) { return parse(yaml, read_config); }

Result<ProxyConfig> parse_mesh_config(std::string_view yaml) {
  return parse(yaml, [](const YAML::Node& mesh) {
    if (!mesh || mesh.IsNull()) return ProxyConfig();
    if (!mesh.IsMap()) fail(mesh, "not a map");
    return read_config(mesh["defaultConfig"]);
  });
}

}  // namespace culvert::config
