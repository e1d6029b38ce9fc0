#include "common/config/local_config.h"

#include "tests/support/state_builders.h"
#include "tests/unit/common/config/parsed_config.h"

#include <gtest/gtest.h>

#include <string>

namespace culvert::config {
namespace {

using test::cidr;
using test::ip;

constexpr std::string_view kEverything = R"(
workloads:
- uid: cluster1//Pod/ns/x
  name: x
  namespace: ns
  workloadIps: ["10.0.0.1", "fd00::1"]
  trustDomain: cluster.local
  serviceAccount: sa
  network: net
  node: local
  protocol: HBONE
  networkMode: HostNetwork
  waypoint:
    destination: net/10.0.0.9
    hboneMtlsPort: 15008
  networkGateway: {destination: "ns/gw.example.com", hboneMtlsPort: 15443}
  workloadName: x-controller
  workloadType: deployment
  canonicalName: cx
  canonicalRevision: v1
  hostname: x.example.com
  nativeTunnel: true
  applicationTunnel: {protocol: PROXY, port: 1234}
  authorizationPolicies: ["ns/deny-9999"]
  status: Unhealthy
  clusterId: cluster1
  locality: {region: r, zone: z, subzone: s, planet: ignored}
  capacity: 3
  services:
    "default/example.com": {80: 8080, 443: 0}
    "default/other.com": {}
policies:
- name: deny-9999
  namespace: ns
  scope: WorkloadSelector
  action: Deny
  dryRun: true
  rules:
  - - - destinationPorts: [9999]
services:
- name: local
  namespace: default
  hostname: example.com
  vips: ["/127.10.0.1", "remote/127.10.0.2"]
  ports: {80: 8080}
  cidrVips: [{network: "", cidr: 10.0.0.0/8, comment: ignored}]
  endpoints:
    cluster1//Pod/ns/y: {workloadUid: cluster1//Pod/ns/y, port: {80: 81}, status: Unhealthy}
    cluster1//Pod/ns/z: {workloadUid: cluster1//Pod/ns/z, port: {}}
  subjectAltNames: ["spiffe://cluster.local/ns/default/sa/x"]
  waypoint: {destination: "ns/waypoint.ns.svc", hboneMtlsPort: 15008}
  weightedWaypoints: [{destination: {destination: "/10.0.0.8", hboneMtlsPort: 15008}, weight: 10}]
  loadBalancer:
    routingPreferences: [Region, Zone, Subzone, Node, Cluster, Network]
    mode: Failover
    healthPolicy: AllowAll
  ipFamilies: Dual
  canonical: true
  visibility: Namespace
)";

// The least a workload needs, with `more` indented below it.
std::string workload_with(std::string_view more) {
  return "workloads:\n- workloadIps: []\n  namespace: ns\n  services: {}\n" + std::string(more);
}
std::string service_with(std::string_view more) {
  return "services:\n- name: s\n  namespace: ns\n  hostname: h\n  vips: []\n  ports: {}\n" +
         std::string(more);
}
std::string error_of(std::string_view yaml) {
  const auto parsed = parse_local_config(yaml);
  return parsed ? "" : parsed.error().message();
}

TEST(LocalConfigTest, ReadsEveryWorkloadField) {
  const auto config = parse_local_config(kEverything).value();
  ASSERT_EQ(config.workloads.size(), 1U);
  const state::WorkloadSpec& workload = config.workloads[0].workload;
  EXPECT_EQ(workload.uid, "cluster1//Pod/ns/x");
  EXPECT_EQ(workload.name, "x");
  EXPECT_EQ(workload.namespace_, "ns");
  EXPECT_EQ(workload.ips, test::ips({"10.0.0.1", "fd00::1"}));
  EXPECT_EQ(state::Workload::make(workload)->identity(),
            (state::Identity{"cluster.local", "ns", "sa"}));
  EXPECT_EQ(workload.network, "net");
  EXPECT_EQ(workload.node, "local");
  EXPECT_EQ(workload.protocol, state::Protocol::kHbone);
  EXPECT_EQ(workload.network_mode, state::NetworkMode::kHostNetwork);
  EXPECT_EQ(workload.waypoint, test::gateway("net", "10.0.0.9", 15008));
  EXPECT_EQ(workload.network_gateway, test::gateway_host("ns", "gw.example.com", 15443));
  EXPECT_EQ(workload.workload_name, "x-controller");
  EXPECT_EQ(workload.workload_type, "deployment");
  EXPECT_EQ(workload.canonical_name, "cx");
  EXPECT_EQ(workload.canonical_revision, "v1");
  EXPECT_EQ(workload.hostname, "x.example.com");
  EXPECT_TRUE(workload.native_tunnel);
  EXPECT_EQ(workload.application_tunnel,
            (state::ApplicationTunnel{state::ApplicationTunnel::Protocol::kProxy, uint16_t{1234}}));
  EXPECT_EQ(workload.authorization_policies, (std::vector<std::string>{"ns/deny-9999"}));
  EXPECT_EQ(workload.status, state::Health::kUnhealthy);
  EXPECT_EQ(workload.cluster_id, "cluster1");
  EXPECT_EQ(workload.locality, (state::Locality{"r", "z", "s"}));
  EXPECT_EQ(workload.capacity, 3U);
  EXPECT_TRUE(workload.services.empty());
  EXPECT_EQ(config.workloads[0].services, (std::map<state::NamespacedHostname, state::PortMap>{
                                              {{"default", "example.com"}, {{80, 8080}, {443, 0}}},
                                              {{"default", "other.com"}, {}}}));
}

TEST(LocalConfigTest, ReadsEveryServiceField) {
  const auto config = parse_local_config(kEverything).value();
  ASSERT_EQ(config.services.size(), 1U);
  const state::ServiceSpec& service = config.services[0];
  EXPECT_EQ(service.name, "local");
  EXPECT_EQ(service.key(), (state::NamespacedHostname{"default", "example.com"}));
  EXPECT_EQ(service.vips, (std::vector<state::NetworkAddress>{{"", ip("127.10.0.1")},
                                                              {"remote", ip("127.10.0.2")}}));
  EXPECT_EQ(service.ports, (state::PortMap{{80, 8080}}));
  EXPECT_EQ(service.cidr_vips, (std::vector<state::CidrVip>{{"", cidr("10.0.0.0/8")}}));
  ASSERT_EQ(service.endpoints.size(), 2U);
  EXPECT_EQ(service.endpoints.at("cluster1//Pod/ns/y"),
            (state::Endpoint{"cluster1//Pod/ns/y", {{80, 81}}, state::Health::kUnhealthy}));
  EXPECT_EQ(service.endpoints.at("cluster1//Pod/ns/z").status, state::Health::kHealthy);
  EXPECT_EQ(service.subject_alt_names.size(), 1U);
  EXPECT_EQ(service.waypoint, test::gateway_host("ns", "waypoint.ns.svc", 15008));
  EXPECT_EQ(service.weighted_waypoints,
            (std::vector<state::WeightedWaypoint>{{test::gateway("", "10.0.0.8", 15008), 10}}));
  ASSERT_TRUE(service.load_balancer);
  EXPECT_EQ(service.load_balancer->routing_preferences.size(), 6U);
  EXPECT_EQ(service.load_balancer->mode, state::LoadBalancerMode::kFailover);
  EXPECT_EQ(service.load_balancer->health_policy, state::HealthPolicy::kAllowAll);
  EXPECT_EQ(service.ip_families, state::IpFamilies::kDual);
  EXPECT_TRUE(service.canonical);
  EXPECT_EQ(service.visibility, state::Visibility::kNamespace);
}

TEST(LocalConfigTest, DefaultsAreThoseOfTheLocalForm) {
  const auto config = parse_local_config(workload_with("") + service_with("")).value();
  const state::WorkloadSpec& workload = config.workloads[0].workload;
  EXPECT_EQ(workload.uid, "");
  EXPECT_EQ(workload.trust_domain, "");  // not cluster.local
  EXPECT_EQ(workload.service_account, "");
  EXPECT_EQ(workload.cluster_id, "");
  EXPECT_EQ(workload.protocol, state::Protocol::kTcp);
  EXPECT_EQ(workload.capacity, 1U);
  EXPECT_EQ(workload.status, state::Health::kHealthy);
  EXPECT_FALSE(workload.waypoint || workload.network_gateway || workload.application_tunnel);
  const state::ServiceSpec& service = config.services[0];
  EXPECT_FALSE(service.load_balancer || service.waypoint || service.canonical);
  EXPECT_EQ(service.ip_families, state::IpFamilies::kAutomatic);
  EXPECT_EQ(service.visibility, state::Visibility::kPublic);
}

TEST(LocalConfigTest, EverythingIsOptionalAtTheTop) {
  const auto config = parse_local_config("{}").value();
  EXPECT_TRUE(config.workloads.empty() && config.services.empty() && config.policies.empty());
  // A file that is just being written must not read as "no mesh".
  EXPECT_EQ(error_of(""), "no YAML document");
}

TEST(LocalConfigTest, NullMeansAbsentWhereAbsenceMeansSomething) {
  const auto config =
      parse_local_config(workload_with("  waypoint: null\n  networkGateway: ~\n"
                                       "  applicationTunnel: {protocol: NONE, port: null}\n") +
                         service_with("  waypoint:\n  loadBalancer: null\n  ipFamilies: null\n"))
          .value();
  EXPECT_FALSE(config.workloads[0].workload.waypoint);
  EXPECT_FALSE(config.workloads[0].workload.application_tunnel->port);
  EXPECT_FALSE(config.services[0].load_balancer);
  EXPECT_EQ(error_of(workload_with("  name: null\n")), "workloads[0].name: not a string (line 5)");
  EXPECT_EQ(error_of(workload_with("  authorizationPolicies:\n")),
            "workloads[0].authorizationPolicies: not a list (line 5)");
}

TEST(LocalConfigTest, PortsThatAreKeysMayBeQuoted) {
  const auto config = parse_local_config(R"({"services": [{"name": "s", "namespace": "ns",
      "hostname": "h", "vips": [], "ports": {"80": 8080}}]})")
                          .value();
  EXPECT_EQ(config.services[0].ports, (state::PortMap{{80, 8080}}));
  EXPECT_EQ(error_of(service_with("  loadBalancer: {routingPreferences: [], mode: Standard}\n")),
            "services[0].loadBalancer.healthPolicy: missing (line 7)");
}

TEST(LocalConfigTest, TextsThatLookLikeSomethingElseAreTexts) {
  const auto config =
      parse_local_config(workload_with("  name: 123\n  node: true\n  network: 1e3\n")).value();
  EXPECT_EQ(config.workloads[0].workload.name, "123");
  EXPECT_EQ(config.workloads[0].workload.node, "true");
  EXPECT_EQ(config.workloads[0].workload.network, "1e3");
}

TEST(LocalConfigTest, MissingKeys) {
  EXPECT_EQ(error_of("workloads: [{}]"),
            "workloads[0].workloadIps: missing (line 1); workloads[0].namespace: missing (line 1); "
            "workloads[0].services: missing (line 1)");
  EXPECT_EQ(error_of("services:\n- {}\n"),
            "services[0].name: missing (line 2); services[0].namespace: missing (line 2); "
            "services[0].hostname: missing (line 2); services[0].vips: missing (line 2); "
            "services[0].ports: missing (line 2)");
  EXPECT_EQ(error_of("policies:\n- {}\n"),
            "policies[0].name: missing (line 2); policies[0].namespace: missing (line 2); "
            "policies[0].scope: missing (line 2); policies[0].action: missing (line 2); "
            "policies[0].dryRun: missing (line 2); policies[0].rules: missing (line 2)");
  EXPECT_EQ(error_of(workload_with("  locality: {region: r}\n")),
            "workloads[0].locality.zone: missing (line 5); "
            "workloads[0].locality.subzone: missing (line 5)");
}

TEST(LocalConfigTest, UnknownKeys) {
  EXPECT_EQ(error_of("workload: []"), "workload: unknown key (line 1)");
  EXPECT_EQ(error_of(workload_with("  trustdomain: x\n")),
            "workloads[0].trustdomain: unknown key (line 5)");
  EXPECT_EQ(error_of(service_with("  'two words': x\n")),
            "services[0][\"two words\"]: unknown key (line 7)");
  EXPECT_EQ(error_of(workload_with("  waypoint: {destination: a/b, hboneMtlsPort: 1, port: 2}\n")),
            "workloads[0].waypoint.port: unknown key (line 5)");
}

// One run tells all that is wrong.
TEST(LocalConfigTest, AllErrorsAtOnce) {
  EXPECT_EQ(
      error_of(R"(workloads:
- workloadIps: [10.0.0.1, nonsense, 10.0.0.0/8]
  namespace: ns
  services:
    no-slash: {80: 8080}
    a/b/c: {}
    ns/host: {x: 1, 80: http, 65536: 1, 81: 65536, 82: "83"}
  protocol: hbone
  capacity: -1
  nativeTunnel: "true"
  waypoint: {destination: nowhere, hboneMtlsPort: 15008}
services:
- name: [s]
  namespace: ns
  hostname: h
  vips: [10.0.0.1, net/10.0.0.x, "/10.0.0.1"]
  ports: []
  cidrVips: [{network: "", cidr: 10.0.0.1}, {cidr: 10.0.0.0/33}]
  ipFamilies: Automatic
)"),
      "workloads[0].workloadIps[1]: not an IP address (line 2); "
      "workloads[0].workloadIps[2]: not an IP address (line 2); "
      "workloads[0].services.no-slash: key is not of the form namespace/hostname (line 5); "
      "workloads[0].services[\"a/b/c\"]: key is not of the form namespace/hostname (line 6); "
      "workloads[0].services[\"ns/host\"].x: key is not a port (line 7); "
      "workloads[0].services[\"ns/host\"].80: not a number from 0 to 65535 (line 7); "
      "workloads[0].services[\"ns/host\"].65536: key is not a port (line 7); "
      "workloads[0].services[\"ns/host\"].81: not a number from 0 to 65535 (line 7); "
      "workloads[0].services[\"ns/host\"].82: not a number from 0 to 65535 (line 7); "
      "workloads[0].protocol: 'hbone' is none of TCP, HBONE (line 8); "
      "workloads[0].waypoint.destination: neither network/ip nor namespace/hostname (line 11); "
      "workloads[0].nativeTunnel: not true or false (line 10); "
      "workloads[0].capacity: not a number from 0 to 4294967295 (line 9); "
      "services[0].name: not a string (line 13); "
      "services[0].vips[0]: not of the form network/ip (line 16); "
      "services[0].vips[1]: not of the form network/ip (line 16); "
      "services[0].ports: not a map (line 17); "
      "services[0].cidrVips[0].cidr: not a network prefix such as 10.0.0.0/8 (line 18); "
      "services[0].cidrVips[1].network: missing (line 18); "
      "services[0].cidrVips[1].cidr: not a network prefix such as 10.0.0.0/8 (line 18); "
      "services[0].ipFamilies: 'Automatic' is none of Dual, IPv4, IPv6 (line 19)");
}

TEST(LocalConfigTest, TooManyErrorsAreCounted) {
  std::string yaml = "workloads:\n";
  for (int i = 0; i < 100; ++i) yaml += "- 1\n";
  EXPECT_TRUE(error_of(yaml).ends_with("workloads[99]: not a map (line 101)")) << error_of(yaml);
  yaml += "- 1\n- 1\n";
  EXPECT_TRUE(error_of(yaml).ends_with("workloads[99]: not a map (line 101); and 2 more"));
}

TEST(LocalConfigTest, DuplicatesAreErrors) {
  const std::string twice =
      workload_with("  uid: a\n") + "- {workloadIps: [], namespace: ns, services: {}, uid: a}\n";
  EXPECT_EQ(error_of(twice), "workloads[1]: uid 'a' is there twice (line 6)");
  EXPECT_EQ(error_of(workload_with("- {workloadIps: [], namespace: ns, services: {}}\n")),
            "workloads[1]: uid '' is there twice (line 5)");
  EXPECT_EQ(
      error_of(service_with("- {name: t, namespace: ns, hostname: h, vips: [], ports: {}}\n")),
      "services[1]: service 'ns/h' is there twice (line 7)");
  EXPECT_EQ(error_of(workload_with("  name: a\n  name: b\n")),
            "workloads[0]: key 'name' is there twice (line 6)");
  EXPECT_EQ(error_of(service_with("  endpoints:\n    a: {workloadUid: x, port: {}}\n"
                                  "    b: {workloadUid: x, port: {}}\n")),
            "services[0].endpoints.b: workloadUid 'x' is there twice (line 9)");
}

TEST(LocalConfigTest, WrongShapes) {
  EXPECT_EQ(error_of("[]"), "top level: not a map (line 1)");
  EXPECT_EQ(error_of("workloads: {}"), "workloads: not a list (line 1)");
  EXPECT_EQ(error_of("services: [x]"), "services[0]: not a map (line 1)");
  EXPECT_EQ(error_of("? [a]\n: b\n"), "top level: a key is not a plain name (line 1)");
  EXPECT_EQ(error_of(workload_with("  name: !Exact x\n")),
            "workloads[0].name: tag !Exact has no meaning here (line 5)");
  EXPECT_NE(error_of("workloads:\n- a: [\n").find("line"), std::string::npos);
}

TEST(LocalConfigTest, Limits) {
  std::string large = "{}";
  large.resize(1 << 16, '\n');
  LocalConfig config;
  EXPECT_TRUE(read_local_config(yaml_input(large), config, large.size()));
  EXPECT_EQ(read_local_config(yaml_input(large), config, large.size() - 1).error().code,
            Errc::kLimit);
  EXPECT_EQ(
      error_of(std::string(kMaxLocalConfigDepth, '[') + std::string(kMaxLocalConfigDepth, ']')),
      "top level: not a map (line 1)");
  EXPECT_EQ(error_of(std::string(kMaxLocalConfigDepth + 1, '[')),
            "nested deeper than 64 levels (line 1)");
}

// Two services select local workloads; one of them is on another network.
constexpr std::string_view kLocalMesh = R"(
workloads:
- uid: cluster1//v1/Pod/default/local
  name: local
  namespace: default
  serviceAccount: default
  workloadIps: ["127.0.0.1"]
  protocol: HBONE
  node: local
  services:
    "default/example.com": {80: 8080}
    "default/example2.com": {80: 8080}
- uid: cluster1//v1/Pod/default/local2
  name: local2
  namespace: default
  serviceAccount: default
  workloadIps: ["127.0.0.2"]
  status: Unhealthy
  services:
    "default/example.com": {80: 8081}
policies:
- {name: p, namespace: default, scope: Namespace, action: Allow, dryRun: false, rules: []}
services:
- name: local
  namespace: default
  hostname: example.com
  vips: ["/127.10.0.1"]
  ports: {80: 8080}
- name: remote
  namespace: default
  hostname: example2.com
  vips: ["remote/127.10.0.2"]
  ports: {80: 8080}
)";

TEST(LocalConfigTest, AppliesToAStore) {
  state::Store store("local");
  ASSERT_TRUE(load_local_config(yaml_input(kLocalMesh), store));
  auto snapshot = store.commit();
  EXPECT_EQ(snapshot->workload_by_address("", ip("127.0.0.1"))->name(), "local");
  EXPECT_NE(snapshot->local_workload("local", "default", "default"), nullptr);
  EXPECT_EQ(snapshot->local_workload("local2", "default", "default"), nullptr);
  const auto service = snapshot->service_by_vip("", ip("127.10.0.1"), std::nullopt);
  ASSERT_NE(service, nullptr);
  EXPECT_EQ(service->hostname(), "example.com");
  EXPECT_EQ(service->endpoint_count(), 2U);
  EXPECT_EQ(service->find_endpoint("cluster1//v1/Pod/default/local")->ports.find(80), 8080);
  EXPECT_EQ(service->find_endpoint("cluster1//v1/Pod/default/local2")->status,
            state::Health::kUnhealthy);
  EXPECT_EQ(snapshot->service_by_vip("", ip("127.10.0.2"), std::nullopt), nullptr);
  EXPECT_EQ(snapshot->service_by_vip("remote", ip("127.10.0.2"), std::nullopt)->endpoint_count(),
            1U);
  EXPECT_TRUE(snapshot->staged_services().empty());
  EXPECT_EQ(snapshot->policies().size(), 1U);

  // Loading again replaces; nothing of the old stays.
  ASSERT_TRUE(load_local_config(yaml_input("{}"), store));
  snapshot = store.commit();
  EXPECT_TRUE(snapshot->workloads().empty());
  EXPECT_TRUE(snapshot->services().empty());
  EXPECT_TRUE(snapshot->policies().empty());
}

TEST(LocalConfigTest, LoadingTwiceIsLoadingOnce) {
  state::Store store("");
  ASSERT_TRUE(load_local_config(yaml_input(kLocalMesh), store));
  store.commit();
  ASSERT_TRUE(load_local_config(yaml_input(kLocalMesh), store));
  const auto snapshot = store.commit();
  EXPECT_EQ(snapshot->workloads().size(), 2U);
  EXPECT_EQ(snapshot->services().size(), 2U);
  EXPECT_EQ(snapshot->service_by_key({"default", "example.com"})->endpoint_count(), 2U);
}

// All or nothing: what was there before an unusable text stays, also what was not committed yet.
TEST(LocalConfigTest, AnUnusableTextChangesNothing) {
  state::Store store("");
  ASSERT_TRUE(load_local_config(yaml_input(kLocalMesh), store));
  const std::string mesh(kLocalMesh);
  for (const std::string& bad :
       {std::string(), mesh + "- x: [\n", mesh + "- {name: last}\n", mesh + "unknown: 1\n"}) {
    EXPECT_FALSE(load_local_config(yaml_input(bad), store)) << bad;
  }
  const auto snapshot = store.commit();
  EXPECT_EQ(snapshot->workload_count(), 2U);
  EXPECT_EQ(snapshot->services().size(), 2U);
  EXPECT_EQ(snapshot->policies().size(), 1U);
  EXPECT_EQ(snapshot->policy_version(), 1U);
}

TEST(LocalConfigTest, ServicesMayComeBeforeTheirWorkloads) {
  const auto in_order = [](std::string_view first, std::string_view second) {
    state::Store store("");
    const std::string text = std::string(first) + std::string(second);
    EXPECT_TRUE(load_local_config(yaml_input(text), store));
    return store.commit()->service_by_key({"ns", "h"})->spec();
  };
  const std::string services = service_with("");
  const std::string workloads =
      "workloads:\n- {uid: u, namespace: ns, workloadIps: [10.0.0.1], services: {ns/h: {80: 1}}}\n";
  EXPECT_EQ(in_order(services, workloads), in_order(workloads, services));
  EXPECT_EQ(in_order(services, workloads).endpoints.at("u").ports, (state::PortMap{{80, 1}}));
}

TEST(LocalConfigTest, CountsWhatItLoads) {
  state::Store store("");
  const auto counts = load_local_config(yaml_input(kLocalMesh), store).value();
  EXPECT_EQ(counts.workloads, 2U);
  EXPECT_EQ(counts.services, 2U);
  EXPECT_EQ(counts.policies, 1U);
}

}  // namespace
}  // namespace culvert::config
