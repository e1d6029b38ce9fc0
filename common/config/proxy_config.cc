#include "common/config/proxy_config.h"

#include "common/config/env.h"
#include "common/config/yaml_reader.h"

#include <algorithm>
#include <cstdint>
#include <string>

namespace culvert::config {
namespace {

// Read once, at start; nobody writes more into a pod's annotation.
constexpr YamlLimits kLimits{.bytes = size_t{1} << 20, .nodes = 10'000, .depth = 32};

void read_u16(YamlObject& config, std::string_view key, std::optional<uint16_t>& to) {
  config.nullable(key, [&](const YamlValue& value) {
    if (!value.expect(YamlNode::Kind::kScalar, "not a number")) return;
    const auto number = parse_unsigned(value.node().text, 65535);
    if (!number) return value.fail(number.error().message());
    to = static_cast<uint16_t>(*number);
  });
}

ProxyConfig read_config(const YamlValue& node) {
  ProxyConfig config;
  if (node.node().kind == YamlNode::Kind::kNull) return config;
  YamlObject object(node, YamlObject::Unknown::kIgnored);
  object.nullable("discoveryAddress",
                  [&](const auto& value) { config.discovery_address = value.text(); });
  read_u16(object, "proxyAdminPort", config.proxy_admin_port);
  read_u16(object, "statsPort", config.stats_port);
  read_u16(object, "concurrency", config.concurrency);
  object.nullable("terminationDrainDuration", [&](const YamlValue& value) {
    if (!value.expect(YamlNode::Kind::kScalar, "not a duration")) return;
    const auto duration = parse_duration(value.node().text);
    if (!duration) return value.fail(duration.error().message());
    config.termination_drain_duration = *duration;
  });
  object.nullable("proxyMetadata", [&](const YamlValue& metadata) {
    metadata.each_entry([&](std::string_view key, const YamlValue& value) {
      if (value.expect(YamlNode::Kind::kScalar, "not a string"))
        config.proxy_metadata[std::string(key)] = value.node().text;
    });
  });
  return config;
}

// Nothing at all, or nothing but comments, is an empty configuration.
bool is_blank(std::string_view yaml) {
  while (!yaml.empty()) {
    const std::string_view line = yaml.substr(0, yaml.find('\n'));
    const size_t begin = line.find_first_not_of(" \t\r");
    if (begin != std::string_view::npos && line[begin] != '#') return false;
    yaml.remove_prefix(std::min(line.size() + 1, yaml.size()));
  }
  return true;
}

template <class Read>
Result<ProxyConfig> parse(std::string_view yaml, Read read) {
  if (is_blank(yaml)) return ProxyConfig();
  const auto document = parse_yaml(yaml_input(yaml), kLimits);
  if (!document) return document.error();
  Problems problems;
  const YamlPath root;
  ProxyConfig config = read(YamlValue(document->root(), root, problems));
  if (!problems.empty()) return problems.to_error();
  return config;
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
  return parse(yaml, [](const YamlValue& mesh) {
    ProxyConfig config;
    if (mesh.node().kind == YamlNode::Kind::kNull) return config;
    YamlObject object(mesh, YamlObject::Unknown::kIgnored);
    object.optional("defaultConfig", [&](const YamlValue& value) { config = read_config(value); });
    return config;
  });
}

}  // namespace culvert::config
