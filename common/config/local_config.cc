#include "common/config/local_config.h"

#include "common/config/local_policy.h"
#include "common/config/yaml_ahead.h"
#include "common/config/yaml_reader.h"

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

namespace culvert::config {
namespace {

using state::GatewayAddress;
using state::NamespacedHostname;
using state::NetworkAddress;
using state::PortMap;
using state::ServiceSpec;
using state::WorkloadSpec;

net::IpAddress read_ip(const YamlValue& value) {
  const auto ip = net::IpAddress::parse(value.text());
  if (!ip) value.fail("not an IP address");
  return ip ? *ip : net::IpAddress();
}

// "network/ip", where the network may be empty.
NetworkAddress read_network_address(const YamlValue& value) {
  const std::string_view text = value.text();
  const size_t slash = text.find('/');
  if (slash != std::string_view::npos) {
    const auto ip = net::IpAddress::parse(text.substr(slash + 1));
    if (ip) return {std::string(text.substr(0, slash)), *ip};
  }
  value.fail("not of the form network/ip");
  return {};
}

// "namespace/hostname"; a second slash would make it the uid of a workload.
bool parse_namespaced_hostname(std::string_view text, NamespacedHostname& out) {
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos || text.find('/', slash + 1) != std::string_view::npos)
    return false;
  out = {std::string(text.substr(0, slash)), std::string(text.substr(slash + 1))};
  return true;
}

GatewayAddress read_gateway(const YamlValue& value) {
  GatewayAddress gateway;
  YamlObject object(value);
  object.required("destination", [&](const YamlValue& field) {
    const std::string_view text = field.text();
    const size_t slash = text.find('/');
    NamespacedHostname hostname;
    const auto ip = net::IpAddress::parse(slash == std::string_view::npos ? std::string_view()
                                                                          : text.substr(slash + 1));
    if (ip) {
      gateway.destination = NetworkAddress{std::string(text.substr(0, slash)), *ip};
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
  value.each_entry([&](std::string_view key, const YamlValue& target) {
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

LocalWorkload read_workload(const YamlValue& value) {
  LocalWorkload local;
  WorkloadSpec& workload = local.workload;
  YamlObject object(value);
  const auto text = [&](std::string_view key, std::string& into) {
    object.optional(key, [&](const YamlValue& field) { into = field.text(); });
  };
  object.required("workloadIps", [&](const YamlValue& field) {
    field.each([&](const YamlValue& ip) { workload.ips.push_back(read_ip(ip)); });
  });
  object.required("namespace", [&](const YamlValue& field) { workload.namespace_ = field.text(); });
  object.required("services", [&](const YamlValue& field) {
    field.each_entry([&](std::string_view key, const YamlValue& ports) {
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
        [&](const YamlValue& key) { workload.authorization_policies.emplace_back(key.text()); });
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

ServiceSpec read_service(const YamlValue& value) {
  ServiceSpec service;
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
    field.each_entry([&](std::string_view, const YamlValue& entry) {
      state::Endpoint endpoint = read_endpoint(entry);
      const std::string uid = endpoint.workload_uid;
      if (!service.endpoints.emplace(uid, std::move(endpoint)).second) {
        entry.fail("workloadUid '" + uid + "' is there twice");
      }
    });
  });
  object.optional("subjectAltNames", [&](const YamlValue& field) {
    field.each([&](const YamlValue& san) { service.subject_alt_names.emplace_back(san.text()); });
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

std::string key_of(const LocalWorkload& local) { return local.workload.uid; }
std::string key_of(const ServiceSpec& service) { return service.key().to_string(); }
std::string key_of(const state::Policy& policy) { return policy.key(); }

// One element of a list of the document. One with errors is not taken: what its key should be is
// not known.
template <class Read>
void take_element(const YamlValue& value, std::string_view what, Read&& read,
                  LocalConfigSink& sink) {
  const size_t problems_before = value.problems().count();
  auto item = read(value);
  if (value.problems().count() != problems_before) return;
  std::string key = key_of(item);
  if (sink.take(std::move(item))) value.fail(fmt::format("{} '{}' is there twice", what, key));
}

void take_element(std::string_view list, const YamlValue& value, LocalConfigSink& sink) {
  if (list == "workloads") take_element(value, "uid", read_workload, sink);
  if (list == "services") take_element(value, "service", read_service, sink);
  if (list == "policies") take_element(value, "policy", read_policy, sink);
}

// Puts everything into a Store.
class StoreSink final : public LocalConfigSink {
 public:
  explicit StoreSink(state::Store& store) : store_(store) {}
  [[nodiscard]] const LocalCounts& counts() const { return counts_; }

  bool take(LocalWorkload local) override {
    ++counts_.workloads;
    // Istio's ztunnel leaves the list empty for local workloads, and then cannot say which service
    // an incoming connection was for. xDS fills it, so the local form does too.
    for (const auto& [service, ports] : local.services) {
      local.workload.services.push_back(service);
    }
    return store_.upsert_workload(local.workload, local.services);
  }
  bool take(ServiceSpec service) override {
    ++counts_.services;
    return store_.upsert_service(service);
  }
  bool take(state::Policy policy) override {
    ++counts_.policies;
    return store_.upsert_policy(std::move(policy));
  }

 private:
  state::Store& store_;
  LocalCounts counts_;
};

}  // namespace

Result<> read_local_config(const YamlInput& yaml, LocalConfigSink& sink, size_t max_bytes) {
  Problems problems;
  const YamlPath top;
  const auto parsed =
      parse_yaml_ahead(yaml, {max_bytes, kMaxLocalConfigValues, kMaxLocalConfigDepth},
                       [&](std::string_view list, size_t index, const YamlNode& element) {
                         const YamlPath list_path{&top, list};
                         const YamlPath path{&list_path, {}, index};
                         take_element(list, YamlValue(element, path, problems), sink);
                       });
  if (!parsed) return parsed.error();
  const YamlValue document(parsed->root(), top, problems);
  YamlObject object(document);
  for (const std::string_view list : {"workloads", "policies", "services"}) {
    // What is left of a list here are elements that the parser had to keep.
    object.optional(list, [&](const YamlValue& value) {
      value.each([&](const YamlValue& element) { take_element(list, element, sink); });
    });
  }
  object.finish();
  if (!problems.empty()) return problems.to_error();
  return {};
}

Result<LocalCounts> read_local_config(const YamlInput& yaml, state::Store& store) {
  StoreSink sink(store);
  if (auto read = read_local_config(yaml, sink); !read) return read.error();
  return sink.counts();
}

Result<LocalCounts> load_local_config(const YamlInput& yaml, state::Store& store) {
  state::Store loaded(store.local_node());
  auto counts = read_local_config(yaml, loaded);
  if (counts) store.replace_by(loaded);
  return counts;
}

}  // namespace culvert::config
