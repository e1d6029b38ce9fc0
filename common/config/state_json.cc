#include "common/config/state_json.h"

#include <utility>
#include <variant>
#include <vector>

#include <nlohmann/json.hpp>

namespace culvert::config {
namespace {

using nlohmann::json;
using state::Policy;
using state::PolicyMatch;
using state::ServiceSpec;
using state::StringMatch;
using state::WorkloadSpec;

void set_text(json& object, const char* key, const std::string& value) {
  if (!value.empty()) object[key] = value;
}

template <class Items, class Render>
json list(const Items& items, Render&& render) {
  json array = json::array();
  for (const auto& item : items) array.push_back(render(item));
  return array;
}

json ports_json(const state::PortMap& ports) {
  json object = json::object();
  for (const auto& [port, target] : ports) object[std::to_string(port)] = target;
  return object;
}

json gateway_json(const state::GatewayAddress& gateway) {
  return {{"destination",
           std::visit([](const auto& to) { return to.to_string(); }, gateway.destination)},
          {"hboneMtlsPort", gateway.hbone_mtls_port}};
}

const char* health_name(state::Health health) {
  return health == state::Health::kHealthy ? "Healthy" : "Unhealthy";
}

json endpoint_json(const state::Endpoint& endpoint) {
  return {{"workloadUid", endpoint.workload_uid},
          {"port", ports_json(endpoint.ports)},
          {"status", health_name(endpoint.status)}};
}

json endpoints_json(const std::map<std::string, state::Endpoint>& endpoints) {
  json object = json::object();
  for (const auto& [uid, endpoint] : endpoints) object[uid] = endpoint_json(endpoint);
  return object;
}

json tunnel_json(const state::ApplicationTunnel& tunnel) {
  const bool proxy = tunnel.protocol == state::ApplicationTunnel::Protocol::kProxy;
  return {{"protocol", proxy ? "PROXY" : "NONE"},
          {"port", tunnel.port ? json(*tunnel.port) : json(nullptr)}};
}

const char* scope_name(state::LoadBalancerScope scope) {
  switch (scope) {
    case state::LoadBalancerScope::kRegion:
      return "Region";
    case state::LoadBalancerScope::kZone:
      return "Zone";
    case state::LoadBalancerScope::kSubzone:
      return "Subzone";
    case state::LoadBalancerScope::kNode:
      return "Node";
    case state::LoadBalancerScope::kCluster:
      return "Cluster";
    case state::LoadBalancerScope::kNetwork:
      return "Network";
  }
  return "";
}

const char* mode_name(state::LoadBalancerMode mode) {
  switch (mode) {
    case state::LoadBalancerMode::kStandard:
      return "Standard";
    case state::LoadBalancerMode::kStrict:
      return "Strict";
    case state::LoadBalancerMode::kFailover:
      return "Failover";
    case state::LoadBalancerMode::kPassthrough:
      return "Passthrough";
  }
  return "";
}

json load_balancer_json(const state::LoadBalancer& balancer) {
  const bool all = balancer.health_policy == state::HealthPolicy::kAllowAll;
  return {{"routingPreferences", list(balancer.routing_preferences, scope_name)},
          {"mode", mode_name(balancer.mode)},
          {"healthPolicy", all ? "AllowAll" : "OnlyHealthy"}};
}

json string_match_json(const StringMatch& match) {
  switch (match.kind) {
    case StringMatch::Kind::kExact:
      return {{"Exact", match.value}};
    case StringMatch::Kind::kPrefix:
      return {{"Prefix", match.value}};
    case StringMatch::Kind::kSuffix:
      return {{"Suffix", match.value}};
    case StringMatch::Kind::kPresence:
      return {{"Presence", json::array()}};
  }
  return nullptr;
}

json account_json(const state::ServiceAccountMatch& account) {
  return {{"namespace", account.namespace_}, {"serviceAccount", account.service_account}};
}

json match_json(const PolicyMatch& match) {
  json object = json::object();
  const auto set = [&](const char* key, const auto& items, auto&& render) {
    if (!items.empty()) object[key] = list(items, render);
  };
  const auto cidr = [](const net::Cidr& prefix) { return prefix.to_string(); };
  const auto port = [](uint16_t number) { return number; };
  set("namespaces", match.namespaces, string_match_json);
  set("notNamespaces", match.not_namespaces, string_match_json);
  set("serviceAccounts", match.service_accounts, account_json);
  set("notServiceAccounts", match.not_service_accounts, account_json);
  set("principals", match.principals, string_match_json);
  set("notPrincipals", match.not_principals, string_match_json);
  set("sourceIps", match.source_ips, cidr);
  set("notSourceIps", match.not_source_ips, cidr);
  set("destinationIps", match.destination_ips, cidr);
  set("notDestinationIps", match.not_destination_ips, cidr);
  set("destinationPorts", match.destination_ports, port);
  set("notDestinationPorts", match.not_destination_ports, port);
  return object;
}

const char* policy_scope_name(Policy::Scope scope) {
  switch (scope) {
    case Policy::Scope::kGlobal:
      return "Global";
    case Policy::Scope::kNamespace:
      return "Namespace";
    case Policy::Scope::kWorkloadSelector:
      return "WorkloadSelector";
  }
  return "";
}

template <class Items, class ToJson>
void write_list(const Items& items, JsonText& out, ToJson&& to_json) {
  out.begin('[');
  for (const auto& item : items) out.value(to_json(item));
  out.end();
}

// A local file as JSON. Workloads, of which there may be many, are turned into text one by one;
// they come last, since keys are sorted.
class LocalConfigText final : public LocalConfigSink {
 public:
  // The result is written where `out` is now.
  explicit LocalConfigText(JsonText& out)
      : out_(out), workloads_(workloads_text_, out.depth() + 1) {
    workloads_.begin('[');
  }

  bool take(LocalWorkload local) override {
    json object = workload_json(local.workload);
    // Here the services come with their ports, unlike in the live state.
    json services = json::object();
    for (const auto& [key, ports] : local.services) services[key.to_string()] = ports_json(ports);
    object["services"] = std::move(services);
    workloads_.value(object);
    return false;
  }
  bool take(ServiceSpec service) override {
    services_.push_back(service_json(service));
    return false;
  }
  bool take(Policy policy) override {
    policies_.push_back(policy_json(policy));
    return false;
  }
  void write() {
    workloads_.end();
    out_.begin('{');
    out_.key("policies");
    out_.value(policies_);
    out_.key("services");
    out_.value(services_);
    out_.key("workloads");
    out_.raw(workloads_text_);
    out_.end();
  }

 private:
  JsonText& out_;
  std::string workloads_text_;
  JsonText workloads_;
  json services_ = json::array();
  json policies_ = json::array();
};

}  // namespace

json workload_json(const WorkloadSpec& workload) {
  json object = {
      {"workloadIps", list(workload.ips, [](const net::IpAddress& ip) { return ip.to_string(); })},
      {"protocol", workload.protocol == state::Protocol::kHbone ? "HBONE" : "TCP"},
      {"networkMode",
       workload.network_mode == state::NetworkMode::kHostNetwork ? "HostNetwork" : "Standard"},
      {"name", workload.name},
      {"namespace", workload.namespace_},
      {"status", health_name(workload.status)},
      {"clusterId", workload.cluster_id},
      {"capacity", workload.capacity}};
  if (workload.waypoint) object["waypoint"] = gateway_json(*workload.waypoint);
  if (workload.network_gateway) object["networkGateway"] = gateway_json(*workload.network_gateway);
  set_text(object, "uid", workload.uid);
  set_text(object, "trustDomain", workload.trust_domain);
  set_text(object, "serviceAccount", workload.service_account);
  set_text(object, "network", workload.network);
  set_text(object, "workloadName", workload.workload_name);
  set_text(object, "workloadType", workload.workload_type);
  set_text(object, "canonicalName", workload.canonical_name);
  set_text(object, "canonicalRevision", workload.canonical_revision);
  set_text(object, "hostname", workload.hostname);
  set_text(object, "node", workload.node);
  if (workload.native_tunnel) object["nativeTunnel"] = true;
  if (workload.application_tunnel) {
    object["applicationTunnel"] = tunnel_json(*workload.application_tunnel);
  }
  if (!workload.authorization_policies.empty()) {
    object["authorizationPolicies"] = workload.authorization_policies;
  }
  if (workload.locality != state::Locality{}) {
    object["locality"] = {{"region", workload.locality.region},
                          {"zone", workload.locality.zone},
                          {"subzone", workload.locality.subzone}};
  }
  if (!workload.services.empty()) {
    object["services"] = list(workload.services, [](const auto& key) { return key.to_string(); });
  }
  return object;
}

json service_json(const ServiceSpec& service) {
  json object = {
      {"name", service.name},
      {"namespace", service.namespace_},
      {"hostname", service.hostname},
      {"vips", list(service.vips, [](const auto& vip) { return vip.to_string(); })},
      {"ports", ports_json(service.ports)},
      {"endpoints", endpoints_json(service.endpoints)},
      {"subjectAltNames", service.subject_alt_names},
      {"canonical", service.canonical},
      {"visibility", service.visibility == state::Visibility::kNamespace ? "Namespace" : "Public"}};
  if (!service.cidr_vips.empty()) {
    object["cidrVips"] = list(service.cidr_vips, [](const state::CidrVip& vip) {
      return json{{"network", vip.network}, {"cidr", vip.cidr.to_string()}};
    });
  }
  if (service.waypoint) object["waypoint"] = gateway_json(*service.waypoint);
  if (!service.weighted_waypoints.empty()) {
    object["weightedWaypoints"] =
        list(service.weighted_waypoints, [](const state::WeightedWaypoint& waypoint) {
          return json{{"destination", gateway_json(waypoint.destination)},
                      {"weight", waypoint.weight}};
        });
  }
  if (service.load_balancer) object["loadBalancer"] = load_balancer_json(*service.load_balancer);
  switch (service.ip_families) {
    case state::IpFamilies::kAutomatic:
      break;
    case state::IpFamilies::kIpv4Only:
      object["ipFamilies"] = "IPv4";
      break;
    case state::IpFamilies::kIpv6Only:
      object["ipFamilies"] = "IPv6";
      break;
    case state::IpFamilies::kDual:
      object["ipFamilies"] = "Dual";
      break;
  }
  return object;
}

json policy_json(const Policy& policy) {
  json rules = list(policy.rules, [](const state::PolicyRule& rule) {
    return list(rule, [](const state::PolicyClause& clause) { return list(clause, match_json); });
  });
  return {{"name", policy.name},
          {"namespace", policy.namespace_},
          {"scope", policy_scope_name(policy.scope)},
          {"action", policy.action == Policy::Action::kDeny ? "Deny" : "Allow"},
          {"rules", std::move(rules)},
          {"dryRun", policy.dry_run}};
}

void write_workloads(const state::Snapshot& snapshot, JsonText& out) {
  write_list(snapshot.workloads(), out, [](const auto& w) { return workload_json(w->spec()); });
}

void write_services(const state::Snapshot& snapshot, JsonText& out) {
  write_list(snapshot.services(), out, [](const auto& s) { return service_json(s->spec()); });
}

void write_policies(const state::Snapshot& snapshot, JsonText& out) {
  write_list(snapshot.policies(), out, [](const auto& p) { return policy_json(*p); });
}

void write_staged_services(const state::Snapshot& snapshot, JsonText& out) {
  out.begin('{');
  for (const auto& [key, endpoints] : snapshot.staged_services()) {
    out.key(key);
    out.value(endpoints_json(endpoints));
  }
  out.end();
}

Result<> write_local_config(const YamlInput& yaml, JsonText& out) {
  LocalConfigText text(out);
  if (auto read = read_local_config(yaml, text); !read) return read.error();
  text.write();
  return {};
}

void write_empty_local_config(JsonText& out) { LocalConfigText(out).write(); }

}  // namespace culvert::config
