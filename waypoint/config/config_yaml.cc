#include "waypoint/config/config_yaml.h"

#include "waypoint/config/document.h"

#include <fmt/format.h>

namespace culvert::waypoint {
namespace {

// An absent section is an empty one.
template <class Read>
auto read_section(const config::Fields& fields, std::string_view key, Read read) {
  std::vector<decltype(read(fields.item()))> out;
  const auto section = fields.get(key);
  if (!section) return out;
  for (const config::Item& element : section->list()) out.push_back(read(element));
  return out;
}

config::Document read_document(const config::Item& root, const Self& defaults) {
  const config::Fields fields(root, {"waypoint", "options", "services", "workloads", "httpRoutes",
                                     "tcpRoutes", "authorizationPolicies"});
  config::Document document;
  document.self = defaults;
  if (const auto item = fields.get("waypoint")) document.self = config::read_self(*item, defaults);
  if (const auto item = fields.get("options")) document.options = config::read_options(*item);
  const Self& self = document.self;
  document.services = read_section(fields, "services", [&](const config::Item& item) {
    return config::read_service(item, self);
  });
  document.workloads = read_section(fields, "workloads", [&](const config::Item& item) {
    return config::read_workload(item, self);
  });
  document.http_routes = read_section(fields, "httpRoutes", [&](const config::Item& item) {
    return config::read_http_route(item, self, document.options);
  });
  document.tcp_routes = read_section(fields, "tcpRoutes", [&](const config::Item& item) {
    return config::read_tcp_route(item, self);
  });
  document.policies = read_section(fields, "authorizationPolicies", [&](const config::Item& item) {
    return config::read_policy(item, self);
  });
  return document;
}

}  // namespace

Result<LoadedConfig> parse_config(std::string_view yaml, const Self& defaults) {
  if (yaml.size() > kMaxConfigBytes) {
    return invalid(
        fmt::format("file of {} bytes; at most {} are read", yaml.size(), kMaxConfigBytes));
  }
  config::Errors errors;
  LoadedConfig loaded;
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(std::string(yaml));
    if (documents.size() > 1) return invalid("file: holds several YAML documents; one is expected");
    if (documents.empty() || documents.front().IsNull()) return invalid("file: is empty");
    const config::Document document =
        read_document(config::Item(documents.front(), "", errors), defaults);
    if (errors.empty()) loaded.model = config::compile(document, errors, loaded.warnings);
  } catch (const YAML::Exception& error) {
    return invalid(fmt::format("file: not YAML: {} (line {})", error.msg, error.mark.line + 1));
  }
  if (!errors.empty()) return errors.to_error();
  return loaded;
}

}  // namespace culvert::waypoint
