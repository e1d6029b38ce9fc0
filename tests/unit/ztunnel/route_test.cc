// The decision table of outgoing connections, a row each.
#include "ztunnel/route.h"

#include "common/state/errors.h"
#include "common/state/store.h"
#include "tests/support/fixed_random.h"
#include "tests/support/state_builders.h"
#include "ztunnel/errors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace culvert::ztunnel {
namespace {

using state::Identity;
using state::WorkloadSpec;
using test::address;
using test::gateway;
using test::gateway_host;
using test::ip;
using test::pod;
using test::service;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Transport = Route::Transport;

class RouteTest : public ::testing::Test {
 protected:
  RouteTest() { source_.service_account = "client"; }

  void add(const WorkloadSpec& workload, const state::ServicePorts& services = {}) {
    store_.upsert_workload(workload, services);
  }
  void add(const state::ServiceSpec& value) { store_.upsert_service(value); }
  Result<Route> decide(std::string_view target, std::string_view client = "10.0.0.1") {
    const auto mesh = store_.commit();
    const auto source = state::Workload::make(source_);
    return decide_route({.mesh = *mesh,
                         .network = network_,
                         .hbone_port = 15008,
                         .source = *source,
                         .client = ip(client),
                         .target = address(target)},
                        random_);
  }
  // "waypoint": a pod of its own service account at 10.0.0.9, in the service waypoint (10.1.0.9).
  WorkloadSpec waypoint_pod() {
    WorkloadSpec workload = pod("waypoint-0", {"10.0.0.9"});
    workload.service_account = "waypoint";
    return workload;
  }
  void add_waypoint() {
    auto waypoint = service("waypoint", {"10.1.0.9"});
    waypoint.ports = {{15008, 15009}};
    add(waypoint);
    add(waypoint_pod(), {{waypoint.key(), {{15008, 15009}}}});
  }
  static Identity identity(std::string account, std::string domain = "cluster.local") {
    return {std::move(domain), "ns", std::move(account)};
  }

  state::Store store_{""};
  std::string network_;
  WorkloadSpec source_ = pod("client", {"10.0.0.1"});
  test::FixedRandom random_;
};

#define EXPECT_ROUTE(route, how, where, what)                \
  ASSERT_TRUE(route.has_value()) << route.error().message(); \
  EXPECT_EQ(route->transport, how);                          \
  EXPECT_EQ(route->dial, address(where));                    \
  EXPECT_EQ(route->authority, what)

// ---- C: no upstream

TEST_F(RouteTest, UnknownAddressPassesThrough) {
  const auto route = decide("1.2.3.4:80");
  EXPECT_ROUTE(route, Transport::kTcp, "1.2.3.4:80", "");
  EXPECT_EQ(route->destination, nullptr);
  EXPECT_FALSE(route->service);
  EXPECT_TRUE(route->identities.empty());
}

TEST_F(RouteTest, ServiceWithoutEndpointsIsRefused) {
  add(service("server", {"10.1.0.1"}));
  const auto route = decide("10.1.0.1:80");
  ASSERT_FALSE(route);
  EXPECT_EQ(route.error().code, state::Errc::kNoHealthyUpstream);
  EXPECT_THAT(route.error().message(), HasSubstr("10.1.0.1:80"));
}

TEST_F(RouteTest, PortThatTheServiceDoesNotHaveIsRefused) {
  auto server = service("server", {"10.1.0.1"});
  add(server);
  add(pod("server", {"10.0.0.2"}), {{server.key(), {{80, 8080}}}});
  const auto route = decide("10.1.0.1:81");
  ASSERT_FALSE(route);
  EXPECT_EQ(route.error().code, state::Errc::kNoHealthyUpstream);
}

TEST_F(RouteTest, OnlyUnhealthyEndpointsIsRefused) {
  auto server = service("server", {"10.1.0.1"});
  add(server);
  WorkloadSpec sick = pod("server", {"10.0.0.2"});
  sick.status = state::Health::kUnhealthy;
  add(sick, {{server.key(), {{80, 8080}}}});
  EXPECT_EQ(decide("10.1.0.1:80").error().code, state::Errc::kNoHealthyUpstream);
}

TEST_F(RouteTest, PassthroughServiceKeepsTheAddress) {
  auto server = service("server", {"10.1.0.1"});
  server.load_balancer.emplace().mode = state::LoadBalancerMode::kPassthrough;
  add(server);
  const auto route = decide("10.1.0.1:80");
  EXPECT_ROUTE(route, Transport::kTcp, "10.1.0.1:80", "");
  EXPECT_FALSE(route->service);
  EXPECT_EQ(route->destination, nullptr);
}

TEST_F(RouteTest, PassthroughServiceStillGoesThroughItsWaypoint) {
  add_waypoint();
  auto server = service("server", {"10.1.0.1"});
  server.load_balancer.emplace().mode = state::LoadBalancerMode::kPassthrough;
  server.waypoint = gateway_host("ns", "waypoint.ns.svc", 15008);
  add(server);
  const auto route = decide("10.1.0.1:80");
  EXPECT_ROUTE(route, Transport::kHbone, "10.0.0.9:15009", "10.1.0.1:80");
}

TEST_F(RouteTest, OtherBalancerModesDoNotPassThrough) {
  for (const auto mode : {state::LoadBalancerMode::kStandard, state::LoadBalancerMode::kStrict,
                          state::LoadBalancerMode::kFailover}) {
    auto server = service("server", {"10.1.0.1"});
    server.load_balancer.emplace().mode = mode;
    add(server);
    EXPECT_FALSE(decide("10.1.0.1:80"));
  }
}

// ---- F: direct

TEST_F(RouteTest, WorkloadInPlain) {
  WorkloadSpec server = pod("server", {"10.0.0.2"});
  server.protocol = state::Protocol::kTcp;
  add(server);
  const auto route = decide("10.0.0.2:80");
  EXPECT_ROUTE(route, Transport::kTcp, "10.0.0.2:80", "");
  EXPECT_EQ(route->destination->name(), "server");
  EXPECT_FALSE(route->service);
}

TEST_F(RouteTest, WorkloadByHboneWhateverItsNode) {
  for (const char* node : {"", "local", "remote"}) {
    WorkloadSpec server = pod("server", {"10.0.0.2"});
    server.node = node;
    add(server);
    const auto route = decide("10.0.0.2:80");
    EXPECT_ROUTE(route, Transport::kHbone, "10.0.0.2:15008", "10.0.0.2:80");
    EXPECT_THAT(route->identities, ElementsAre(identity("default")));
  }
}

TEST_F(RouteTest, NativeTunnelDoesNotMatter) {
  WorkloadSpec server = pod("server", {"10.0.0.2"});
  server.protocol = state::Protocol::kTcp;
  server.native_tunnel = true;
  add(server);
  EXPECT_EQ(decide("10.0.0.2:80")->transport, Transport::kTcp);
}

TEST_F(RouteTest, ServiceEndpointWithItsPortAndIdentities) {
  auto server = service("server", {"10.1.0.1"});
  server.subject_alt_names = {"spiffe://other.domain/ns/ns/sa/legacy", "dns:not-spiffe"};
  add(server);
  add(pod("server", {"10.0.0.2"}), {{server.key(), {{80, 8081}}}});
  const auto route = decide("10.1.0.1:80");
  EXPECT_ROUTE(route, Transport::kHbone, "10.0.0.2:15008", "10.0.0.2:8081");
  EXPECT_THAT(route->identities,
              ElementsAre(identity("legacy", "other.domain"), identity("default")));
  EXPECT_EQ(route->service, (state::ServiceRef{"server.ns.svc", "server", "ns"}));
}

TEST_F(RouteTest, ServiceEndpointInPlain) {
  auto server = service("server", {"10.1.0.1"});
  add(server);
  WorkloadSpec legacy = pod("server", {"10.0.0.2"});
  legacy.protocol = state::Protocol::kTcp;
  add(legacy, {{server.key(), {}}});
  const auto route = decide("10.1.0.1:80");
  EXPECT_ROUTE(route, Transport::kTcp, "10.0.0.2:8080", "");
  EXPECT_TRUE(route->service);
}

TEST_F(RouteTest, NamedPortsDifferPerEndpoint) {
  auto server = service("server", {"10.1.0.1"});
  server.ports = {{80, 0}, {8080, 0}};
  add(server);
  add(pod("a", {"10.0.0.2"}), {{server.key(), {{80, 1234}}}});
  add(pod("b", {"10.0.0.3"}), {{server.key(), {{8080, 9999}}}});
  for (int i = 0; i < 4; ++i) {
    random_ = test::FixedRandom({static_cast<uint64_t>(i)});
    const auto route = decide("10.1.0.1:80");
    EXPECT_ROUTE(route, Transport::kHbone, "10.0.0.2:15008", "10.0.0.2:1234");
  }
}

TEST_F(RouteTest, AddressesKeepTheirFamily) {
  add(pod("server", {"10.0.0.2", "fd00::2"}));
  const auto v4 = decide("10.0.0.2:80");
  EXPECT_ROUTE(v4, Transport::kHbone, "10.0.0.2:15008", "10.0.0.2:80");
  const auto v6 = decide("[fd00::2]:80");
  EXPECT_ROUTE(v6, Transport::kHbone, "[fd00::2]:15008", "[fd00::2]:80");
}

TEST_F(RouteTest, ServiceIpFamilies) {
  using Families = state::IpFamilies;
  struct Case {
    Families families;
    const char *vip, *dialled;
  };
  for (const Case& c : {Case{Families::kIpv6Only, "10.1.0.1:80", "[fd00::2]:15008"},
                        Case{Families::kIpv4Only, "10.1.0.1:80", "10.0.0.2:15008"},
                        Case{Families::kDual, "10.1.0.1:80", "10.0.0.2:15008"},
                        Case{Families::kDual, "[fd01::1]:80", "[fd00::2]:15008"},
                        Case{Families::kAutomatic, "[fd01::1]:80", "[fd00::2]:15008"}}) {
    auto server = service("server", {"10.1.0.1", "fd01::1"});
    server.ip_families = c.families;
    add(server);
    add(pod("server", {"10.0.0.2", "fd00::2"}), {{server.key(), {}}});
    const auto route = decide(c.vip);
    ASSERT_TRUE(route);
    EXPECT_EQ(route->dial, address(c.dialled)) << c.vip;
  }
}

TEST_F(RouteTest, HostNetworkPodsAreReachedThroughServicesOnly) {
  auto server = service("server", {"10.1.0.1"});
  add(server);
  for (const char* name : {"pod1", "pod2"}) {
    WorkloadSpec host = pod(name, {"10.0.0.200"});
    host.network_mode = state::NetworkMode::kHostNetwork;
    host.protocol = state::Protocol::kTcp;
    std::map<state::NamespacedHostname, state::PortMap> services;
    if (host.name == "pod1") services[server.key()] = {};
    add(host, services);
  }
  const auto by_vip = decide("10.1.0.1:80");
  EXPECT_ROUTE(by_vip, Transport::kTcp, "10.0.0.200:8080", "");
  EXPECT_EQ(by_vip->destination->name(), "pod1");
  const auto by_ip = decide("10.0.0.200:80");
  EXPECT_ROUTE(by_ip, Transport::kTcp, "10.0.0.200:80", "");
  EXPECT_EQ(by_ip->destination, nullptr);
}

TEST_F(RouteTest, EndpointWithoutAddressIsNoDestination) {
  auto server = service("server", {"10.1.0.1"});
  add(server);
  WorkloadSpec hidden = pod("server", {});
  hidden.network_gateway = gateway("remote", "10.22.1.1", 15008);  // its own network: of no use
  add(hidden, {{server.key(), {}}});
  EXPECT_EQ(decide("10.1.0.1:80").error().code, state::Errc::kNoHealthyUpstream);
}

// ---- A: the waypoint of a service

TEST_F(RouteTest, ServiceWaypointGetsTheAddressAsDialled) {
  add_waypoint();
  auto server = service("server", {"10.1.0.1"});
  server.waypoint = gateway_host("ns", "waypoint.ns.svc", 15008);
  server.subject_alt_names = {"spiffe://other.domain/ns/ns/sa/server"};
  add(server);
  add(pod("server", {"10.0.0.2"}), {{server.key(), {}}});
  const auto route = decide("10.1.0.1:80");
  EXPECT_ROUTE(route, Transport::kHbone, "10.0.0.9:15009", "10.1.0.1:80");
  EXPECT_THAT(route->identities, ElementsAre(identity("waypoint")));
  EXPECT_EQ(route->destination->name(), "waypoint-0");
  EXPECT_EQ(route->service->name, "server");
}

TEST_F(RouteTest, ServiceWaypointByAddress) {
  add(waypoint_pod());
  auto server = service("server", {"10.1.0.1"});
  server.waypoint = gateway("", "10.0.0.9", 15008);
  add(server);
  const auto route = decide("10.1.0.1:80");
  EXPECT_ROUTE(route, Transport::kHbone, "10.0.0.9:15008", "10.1.0.1:80");
}

TEST_F(RouteTest, WaypointOfAServiceMayProveTheServicesIdentity) {
  auto waypoint = service("waypoint", {"10.1.0.9"});
  waypoint.ports = {{15008, 15008}};
  waypoint.subject_alt_names = {"spiffe://cluster.local/ns/ns/sa/shared-waypoint"};
  add(waypoint);
  add(waypoint_pod(), {{waypoint.key(), {}}});
  auto server = service("server", {"10.1.0.1"});
  server.waypoint = gateway("", "10.1.0.9", 15008);
  add(server);
  EXPECT_THAT(decide("10.1.0.1:80")->identities,
              ElementsAre(identity("shared-waypoint"), identity("waypoint")));
}

TEST_F(RouteTest, UnknownServiceWaypointIsRefusedNotBypassed) {
  auto server = service("server", {"10.1.0.1"});
  server.waypoint = gateway_host("ns", "gone.ns.svc", 15008);
  add(server);
  add(pod("server", {"10.0.0.2"}), {{server.key(), {}}});
  const auto route = decide("10.1.0.1:80");
  ASSERT_FALSE(route);
  EXPECT_EQ(route.error().code, state::Errc::kUnknownWaypoint);
}

TEST_F(RouteTest, WaypointWithoutPodsIsRefusedNotBypassed) {
  add(service("waypoint", {"10.1.0.9"}));
  auto server = service("server", {"10.1.0.1"});
  server.waypoint = gateway("", "10.1.0.9", 15008);
  add(server);
  add(pod("server", {"10.0.0.2"}), {{server.key(), {}}});
  EXPECT_EQ(decide("10.1.0.1:80").error().code, state::Errc::kUnknownWaypoint);
}

TEST_F(RouteTest, TheSampledWaypointDecides) {
  add_waypoint();
  auto server = service("server", {"10.1.0.1"});
  server.waypoint = gateway_host("ns", "waypoint.ns.svc", 15008);
  server.weighted_waypoints = {{gateway_host("ns", "gone.ns.svc", 15008), 1},
                               {gateway_host("ns", "waypoint.ns.svc", 15008), 1}};
  add(server);
  random_ = test::FixedRandom({0});
  EXPECT_EQ(decide("10.1.0.1:80").error().code, state::Errc::kUnknownWaypoint);
  random_ = test::FixedRandom({1, 0});
  EXPECT_EQ(decide("10.1.0.1:80")->dial, address("10.0.0.9:15009"));
}

TEST_F(RouteTest, EndpointsWaypointIsNotForTrafficOfTheService) {
  add_waypoint();
  auto server = service("server", {"10.1.0.1"});
  add(server);
  WorkloadSpec behind = pod("server", {"10.0.0.2"});
  behind.waypoint = gateway("", "10.1.0.9", 15008);
  add(behind, {{server.key(), {}}});
  const auto route = decide("10.1.0.1:80");
  EXPECT_ROUTE(route, Transport::kHbone, "10.0.0.2:15008", "10.0.0.2:8080");
}

// ---- E: the waypoint of a workload

TEST_F(RouteTest, OwnWaypointIsNotForWhatOneSends) {
  add_waypoint();
  source_.waypoint = gateway("", "10.1.0.9", 15008);
  add(pod("server", {"10.0.0.2"}));
  const auto route = decide("10.0.0.2:80");
  EXPECT_ROUTE(route, Transport::kHbone, "10.0.0.2:15008", "10.0.0.2:80");
}

TEST_F(RouteTest, WorkloadWaypoint) {
  add_waypoint();
  for (const auto& where : {gateway("", "10.0.0.9", 15008), gateway("", "10.1.0.9", 15008),
                            gateway_host("ns", "waypoint.ns.svc", 15008)}) {
    WorkloadSpec server = pod("server", {"10.0.0.2"});
    server.waypoint = where;
    add(server);
    const auto route = decide("10.0.0.2:80");
    ASSERT_TRUE(route);
    EXPECT_EQ(route->transport, Transport::kHbone);
    EXPECT_EQ(route->dial.ip, ip("10.0.0.9"));
    EXPECT_EQ(route->authority, "10.0.0.2:80");
    EXPECT_EQ(route->destination->name(), "waypoint-0");
    EXPECT_FALSE(route->service);
    EXPECT_THAT(route->identities, ElementsAre(identity("waypoint")));
  }
}

TEST_F(RouteTest, WorkloadWaypointAlsoInFrontOfAPlainWorkload) {
  add_waypoint();
  WorkloadSpec server = pod("server", {"10.0.0.2"});
  server.protocol = state::Protocol::kTcp;
  server.waypoint = gateway("", "10.1.0.9", 15008);
  add(server);
  EXPECT_EQ(decide("10.0.0.2:80")->dial.ip, ip("10.0.0.9"));
}

TEST_F(RouteTest, WaypointOfAnotherFamily) {
  add_waypoint();
  WorkloadSpec server = pod("server", {"10.0.0.2", "ff06::c3"});
  server.waypoint = gateway("", "10.0.0.9", 15008);
  add(server);
  const auto route = decide("[ff06::c3]:80");
  EXPECT_ROUTE(route, Transport::kHbone, "10.0.0.9:15008", "[ff06::c3]:80");
}

TEST_F(RouteTest, UnknownWorkloadWaypointIsRefusedNotBypassed) {
  WorkloadSpec server = pod("server", {"10.0.0.2"});
  server.waypoint = gateway("", "10.0.0.99", 15008);
  add(server);
  EXPECT_EQ(decide("10.0.0.2:80").error().code, state::Errc::kUnknownWaypoint);
}

TEST_F(RouteTest, TheWaypointItselfGoesOnToTheWorkload) {
  add_waypoint();
  for (const auto& where : {gateway("", "10.0.0.9", 15008), gateway("", "10.1.0.9", 15008),
                            gateway_host("ns", "waypoint.ns.svc", 15008)}) {
    WorkloadSpec server = pod("server", {"10.0.0.2"});
    server.waypoint = where;
    add(server);
    source_ = waypoint_pod();
    const auto route = decide("10.0.0.2:80", "10.0.0.9");
    EXPECT_ROUTE(route, Transport::kHbone, "10.0.0.2:15008", "10.0.0.2:80");
  }
}

TEST_F(RouteTest, NeitherIdentityNorAddressAloneMakesAWaypoint) {
  add_waypoint();
  WorkloadSpec server = pod("server", {"10.0.0.2"});
  server.waypoint = gateway("", "10.1.0.9", 15008);
  add(server);
  // The waypoint's address with another identity ...
  EXPECT_EQ(decide("10.0.0.2:80", "10.0.0.9")->dial.ip, ip("10.0.0.9"));
  // ... and its identity from another address.
  source_ = waypoint_pod();
  EXPECT_EQ(decide("10.0.0.2:80", "10.0.0.1")->dial.ip, ip("10.0.0.9"));
}

// ---- D, G: other networks. No gateways in this build: refused, and never sent in plain.

class OtherNetworkTest : public RouteTest {
 protected:
  WorkloadSpec remote(std::string name, const std::vector<std::string_view>& addresses) {
    WorkloadSpec workload = pod(std::move(name), addresses);
    workload.network = "remote";
    return workload;
  }
  void expect_refused(const Result<Route>& route) {
    ASSERT_FALSE(route);
    EXPECT_EQ(route.error().code, Errc::kUnsupportedFeature);
    EXPECT_THAT(route.error().message(), HasSubstr("remote"));
  }
};

TEST_F(OtherNetworkTest, EndpointWithoutGateway) {
  auto server = service("server", {"10.1.0.1"});
  add(server);
  add(remote("server", {"10.0.0.2"}), {{server.key(), {}}});
  expect_refused(decide("10.1.0.1:80"));
}

TEST_F(OtherNetworkTest, EndpointBehindAGateway) {
  auto server = service("server", {"10.1.0.1"});
  add(server);
  WorkloadSpec far = remote("server", {});
  far.network_gateway = gateway("remote", "10.22.1.1", 15009);
  add(far, {{server.key(), {}}});
  add(remote("gateway", {"10.22.1.1"}));
  expect_refused(decide("10.1.0.1:80"));
}

TEST_F(OtherNetworkTest, WaypointBehindAGateway) {
  auto waypoint = service("waypoint", {"10.1.0.9"});
  waypoint.ports = {{15008, 15008}};
  add(waypoint);
  WorkloadSpec far = remote("waypoint-0", {});
  far.network_gateway = gateway("remote", "10.22.1.1", 15009);
  add(far, {{waypoint.key(), {}}});
  auto server = service("server", {"10.1.0.1"});
  server.waypoint = gateway_host("ns", "waypoint.ns.svc", 15008);
  add(server);
  add(pod("server", {"10.0.0.2"}), {{server.key(), {}}});
  expect_refused(decide("10.1.0.1:80"));
}

TEST_F(OtherNetworkTest, FailoverPrefersOurNetwork) {
  auto server = service("server", {"10.1.0.1"});
  server.load_balancer =
      state::LoadBalancer{.routing_preferences = {state::LoadBalancerScope::kNetwork},
                          .mode = state::LoadBalancerMode::kFailover};
  add(server);
  WorkloadSpec near = pod("near", {"10.0.0.2"});
  add(near, {{server.key(), {}}});
  WorkloadSpec far = remote("far", {});
  far.network_gateway = gateway("remote", "10.22.1.1", 15009);
  add(far, {{server.key(), {}}});
  const auto route = decide("10.1.0.1:80");
  EXPECT_ROUTE(route, Transport::kHbone, "10.0.0.2:15008", "10.0.0.2:8080");
  near.status = state::Health::kUnhealthy;
  add(near, {{server.key(), {}}});
  expect_refused(decide("10.1.0.1:80"));
}

TEST_F(OtherNetworkTest, SameAddressInAnotherNetworkIsNotMeant) {
  add(remote("server", {"10.0.0.2"}));
  const auto route = decide("10.0.0.2:80");
  EXPECT_ROUTE(route, Transport::kTcp, "10.0.0.2:80", "");
  EXPECT_EQ(route->destination, nullptr);
}

TEST_F(OtherNetworkTest, OurNetworkMayHaveAName) {
  network_ = source_.network = "remote";
  add(remote("server", {"10.0.0.2"}));
  const auto route = decide("10.0.0.2:80");
  EXPECT_ROUTE(route, Transport::kHbone, "10.0.0.2:15008", "10.0.0.2:80");
}

// ---- who may know a service

TEST_F(RouteTest, ServicesPrivateToAnotherNamespaceDoNotExist) {
  auto server = service("server", {"10.1.0.1"});
  server.visibility = state::Visibility::kNamespace;
  add(server);
  add(pod("server", {"10.0.0.2"}), {{server.key(), {}}});
  EXPECT_EQ(decide("10.1.0.1:80")->transport, Transport::kHbone);
  source_.namespace_ = "elsewhere";
  const auto route = decide("10.1.0.1:80");
  EXPECT_ROUTE(route, Transport::kTcp, "10.1.0.1:80", "");
}

TEST_F(RouteTest, AddressOfAWorkloadAndOfAServiceWithoutEndpointsIsRefused) {
  // The reference lets it pass in plain, although the mesh knows the address.
  add(service("server", {"10.0.0.2"}));
  add(pod("server", {"10.0.0.2"}));
  EXPECT_EQ(decide("10.0.0.2:80").error().code, state::Errc::kNoHealthyUpstream);
}

}  // namespace
}  // namespace culvert::ztunnel
