#include "common/config/state_json.h"

#include "tests/support/state_builders.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace culvert::config {
namespace {

using nlohmann::json;
using test::cidr;
using test::ip;

// What `write` writes, as a value.
template <class Write>
json written(Write&& write) {
  std::string text;
  JsonText out(text);
  write(out);
  return json::parse(text);
}

json state_json(const state::Snapshot& snapshot) {
  return {
      {"workloads", written([&](JsonText& out) { write_workloads(snapshot, out); })},
      {"services", written([&](JsonText& out) { write_services(snapshot, out); })},
      {"policies", written([&](JsonText& out) { write_policies(snapshot, out); })},
      {"stagedServices", written([&](JsonText& out) { write_staged_services(snapshot, out); })}};
}

json local_config_json(std::string_view yaml) {
  return written([&](JsonText& out) {
    const auto done = write_local_config(yaml_input(yaml), out);
    EXPECT_TRUE(done) << done.error().message();
  });
}

TEST(StateJsonTest, WorkloadWithLittle) {
  EXPECT_EQ(workload_json({}), json::parse(R"({
    "workloadIps": [], "protocol": "TCP", "networkMode": "Standard", "name": "", "namespace": "",
    "status": "Healthy", "clusterId": "", "capacity": 1})"));
}

TEST(StateJsonTest, WorkloadWithEverything) {
  auto workload = test::pod("w", {"10.0.0.1", "fd00::1"});
  workload.network_mode = state::NetworkMode::kHostNetwork;
  workload.network = "net";
  workload.waypoint = test::gateway("defaultnw", "127.0.0.10", 15008);
  workload.network_gateway = test::gateway_host("ns", "gw", 15443);
  workload.node = "node1";
  workload.workload_name = "wl";
  workload.workload_type = "deployment";
  workload.canonical_name = "cn";
  workload.canonical_revision = "v1";
  workload.hostname = "h";
  workload.native_tunnel = true;
  workload.application_tunnel = state::ApplicationTunnel{};
  workload.authorization_policies = {"ns/p"};
  workload.status = state::Health::kUnhealthy;
  workload.cluster_id = "Kubernetes";
  workload.locality = {"r", "", "s"};
  workload.capacity = 0;
  workload.services = {{"ns", "a"}, {"ns", "b"}};
  EXPECT_EQ(workload_json(workload), json::parse(R"({
    "uid": "cluster1//Pod/ns/w", "name": "w", "namespace": "ns",
    "workloadIps": ["10.0.0.1", "fd00::1"], "protocol": "HBONE", "networkMode": "HostNetwork",
    "network": "net", "trustDomain": "cluster.local", "serviceAccount": "default",
    "waypoint": {"destination": "defaultnw/127.0.0.10", "hboneMtlsPort": 15008},
    "networkGateway": {"destination": "ns/gw", "hboneMtlsPort": 15443},
    "node": "node1", "workloadName": "wl", "workloadType": "deployment", "canonicalName": "cn",
    "canonicalRevision": "v1", "hostname": "h", "nativeTunnel": true,
    "applicationTunnel": {"protocol": "NONE", "port": null},
    "authorizationPolicies": ["ns/p"], "status": "Unhealthy", "clusterId": "Kubernetes",
    "locality": {"region": "r", "zone": "", "subzone": "s"}, "capacity": 0,
    "services": ["ns/a", "ns/b"]})"));
  workload.application_tunnel = {state::ApplicationTunnel::Protocol::kProxy, uint16_t{1234}};
  EXPECT_EQ(workload_json(workload)["applicationTunnel"],
            json::parse(R"({"protocol": "PROXY", "port": 1234})"));
}

TEST(StateJsonTest, ServiceWithLittle) {
  EXPECT_EQ(service_json({}), json::parse(R"({
    "name": "", "namespace": "", "hostname": "", "vips": [], "ports": {}, "endpoints": {},
    "subjectAltNames": [], "canonical": false, "visibility": "Public"})"));
}

TEST(StateJsonTest, ServiceWithEverything) {
  auto service = test::service("s", {"10.1.0.1"});
  service.vips.push_back({"net", ip("fd00::5")});
  service.cidr_vips = {{"net", cidr("10.1.2.3/16")}};
  service.endpoints["u"] = {"u", {{80, 8080}, {443, 0}}, state::Health::kUnhealthy};
  service.subject_alt_names = {"spiffe://a"};
  service.waypoint = test::gateway("", "10.0.0.1", 15008);
  service.weighted_waypoints = {{test::gateway_host("ns", "w", 15008), 10}};
  service.load_balancer =
      state::LoadBalancer{{state::LoadBalancerScope::kNetwork, state::LoadBalancerScope::kRegion,
                           state::LoadBalancerScope::kZone, state::LoadBalancerScope::kSubzone,
                           state::LoadBalancerScope::kNode, state::LoadBalancerScope::kCluster},
                          state::LoadBalancerMode::kFailover,
                          state::HealthPolicy::kAllowAll};
  service.ip_families = state::IpFamilies::kIpv4Only;
  service.canonical = true;
  service.visibility = state::Visibility::kNamespace;
  EXPECT_EQ(service_json(service), json::parse(R"({
    "name": "s", "namespace": "ns", "hostname": "s.ns.svc", "vips": ["/10.1.0.1", "net/fd00::5"],
    "cidrVips": [{"network": "net", "cidr": "10.1.2.3/16"}], "ports": {"80": 8080},
    "endpoints": {"u": {"workloadUid": "u", "port": {"80": 8080, "443": 0}, "status": "Unhealthy"}},
    "subjectAltNames": ["spiffe://a"],
    "waypoint": {"destination": "/10.0.0.1", "hboneMtlsPort": 15008},
    "weightedWaypoints": [{"destination": {"destination": "ns/w", "hboneMtlsPort": 15008},
                           "weight": 10}],
    "loadBalancer": {"routingPreferences": ["Network", "Region", "Zone", "Subzone", "Node", "Cluster"],
                     "mode": "Failover", "healthPolicy": "AllowAll"},
    "ipFamilies": "IPv4", "canonical": true, "visibility": "Namespace"})"));
}

TEST(StateJsonTest, Policy) {
  state::Policy policy;
  policy.name = "p";
  policy.namespace_ = "ns";
  policy.scope = state::Policy::Scope::kWorkloadSelector;
  policy.action = state::Policy::Action::kDeny;
  policy.dry_run = true;
  state::PolicyMatch match;
  using Kind = state::StringMatch::Kind;
  match.namespaces = {{Kind::kExact, "a"}, {Kind::kPresence, ""}};
  match.not_principals = {{Kind::kPrefix, "b"}, {Kind::kSuffix, "c"}};
  match.service_accounts = {{"n", "sa"}};
  match.not_source_ips = {cidr("10.0.0.0/8")};
  match.destination_ports = {80};
  policy.rules = {{{match, {}}, {}}, {}};
  EXPECT_EQ(policy_json(policy), json::parse(R"({
    "name": "p", "namespace": "ns", "scope": "WorkloadSelector", "action": "Deny", "dryRun": true,
    "rules": [[[{"namespaces": [{"Exact": "a"}, {"Presence": []}],
                 "notPrincipals": [{"Prefix": "b"}, {"Suffix": "c"}],
                 "serviceAccounts": [{"namespace": "n", "serviceAccount": "sa"}],
                 "notSourceIps": ["10.0.0.0/8"], "destinationPorts": [80]}, {}], []], []]})"));
}

TEST(StateJsonTest, Snapshot) {
  state::Store store("");
  EXPECT_EQ(
      state_json(*store.commit()),
      json::parse(R"({"workloads": [], "services": [], "policies": [], "stagedServices": {}})"));
  store.upsert_workload(test::pod("b", {}), {{{"ns", "later"}, {{80, 8080}}}});
  store.upsert_workload(test::pod("a", {}), {});
  store.upsert_service(test::service("s", {}));
  const json all = state_json(*store.commit());
  ASSERT_EQ(all["workloads"].size(), 2U);
  EXPECT_EQ(all["workloads"][0]["name"], "a");
  EXPECT_EQ(all["services"].size(), 1U);
  EXPECT_EQ(all["stagedServices"], json::parse(R"({"ns/later": {"cluster1//Pod/ns/b": {
    "workloadUid": "cluster1//Pod/ns/b", "port": {"80": 8080}, "status": "Healthy"}}})"));
}

TEST(StateJsonTest, EmptyLocalConfig) {
  EXPECT_EQ(written(write_empty_local_config),
            json::parse(R"({"workloads": [], "services": [], "policies": []})"));
}

// The JSON form of a local configuration is a local configuration: JSON is YAML.
TEST(StateJsonTest, LocalConfigRoundTrips) {
  constexpr std::string_view kYaml = R"(
workloads:
- {workloadIps: [10.0.0.1], namespace: ns, name: w, uid: u, applicationTunnel: {protocol: NONE},
   services: {ns/h: {80: 8080}}, locality: {region: r, zone: z, subzone: s}}
policies:
- {name: p, namespace: ns, scope: Global, action: Deny, dryRun: false,
   rules: [[[{principals: [!Exact a, !Presence []], sourceIps: [10.0.0.0/8]}]]]}
services:
- {name: s, namespace: ns, hostname: h, vips: [/10.1.0.1], ports: {80: 8080},
   endpoints: {e: {workloadUid: e, port: {80: 1}}}, ipFamilies: IPv6,
   loadBalancer: {routingPreferences: [Node], mode: Strict, healthPolicy: OnlyHealthy}}
)";
  const json first = local_config_json(kYaml);
  EXPECT_EQ(first["workloads"][0]["services"], json::parse(R"({"ns/h": {"80": 8080}})"));
  EXPECT_EQ(local_config_json(dump_text(first)), first);
}

TEST(StateJsonTest, TextIsIndentedByTwo) {
  auto workload = test::pod("w", {});
  workload.waypoint = test::gateway("defaultnw", "127.0.0.10", 15008);
  const std::string text = dump_text({{"workloads", {workload_json(workload)}}});
  EXPECT_NE(text.find("      \"waypoint\": {\n        \"destination\": \"defaultnw/127.0.0.10\",\n"
                      "        \"hboneMtlsPort\": 15008\n      }"),
            std::string::npos)
      << text;
}

TEST(StateJsonTest, TextOfBadUtf8DoesNotThrow) {
  EXPECT_EQ(dump_text(json("a\xff")), "\"a\xef\xbf\xbd\"");
}

}  // namespace
}  // namespace culvert::config
