// Waypoints and network gateways: the part of balance.h that follows a GatewayAddress.
#include "common/state/balance.h"
#include "common/state/errors.h"
#include "common/state/store.h"
#include "tests/support/fixed_random.h"
#include "tests/support/state_builders.h"

#include <gtest/gtest.h>

#include <map>

namespace culvert::state {
namespace {

using test::address;
using test::FixedRandom;
using test::gateway;
using test::gateway_host;
using test::ip;
using test::pod;
using test::service;

class GatewayTest : public testing::Test {
 protected:
  void SetUp() override {
    ServiceSpec waypoint = service("waypoint", {"10.1.0.9"});
    waypoint.ports = {{15008, 15009}};
    store_.upsert_service(waypoint);
    store_.upsert_workload(pod("waypoint-0", {"10.0.0.9", "fd00::9"}), {{waypoint.key(), {}}});
  }
  Result<Upstream> resolve(const GatewayAddress& gateway, GatewayKind kind = GatewayKind::kWaypoint,
                           std::string_view original = "10.5.0.1:80") {
    return resolve_gateway(*store_.commit(), gateway, kind, *source_, address(original), random_);
  }
  Store store_{""};
  WorkloadPtr source_ = Workload::make(pod("source", {}));
  FixedRandom random_;
};

TEST_F(GatewayTest, ByVip) {
  const auto upstream = resolve(gateway("", "10.1.0.9", 15008)).value();
  EXPECT_EQ(upstream.workload->name(), "waypoint-0");
  EXPECT_EQ(upstream.port, 15009);  // what the waypoint's service maps it to
  EXPECT_EQ(upstream.ip, ip("10.0.0.9"));
  EXPECT_EQ(upstream.service->hostname, "waypoint.ns.svc");
}

TEST_F(GatewayTest, ByWorkloadAddress) {
  const auto upstream = resolve(gateway("", "10.0.0.9", 15008)).value();
  EXPECT_EQ(upstream.workload->name(), "waypoint-0");
  EXPECT_EQ(upstream.port, 15008);
}

TEST_F(GatewayTest, ByHostnameOfAService) {
  const auto upstream = resolve(gateway_host("ns", "waypoint.ns.svc", 15008)).value();
  EXPECT_EQ(upstream.workload->name(), "waypoint-0");
  EXPECT_EQ(upstream.port, 15009);
}

TEST_F(GatewayTest, ByHostnameOfAWorkload) {
  auto named = pod("named", {"10.0.0.7"});
  named.hostname = "gw.example.com";
  store_.upsert_workload(named, {});
  const auto upstream = resolve(gateway_host("ns", "gw.example.com", 15443)).value();
  EXPECT_EQ(upstream.workload->name(), "named");
  EXPECT_EQ(upstream.port, 15443);
  EXPECT_FALSE(upstream.service);
  EXPECT_FALSE(resolve(gateway_host("other", "gw.example.com", 15443)));
}

TEST_F(GatewayTest, FamilyFollowsTheGatewaysAddressOrTheClients) {
  const char* const six = "[fd55::1]:80";
  EXPECT_EQ(resolve(gateway("", "10.1.0.9", 15008), GatewayKind::kWaypoint, six).value().ip,
            ip("10.0.0.9"));
  EXPECT_EQ(
      resolve(gateway_host("ns", "waypoint.ns.svc", 15008), GatewayKind::kWaypoint, six).value().ip,
      ip("fd00::9"));
}

TEST_F(GatewayTest, UnknownOnesAreErrors) {
  auto failed = resolve(gateway_host("ns", "nowhere", 15008));
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, Errc::kUnknownWaypoint);
  EXPECT_EQ(failed.error().context, "waypoint ns/nowhere not found");
  failed = resolve(gateway("net", "10.1.0.9", 15008));  // never across networks
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, Errc::kUnknownWaypoint);
  failed = resolve(gateway("", "10.9.9.9", 15008), GatewayKind::kNetworkGateway);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, Errc::kUnknownNetworkGateway);
  EXPECT_EQ(failed.error().context, "network gateway /10.9.9.9 (port 15008) not found");
}

TEST_F(GatewayTest, PassthroughIsNoGateway) {
  ServiceSpec target = service("pass", {"10.1.0.8"});
  target.ports = {{15008, 15008}};
  target.load_balancer = LoadBalancer{{}, LoadBalancerMode::kPassthrough, {}};
  store_.upsert_service(target);
  store_.upsert_workload(pod("pass-0", {"10.0.0.8"}), {{target.key(), {}}});
  EXPECT_EQ(resolve(gateway("", "10.1.0.8", 15008)).error().code, Errc::kUnknownWaypoint);
}

TEST_F(GatewayTest, OnlyWaypointsMayUseAnApplicationTunnel) {
  auto tunnelled = pod("waypoint-0", {"10.0.0.9"});
  tunnelled.application_tunnel =
      ApplicationTunnel{ApplicationTunnel::Protocol::kProxy, uint16_t{15088}};
  store_.upsert_workload(tunnelled, {{{"ns", "waypoint.ns.svc"}, {}}});
  const auto other_port = gateway_host("ns", "waypoint.ns.svc", 15010);
  EXPECT_EQ(resolve(other_port).value().port, 15010);
  EXPECT_EQ(resolve(other_port, GatewayKind::kNetworkGateway).error().code,
            Errc::kUnknownNetworkGateway);
}

class WaypointTest : public GatewayTest {
 protected:
  Result<std::optional<Upstream>> of_service(std::vector<uint64_t> values = {0}) {
    random_ = FixedRandom(std::move(values));
    return service_waypoint(*store_.commit(), *Service::make(target_), *source_,
                            address("10.5.0.1:80"), random_);
  }
  ServiceSpec target_ = service("target", {"10.5.0.1"});
};

TEST_F(WaypointTest, ServiceWithout) { EXPECT_FALSE(of_service().value()); }

TEST_F(WaypointTest, ServiceWithOne) {
  target_.waypoint = gateway("", "10.1.0.9", 15008);
  EXPECT_EQ(of_service().value()->workload->name(), "waypoint-0");
  target_.waypoint = gateway("", "10.9.9.9", 15008);
  EXPECT_EQ(of_service().error().code, Errc::kUnknownWaypoint);
}

TEST_F(WaypointTest, WeightedOnesComeFirst) {
  store_.upsert_workload(pod("first", {"10.0.1.1"}), {});
  store_.upsert_workload(pod("second", {"10.0.1.2"}), {});
  target_.waypoint = gateway("", "10.1.0.9", 15008);
  const auto weigh = [&](uint32_t first, uint32_t second) {
    target_.weighted_waypoints = {{gateway("", "10.0.1.1", 15008), first},
                                  {gateway("", "10.0.1.2", 15008), second}};
    std::map<std::string, int> counts;
    for (uint64_t value = 0; value < 100; ++value) {
      ++counts[of_service({value}).value()->workload->name()];
    }
    return counts;
  };
  EXPECT_EQ(weigh(100, 0), (std::map<std::string, int>{{"first", 100}}));
  EXPECT_EQ(weigh(0, 100), (std::map<std::string, int>{{"second", 100}}));
  EXPECT_EQ(weigh(75, 25), (std::map<std::string, int>{{"first", 75}, {"second", 25}}));
  EXPECT_EQ(weigh(0, 0), (std::map<std::string, int>{{"waypoint-0", 100}}));
  weigh(UINT32_MAX, UINT32_MAX);
  EXPECT_EQ(random_.bounds().front(), 2ULL * UINT32_MAX);
}

TEST_F(WaypointTest, NoFallBackFromASampledOne) {
  target_.waypoint = gateway("", "10.1.0.9", 15008);
  target_.weighted_waypoints = {{gateway("", "10.9.9.9", 15008), 1}};
  EXPECT_EQ(of_service().error().code, Errc::kUnknownWaypoint);
}

TEST_F(WaypointTest, OfAWorkload) {
  auto target = pod("target", {"10.0.0.1"});
  const auto of_workload = [&] {
    return workload_waypoint(*store_.commit(), *Workload::make(target), *source_,
                             address("10.0.0.1:80"), random_);
  };
  EXPECT_FALSE(of_workload().value());
  target.waypoint = gateway_host("ns", "waypoint.ns.svc", 15008);
  EXPECT_EQ(of_workload().value()->workload->name(), "waypoint-0");
  target.waypoint = gateway_host("ns", "nowhere", 15008);
  EXPECT_EQ(of_workload().error().code, Errc::kUnknownWaypoint);
}

}  // namespace
}  // namespace culvert::state
