#include "common/config/local_config.h"

#include "common/config/local_policy.h"
#include "common/config/yaml_reader.h"

#include <fmt/format.h>

#include <string>
#include <unordered_set>
#include <utility>

namespace culvert::config {
namespace {

using state::GatewayAddress;
using state::NamespacedHostname;
using state::NetworkAddress;
using state::PortMap;
using state::Service;
using state::Workload;

net::IpAddress read_ip(const YamlValue& value) {
  const auto ip = net::IpAddress::parse(value.text());
  if (!ip) value.fail("not an IP address");
  return ip ? *ip : net::IpAddress();
}

// "network/ip", where the network may be empty.
NetworkAddress read_network_address(const YamlValue& value) {
  const std::string text = value.text();
  const size_t slash = text.find('/');
  if (slash != std::string::npos) {
    const auto ip = net::IpAddress::parse(std::string_view(text).substr(slash + 1));
    if (ip) return {text.substr(0, slash), *ip};
  }
  value.fail("not of the form network/ip");
  return {};
}

// "namespace/hostname"; a second slash would make it the uid of a workload.
bool parse_namespaced_hostname(const std::string& text, NamespacedHostname& out) {
  const size_t slash = text.find('/');
  if (slash == std::string::npos || text.find('/', slash + 1) != std::string::npos) return false;
  out = {text.substr(0, slash), text.substr(slash + 1)};
  return true;
}

GatewayAddress read_gateway(const YamlValue& value) {
  GatewayAddress gateway;
  YamlObject object(value);
  object.required("destination", [&](const YamlValue& field) {
    const std::string text = field.text();
    const size_t slash = text.find('/');
    NamespacedHostname hostname;
    const auto ip = net::IpAddress::parse(
        slash == std::string::npos ? std::string_view() : std::string_view(text).substr(slash + 1));
    if (ip) {
      gateway.destination = NetworkAddress{text.substr(0, slash), *ip};
    } else if (parse_namespaced_hostname(text, hostname)) {
      gateway.destination = std::move(hostname);
    } else {
      field.fail("neither network/ip nor namespace/hostname");
    }
  });
  object.required("hboneMtlsPort",
                  [&](const YamlValue& field) { gateway.hbone_mtls_port = field.u16(); });
  object.finish();
  return gateway;
}

PortMap read_ports(const YamlValue& value) {
  PortMap ports;
  value.each_entry([&](const std::string& key, const YamlValue& target) {
    uint32_t port = 0;
    if (!parse_number(key, UINT16_MAX, port)) return target.fail("key is not a port");
    ports[static_cast<uint16_t>(port)] = target.u16();
  });
  return ports;
}

state::Health read_health(const YamlValue& value) {
  return value.choice<state::Health>(
      {{"Healthy", state::Health::kHealthy}, {"Unhealthy", state::Health::kUnhealthy}});
}

state::Locality read_locality(const YamlValue& value) {
  state::Locality locality;
  YamlObject object(value, YamlObject::Unknown::kIgnored);
  object.required("region", [&](const YamlValue& field) { locality.region = field.text(); });
  object.required("zone", [&](const YamlValue& field) { locality.zone = field.text(); });
  object.required("subzone", [&](const YamlValue& field) { locality.subzone = field.text(); });
  return locality;
}

state::ApplicationTunnel read_tunnel(const YamlValue& value) {
  using Protocol = state::ApplicationTunnel::Protocol;
  state::ApplicationTunnel tunnel;
  YamlObject object(value);
  object.required("protocol", [&](const YamlValue& field) {
    tunnel.protocol =
        field.choice<Protocol>({{"NONE", Protocol::kNone}, {"PROXY", Protocol::kProxy}});
  });
  object.nullable("port", [&](const YamlValue& field) { tunnel.port = field.u16(); });
  object.finish();
  return tunnel;
}

LocalConfig::LocalWorkload read_workload(const YamlValue& value) {
  LocalConfig::LocalWorkload local;
  Workload& workload = local.workload;
  YamlObject object(value);
  const auto text = [&](std::string_view key, std::string& into) {
    object.optional(key, [&](const YamlValue& field) { into = field.text(); });
  };
  object.required("workloadIps", [&](const YamlValue& field) {
    field.each([&](const YamlValue& ip) { workload.ips.push_back(read_ip(ip)); });
  });
  object.required("namespace", [&](const YamlValue& field) { workload.namespace_ = field.text(); });
  object.required("services", [&](const YamlValue& field) {
    field.each_entry([&](const std::string& key, const YamlValue& ports) {
      NamespacedHostname service;
      if (!parse_namespaced_hostname(key, service)) {
        return ports.fail("key is not of the form namespace/hostname");
      }
      local.services[std::move(service)] = read_ports(ports);
    });
  });
  text("uid", workload.uid);
  text("name", workload.name);
  text("trustDomain", workload.trust_domain);
  text("serviceAccount", workload.service_account);
  text("network", workload.network);
  text("node", workload.node);
  text("workloadName", workload.workload_name);
  text("workloadType", workload.workload_type);
  text("canonicalName", workload.canonical_name);
  text("canonicalRevision", workload.canonical_revision);
  text("hostname", workload.hostname);
  text("clusterId", workload.cluster_id);
  object.optional("protocol", [&](const YamlValue& field) {
    workload.protocol = field.choice<state::Protocol>(
        {{"TCP", state::Protocol::kTcp}, {"HBONE", state::Protocol::kHbone}});
  });
  object.optional("networkMode", [&](const YamlValue& field) {
    workload.network_mode =
        field.choice<state::NetworkMode>({{"Standard", state::NetworkMode::kStandard},
                                          {"HostNetwork", state::NetworkMode::kHostNetwork}});
  });
  object.nullable("waypoint",
                  [&](const YamlValue& field) { workload.waypoint = read_gateway(field); });
  object.nullable("networkGateway",
                  [&](const YamlValue& field) { workload.network_gateway = read_gateway(field); });
  object.optional("nativeTunnel",
                  [&](const YamlValue& field) { workload.native_tunnel = field.boolean(); });
  object.nullable("applicationTunnel", [&](const YamlValue& field) {
    workload.application_tunnel = read_tunnel(field);
  });
  object.optional("authorizationPolicies", [&](const YamlValue& field) {
    field.each(
        [&](const YamlValue& key) { workload.authorization_policies.push_back(key.text()); });
  });
  object.optional("status", [&](const YamlValue& field) { workload.status = read_health(field); });
  object.optional("locality",
                  [&](const YamlValue& field) { workload.locality = read_locality(field); });
  object.optional("capacity", [&](const YamlValue& field) { workload.capacity = field.u32(); });
  object.finish();
  return local;
}

state::Endpoint read_endpoint(const YamlValue& value) {
  state::Endpoint endpoint;
  YamlObject object(value);
  object.required("workloadUid",
                  [&](const YamlValue& field) { endpoint.workload_uid = field.text(); });
  object.required("port", [&](const YamlValue& field) { endpoint.ports = read_ports(field); });
  object.optional("status", [&](const YamlValue& field) { endpoint.status = read_health(field); });
  object.finish();
  return endpoint;
}

state::LoadBalancer read_load_balancer(const YamlValue& value) {
  using Scope = state::LoadBalancerScope;
  using Mode = state::LoadBalancerMode;
  state::LoadBalancer balancer;
  YamlObject object(value);
  object.required("routingPreferences", [&](const YamlValue& field) {
    field.each([&](const YamlValue& scope) {
      balancer.routing_preferences.push_back(scope.choice<Scope>({{"Region", Scope::kRegion},
                                                                  {"Zone", Scope::kZone},
                                                                  {"Subzone", Scope::kSubzone},
                                                                  {"Node", Scope::kNode},
                                                                  {"Cluster", Scope::kCluster},
                                                                  {"Network", Scope::kNetwork}}));
    });
  });
  object.required("mode", [&](const YamlValue& field) {
    balancer.mode = field.choice<Mode>({{"Standard", Mode::kStandard},
                                        {"Strict", Mode::kStrict},
                                        {"Failover", Mode::kFailover},
                                        {"Passthrough", Mode::kPassthrough}});
  });
  object.required("healthPolicy", [&](const YamlValue& field) {
    balancer.health_policy =
        field.choice<state::HealthPolicy>({{"OnlyHealthy", state::HealthPolicy::kOnlyHealthy},
                                           {"AllowAll", state::HealthPolicy::kAllowAll}});
  });
  object.finish();
  return balancer;
}

state::CidrVip read_cidr_vip(const YamlValue& value) {
  state::CidrVip vip;
  YamlObject object(value, YamlObject::Unknown::kIgnored);
  object.required("network", [&](const YamlValue& field) { vip.network = field.text(); });
  object.required("cidr", [&](const YamlValue& field) { vip.cidr = read_cidr(field); });
  return vip;
}

state::WeightedWaypoint read_weighted_waypoint(const YamlValue& value) {
  state::WeightedWaypoint waypoint;
  YamlObject object(value);
  object.required("destination",
                  [&](const YamlValue& field) { waypoint.destination = read_gateway(field); });
  object.required("weight", [&](const YamlValue& field) { waypoint.weight = field.u32(); });
  object.finish();
  return waypoint;
}

Service read_service(const YamlValue& value) {
  Service service;
  YamlObject object(value);
  object.required("name", [&](const YamlValue& field) { service.name = field.text(); });
  object.required("namespace", [&](const YamlValue& field) { service.namespace_ = field.text(); });
  object.required("hostname", [&](const YamlValue& field) { service.hostname = field.text(); });
  object.required("vips", [&](const YamlValue& field) {
    field.each([&](const YamlValue& vip) { service.vips.push_back(read_network_address(vip)); });
  });
  object.required("ports", [&](const YamlValue& field) { service.ports = read_ports(field); });
  object.optional("cidrVips", [&](const YamlValue& field) {
    field.each([&](const YamlValue& vip) { service.cidr_vips.push_back(read_cidr_vip(vip)); });
  });
  object.optional("endpoints", [&](const YamlValue& field) {
    field.each_entry([&](const std::string&, const YamlValue& entry) {
      state::Endpoint endpoint = read_endpoint(entry);
      const std::string uid = endpoint.workload_uid;
      if (!service.endpoints.emplace(uid, std::move(endpoint)).second) {
        entry.fail("workloadUid '" + uid + "' is there twice");
      }
    });
  });
  object.optional("subjectAltNames", [&](const YamlValue& field) {
    field.each([&](const YamlValue& san) { service.subject_alt_names.push_back(san.text()); });
  });
  object.nullable("waypoint",
                  [&](const YamlValue& field) { service.waypoint = read_gateway(field); });
  object.optional("weightedWaypoints", [&](const YamlValue& field) {
    field.each([&](const YamlValue& waypoint) {
      service.weighted_waypoints.push_back(read_weighted_waypoint(waypoint));
    });
  });
  object.nullable("loadBalancer", [&](const YamlValue& field) {
    service.load_balancer = read_load_balancer(field);
  });
  object.nullable("ipFamilies", [&](const YamlValue& field) {
    service.ip_families = field.choice<state::IpFamilies>({{"Dual", state::IpFamilies::kDual},
                                                           {"IPv4", state::IpFamilies::kIpv4Only},
                                                           {"IPv6", state::IpFamilies::kIpv6Only}});
  });
  object.optional("canonical",
                  [&](const YamlValue& field) { service.canonical = field.boolean(); });
  object.optional("visibility", [&](const YamlValue& field) {
    service.visibility = field.choice<state::Visibility>(
        {{"Public", state::Visibility::kPublic}, {"Namespace", state::Visibility::kNamespace}});
  });
  object.finish();
  return service;
}

// The elements of a list, each key_of() once. An element with errors does not count: what its key
// should be is not known.
template <class Item, class Read, class KeyOf>
std::vector<Item> read_unique(const YamlValue& list, std::string_view what, Read&& read,
                              KeyOf&& key_of) {
  std::vector<Item> items;
  items.reserve(list.node().items.size());
  std::unordered_set<std::string> seen;
  list.each([&](const YamlValue& value) {
    const size_t problems_before = value.problems().count();
    items.push_back(read(value));
    if (value.problems().count() != problems_before) return;
    const std::string key = key_of(items.back());
    if (!seen.insert(key).second) value.fail(fmt::format("{} '{}' is there twice", what, key));
  });
  return items;
}

LocalConfig read_config(const YamlValue& root) {
  using state::Policy;
  using LocalWorkload = LocalConfig::LocalWorkload;
  LocalConfig config;
  YamlObject object(root);
  object.optional("workloads", [&](const YamlValue& list) {
    config.workloads = read_unique<LocalWorkload>(
        list, "uid", read_workload, [](const LocalWorkload& local) { return local.workload.uid; });
  });
  object.optional("policies", [&](const YamlValue& list) {
    config.policies = read_unique<Policy>(list, "policy", read_policy,
                                          [](const Policy& policy) { return policy.key(); });
  });
  object.optional("services", [&](const YamlValue& list) {
    config.services =
        read_unique<Service>(list, "service", read_service,
                             [](const Service& service) { return service.key().to_string(); });
  });
  object.finish();
  return config;
}

}  // namespace

Result<LocalConfig> parse_local_config(std::string_view yaml) {
  const auto root =
      parse_yaml(yaml, {kMaxLocalConfigBytes, kMaxLocalConfigValues, kMaxLocalConfigDepth});
  if (!root) return root.error();
  Problems problems;
  const YamlPath path;
  LocalConfig config = read_config(YamlValue(*root, path, problems));
  if (!problems.empty()) return problems.to_error();
  return config;
}

void apply_local_config(const LocalConfig& config, state::Store& store) {
  store.clear();
  for (const auto& local : config.workloads) {
    // Istio's ztunnel leaves the list empty for local workloads, and then cannot say which service
    // an incoming connection was for. xDS fills it, so the local form does too.
    state::Workload workload = local.workload;
    for (const auto& [service, ports] : local.services) workload.services.push_back(service);
    store.upsert_workload(std::move(workload), local.services);
  }
  for (const state::Policy& policy : config.policies) store.upsert_policy(policy);
  for (const Service& service : config.services) store.upsert_service(service);
}

}  // namespace culvert::config
