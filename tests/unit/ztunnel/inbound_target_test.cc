// What an incoming CONNECT may reach. Addresses as in the reference's own tests: client 10.0.0.1,
// server 10.0.0.2 (VIP 10.10.0.1, port 80 -> 8080), waypoint 10.0.0.3 (VIP 10.10.0.2).
#include "ztunnel/inbound_target.h"

#include "common/state/errors.h"
#include "common/state/store.h"
#include "tests/support/state_builders.h"
#include "ztunnel/errors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace culvert::ztunnel {
namespace {

using state::WorkloadSpec;
using test::address;
using test::gateway;
using test::gateway_host;
using test::ip;
using test::pod;
using ::testing::HasSubstr;

const std::string kHost = "server.default.svc.cluster.local";
const std::set<uint16_t> kIllegal = {15001, 15006, 15008};

class InboundTargetTest : public ::testing::Test {
 protected:
  InboundTargetTest() { add(client_); }

  static state::ServiceSpec service(std::string name, std::string_view vip) {
    auto service = test::service(std::move(name), {vip});
    service.hostname = service.name + ".default.svc.cluster.local";
    return service;
  }
  void add(const WorkloadSpec& workload,
           const std::map<state::NamespacedHostname, state::PortMap>& services = {}) {
    auto copy = workload;
    for (const auto& [key, ports] : services) copy.services.push_back(key);
    store_.upsert_workload(copy, services);
  }
  // The mesh as it stands, with `server` and `waypoint` as they were set up.
  void build() {
    store_.upsert_service(server_service_);
    store_.upsert_service(waypoint_service_);
    add(server_, {{server_service_.key(), server_ports_}});
    add(waypoint_, {{waypoint_service_.key(), {}}});
    mesh_ = store_.commit();
  }
  InboundInput input(const WorkloadSpec& local) const {
    return {.mesh = *mesh_,
            .network = "",
            .local = *mesh_->workload_by_uid(local.uid),
            .connection = {local.ips.front(), 15008},
            .illegal_ports = kIllegal};
  }
  Result<InboundTarget> request(const WorkloadSpec& local, std::string_view text) {
    build();
    const auto authority = hbone::parse_authority(text);
    EXPECT_TRUE(authority) << text;
    const auto at = input(local);
    if (auto valid = validate_destination(at, *authority); !valid) return valid.error();
    return find_inbound_target(at, *authority);
  }
  void expect_mismatch(const Result<InboundTarget>& target) {
    ASSERT_FALSE(target);
    EXPECT_EQ(target.error().code, Errc::kIpMismatch);
  }

  state::Store store_{""};
  state::SnapshotPtr mesh_;
  WorkloadSpec client_ = pod("client", {"10.0.0.1"});
  WorkloadSpec server_ = pod("server", {"10.0.0.2"});
  WorkloadSpec waypoint_ = pod("waypoint", {"10.0.0.3"});
  state::PortMap server_ports_;
  state::ServiceSpec server_service_ = service("server", "10.10.0.1");
  state::ServiceSpec waypoint_service_ = service("waypoint", "10.10.0.2");
};

#define EXPECT_DIALS(request, where)                       \
  do {                                                     \
    const auto& got = (request);                           \
    ASSERT_TRUE(got.has_value()) << got.error().message(); \
    EXPECT_EQ(got->dial, address(where));                  \
    EXPECT_FALSE(got->proxy_protocol);                     \
    EXPECT_FALSE(got->tunnel_target);                      \
  } while (false)

TEST_F(InboundTargetTest, OwnAddress) {
  const auto target = request(server_, "10.0.0.2:8080");
  EXPECT_DIALS(target, "10.0.0.2:8080");
  ASSERT_EQ(target->services.size(), 1U);
  EXPECT_EQ(target->services.front()->hostname(), kHost);
}

TEST_F(InboundTargetTest, HostName) {
  const auto target = request(server_, kHost + ":80");
  EXPECT_DIALS(target, "10.0.0.2:8080");
  EXPECT_EQ(target->services.front()->hostname(), kHost);
}

TEST_F(InboundTargetTest, HostNamePortOfThisEndpoint) {
  server_ports_ = {{80, 9090}};
  EXPECT_DIALS(request(server_, kHost + ":80"), "10.0.0.2:9090");
}

TEST_F(InboundTargetTest, ZeroPortsSayNothing) {
  server_ports_ = {{80, 0}};
  EXPECT_DIALS(request(server_, kHost + ":80"), "10.0.0.2:8080");
  server_service_.ports = {{80, 0}};
  EXPECT_EQ(request(server_, kHost + ":80").error().code, state::Errc::kNoPortForServices);
}

TEST_F(InboundTargetTest, UnknownHostAndPort) {
  EXPECT_EQ(request(server_, "nobody.default.svc.cluster.local:80").error().code,
            state::Errc::kNoHostname);
  EXPECT_EQ(request(server_, kHost + ":81").error().code, state::Errc::kNoPortForServices);
}

TEST_F(InboundTargetTest, HostOfAServiceThatThisNamespaceMayNotKnow) {
  server_service_.visibility = state::Visibility::kNamespace;
  EXPECT_TRUE(request(server_, kHost + ":80"));
  waypoint_.namespace_ = "elsewhere";
  EXPECT_EQ(request(waypoint_, kHost + ":80").error().code, state::Errc::kNoHostname);
}

TEST_F(InboundTargetTest, OurOwnPortsAreRefused) {
  for (const char* text : {"10.0.0.2:15001", "10.0.0.2:15006", "10.0.0.2:15008"})
    EXPECT_EQ(request(server_, text).error().code, Errc::kSelfCall) << text;
  EXPECT_TRUE(request(server_, "10.0.0.2:15000"));
  // Also when a service's port leads there.
  server_service_.ports = {{80, 15008}};
  EXPECT_EQ(request(server_, kHost + ":80").error().code, Errc::kSelfCall);
}

TEST_F(InboundTargetTest, AnotherPodsAddress) {
  expect_mismatch(request(server_, "10.0.0.1:8080"));
  expect_mismatch(request(waypoint_, "10.0.0.1:8080"));
  const auto target = request(server_, "10.0.0.1:8080");
  EXPECT_THAT(target.error().message(), HasSubstr("ip mismatch: 10.0.0.2 != 10.0.0.1"));
}

TEST_F(InboundTargetTest, UnknownAddresses) {
  for (const char* text : {"8.8.8.8:53", "127.0.0.1:80", "[::1]:80", "0.0.0.0:80"})
    expect_mismatch(request(server_, text));
}

TEST_F(InboundTargetTest, OwnServicesAddressNeedsAWaypoint) {
  expect_mismatch(request(server_, "10.10.0.1:80"));
}

// ---- this pod as the waypoint of a workload

class WaypointTargetTest : public InboundTargetTest,
                           public ::testing::WithParamInterface<state::GatewayAddress> {};
INSTANTIATE_TEST_SUITE_P(
    Forms, WaypointTargetTest,
    ::testing::Values(gateway("", "10.0.0.3", 15008), gateway("", "10.10.0.2", 15008),
                      gateway_host("ns", "waypoint.default.svc.cluster.local", 15008)));

TEST_P(WaypointTargetTest, OfAWorkload) {
  server_.waypoint = GetParam();
  EXPECT_DIALS(request(waypoint_, "10.0.0.2:8080"), "10.0.0.3:8080");
  // Attached to the pod, not to its service.
  expect_mismatch(request(waypoint_, "10.10.0.1:8080"));
  // Nobody else becomes the waypoint by that.
  expect_mismatch(request(client_, "10.0.0.2:8080"));
}

TEST_P(WaypointTargetTest, OfAService) {
  server_service_.waypoint = GetParam();
  EXPECT_DIALS(request(waypoint_, "10.10.0.1:8080"), "10.0.0.3:8080");
  expect_mismatch(request(waypoint_, "10.0.0.2:8080"));
  expect_mismatch(request(client_, "10.10.0.1:8080"));
}

TEST_F(InboundTargetTest, WaypointOfAnotherNetworkIsNotThisPod) {
  server_.waypoint = gateway("remote", "10.0.0.3", 15008);
  expect_mismatch(request(waypoint_, "10.0.0.2:8080"));
}

// ---- application tunnels

TEST_F(InboundTargetTest, ProxyTunnelTellsTheWorkload) {
  server_.waypoint = gateway("", "10.10.0.2", 15008);
  waypoint_.application_tunnel = {state::ApplicationTunnel::Protocol::kProxy, 15088};
  const auto target = request(waypoint_, "10.0.0.2:8080");
  ASSERT_TRUE(target);
  EXPECT_EQ(target->dial, address("10.0.0.3:15088"));
  EXPECT_TRUE(target->proxy_protocol);
  EXPECT_EQ(target->tunnel_target, address("10.0.0.2:8080"));
}

TEST_F(InboundTargetTest, ProxyTunnelTellsTheService) {
  server_service_.waypoint = gateway("", "10.10.0.2", 15008);
  waypoint_.application_tunnel = {state::ApplicationTunnel::Protocol::kProxy, 15088};
  const auto target = request(waypoint_, "10.10.0.1:8080");
  ASSERT_TRUE(target);
  EXPECT_EQ(target->dial, address("10.0.0.3:15088"));
  EXPECT_EQ(target->tunnel_target, address("10.10.0.1:8080"));
}

TEST_F(InboundTargetTest, ProxyTunnelTellsAHostAsItsAddress) {
  waypoint_.application_tunnel = {state::ApplicationTunnel::Protocol::kProxy, 15088};
  server_service_.vips = {{"remote", ip("10.99.0.1")}, {"", ip("fd00::1")}, {"", ip("10.10.0.1")}};
  const auto v4 = request(waypoint_, kHost + ":80");
  ASSERT_TRUE(v4);
  EXPECT_EQ(v4->tunnel_target, address("10.10.0.1:80"));
  server_service_.vips = {{"remote", ip("10.99.0.1")}, {"", ip("fd00::1")}};
  EXPECT_EQ(request(waypoint_, kHost + ":80")->tunnel_target, address("[fd00::1]:80"));
  server_service_.vips = {{"remote", ip("10.99.0.1")}};
  EXPECT_EQ(request(waypoint_, kHost + ":80")->tunnel_target, address("10.99.0.1:80"));
  server_service_.vips.clear();
  EXPECT_EQ(request(waypoint_, kHost + ":80").error().code, state::Errc::kNoIpForService);
}

TEST_F(InboundTargetTest, ProxyTunnelWithoutPortKeepsTheRequestedOne) {
  waypoint_.application_tunnel = {state::ApplicationTunnel::Protocol::kProxy, std::nullopt};
  const auto target = request(waypoint_, "10.0.0.2:8080");
  ASSERT_TRUE(target);
  EXPECT_EQ(target->dial, address("10.0.0.3:8080"));
}

TEST_F(InboundTargetTest, PlainTunnelOnlyChangesThePort) {
  waypoint_.application_tunnel = {state::ApplicationTunnel::Protocol::kNone, 15088};
  // A pod with a tunnel takes any address.
  EXPECT_DIALS(request(waypoint_, "10.0.0.1:8080"), "10.0.0.3:15088");
  // What was asked for is checked, not what the tunnel makes of it.
  EXPECT_EQ(request(waypoint_, "10.0.0.1:15008").error().code, Errc::kSelfCall);
}

// ---- which service was meant

class GuessTest : public InboundTargetTest {
 protected:
  std::optional<std::string> guess(const std::optional<std::string>& host, uint16_t port,
                                   std::vector<state::ServiceSpec> candidates) {
    std::vector<state::ServicePtr> pointers;
    for (const auto& candidate : candidates) pointers.push_back(state::Service::make(candidate));
    const auto found = guess_inbound_service(pointers, host, port, *state::Workload::make(server_));
    return found ? std::optional(found->name) : std::nullopt;
  }
};

TEST_F(GuessTest, TheNamedOneThenTheFirstWithThePort) {
  auto a = service("a", "10.10.1.1"), b = service("b", "10.10.1.2");
  b.ports = {{80, 8080}, {90, 9090}};
  EXPECT_EQ(guess(b.hostname, 8080, {a, b}), "b");
  EXPECT_EQ(guess(std::nullopt, 8080, {a, b}), "a");
  EXPECT_EQ(guess("unknown.host", 8080, {a, b}), "a");
  EXPECT_EQ(guess(std::nullopt, 9090, {a, b}), "b");
  EXPECT_EQ(guess(std::nullopt, 1, {a, b}), std::nullopt);
  EXPECT_EQ(guess(a.hostname, 1, {a, b}), "a");
  EXPECT_EQ(guess(a.hostname, 8080, {}), std::nullopt);
}

TEST_F(GuessTest, ThisEndpointsPorts) {
  auto a = service("a", "10.10.1.1");
  a.ports = {{80, 0}};
  a.endpoints[server_.uid] = {server_.uid, {{80, 1234}}};
  a.endpoints["other"] = {"other", {{80, 4321}}};
  EXPECT_EQ(guess(std::nullopt, 1234, {a}), "a");
  EXPECT_EQ(guess(std::nullopt, 4321, {a}), std::nullopt);
}

TEST_F(InboundTargetTest, ServicesOfAWorkloadThatAreKnown) {
  build();
  auto workload = mesh_->workload_by_uid(server_.uid)->spec();
  workload.services.push_back({"ns", "gone.default.svc.cluster.local"});
  const auto services = services_of(*mesh_, *state::Workload::make(workload));
  ASSERT_EQ(services.size(), 1U);
  EXPECT_EQ(services.front()->name(), "server");
}

}  // namespace
}  // namespace culvert::ztunnel
