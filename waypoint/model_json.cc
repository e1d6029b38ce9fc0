#include "waypoint/model_json.h"

#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace culvert::waypoint {
namespace {

using nlohmann::json;

std::string_view protocol_name(AppProtocol protocol) {
  switch (protocol) {
    case AppProtocol::kHttp:
      return "http";
    case AppProtocol::kHttp2:
      return "http2";
    case AppProtocol::kGrpc:
      return "grpc";
    case AppProtocol::kTcp:
      return "tcp";
    case AppProtocol::kTls:
      return "tls";
    case AppProtocol::kSniff:
      return "sniff";
  }
  return "unknown";
}

json targets_json(const std::vector<WeightedTarget>& targets) {
  json list = json::array();
  for (const WeightedTarget& target : targets) {
    list.push_back(
        {{"cluster", target.name},
         {"weight", target.weight},
         {"endpoints", target.upstream == nullptr ? 0 : target.upstream->endpoints.size()}});
  }
  return list;
}

json filters_json(const std::vector<Filter>& filters) {
  json list = json::array();
  for (const Filter& filter : filters) {
    const auto& authz = std::get<AuthzFilter>(filter);
    json rules = json::array();
    for (const AuthzRule& rule : authz.rules) rules.push_back(rule.name);
    list.push_back({{"action", authz.action == AuthzAction::kAllow ? "ALLOW" : "DENY"},
                    {"rules", std::move(rules)}});
  }
  return list;
}

json route_json(const Route& route) {
  json out{{"name", route.rule->name}, {"path", route.match.path.value}};
  if (const auto* forward = std::get_if<Forward>(&route.rule->action)) {
    out["action"] = "forward";
    out["targets"] = targets_json(forward->targets);
  } else {
    out["action"] =
        std::holds_alternative<Redirect>(route.rule->action) ? "redirect" : "directResponse";
  }
  return out;
}

json chain_json(const ChainPtr& chain) {
  if (chain == nullptr) return nullptr;
  json out{{"name", chain->name}, {"policies", filters_json(chain->filters)}};
  if (!chain->http) {
    out["targets"] = targets_json(chain->tcp_targets);
    return out;
  }
  json routes = json::array();
  for (const Route& route : chain->routes) routes.push_back(route_json(route));
  out["routes"] = std::move(routes);
  return out;
}

json service_json(const Service& service) {
  json addresses = json::array(), ports = json::array();
  for (const auto& vip : service.vips) addresses.push_back(vip.to_string());
  for (const auto& range : service.ranges) addresses.push_back(range.to_string());
  for (const auto& [number, port] : service.ports) {
    ports.push_back({{"port", number},
                     {"protocol", protocol_name(port.protocol)},
                     {"http", chain_json(port.http)},
                     {"tcp", chain_json(port.tcp)}});
  }
  return {{"name", service.ref.name},
          {"namespace", service.ref.namespace_},
          {"hostnames", service.hostnames},
          {"addresses", std::move(addresses)},
          {"ports", std::move(ports)}};
}

}  // namespace

json model_json(const Model& model) {
  const Self& self = model.self();
  json services = json::array();
  for (const Service& service : model.services()) services.push_back(service_json(service));
  return {{"waypoint",
           {{"name", self.name},
            {"identity", self.identity().to_string()},
            {"clusterDomain", self.cluster_domain},
            {"clusterId", self.cluster_id},
            {"network", self.network}}},
          {"services", std::move(services)}};
}

}  // namespace culvert::waypoint
