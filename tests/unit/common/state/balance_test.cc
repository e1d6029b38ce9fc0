#include "common/state/balance.h"

#include "common/state/errors.h"
#include "common/state/store.h"
#include "tests/support/fixed_random.h"
#include "tests/support/state_builders.h"

#include <gtest/gtest.h>

#include <set>

namespace culvert::state {
namespace {

using test::address;
using test::FixedRandom;
using test::ip;
using test::pod;
using test::service;

const NamespacedHostname kKey{"ns", "svc.ns.svc"};

// All that repeated choices give, by workload name.
std::set<std::string> choices(const Service& target, const WorkloadSpec& from,
                              ResolveMode mode = ResolveMode::kStandard, uint16_t port = 80) {
  const WorkloadPtr source = Workload::make(from);
  std::set<std::string> names;
  for (uint64_t value = 0; value < 32; ++value) {
    FixedRandom random({value});
    const auto picked = pick_endpoint(target, port, *source, mode, random);
    if (picked) names.insert(picked->workload->name());
  }
  return names;
}

using Names = std::set<std::string>;

class LoadBalanceTest : public testing::Test {
 protected:
  void add(const std::string& name, std::string network, Locality locality,
           const std::vector<std::string_view>& addresses) {
    auto workload = pod(name, addresses);
    workload.network = std::move(network);
    workload.locality = std::move(locality);
    store_.upsert_workload(workload, {{kKey, {{80, 80}}}});
  }
  Names from(std::string network, Locality locality, LoadBalancerMode mode) {
    auto target = service("svc", {});
    target.endpoints["unknown"] = {"unknown", {{80, 80}}, Health::kHealthy};
    target.load_balancer = LoadBalancer{
        {LoadBalancerScope::kNetwork, LoadBalancerScope::kRegion, LoadBalancerScope::kZone},
        mode,
        HealthPolicy::kOnlyHealthy};
    store_.upsert_service(target);
    WorkloadSpec source = pod("source", {});
    source.network = std::move(network);
    source.locality = std::move(locality);
    const auto snapshot = store_.commit();
    return choices(*snapshot->service_by_key(kKey), source);
  }
  void SetUp() override {
    add("match", "net", {"reg", "zone", ""}, {"10.0.0.1"});
    add("almost", "net", {"reg", "other", ""}, {"10.0.0.2"});
    add("no-locality", "net", {}, {"10.0.0.3"});
    add("other", "other-net", {"reg", "zone", ""}, {"10.0.0.4"});
    add("empty-ip", "net", {"reg", "zone", ""}, {});
  }
  Store store_{""};
};

TEST_F(LoadBalanceTest, StrictTakesFullMatchesOnly) {
  constexpr auto kMode = LoadBalancerMode::kStrict;
  EXPECT_EQ(from("elsewhere", {"x", "y", ""}, kMode), Names{});
  EXPECT_EQ(from("net", {"reg", "zone", ""}, kMode), Names{"match"});
  EXPECT_EQ(from("net", {"reg", "third", ""}, kMode), Names{});
  // Skipping the network is for ranking: it is still no full match.
  EXPECT_EQ(from("third-net", {"reg", "zone", ""}, kMode), Names{});
}

TEST_F(LoadBalanceTest, FailoverTakesTheBestThereIs) {
  constexpr auto kMode = LoadBalancerMode::kFailover;
  EXPECT_EQ(from("elsewhere", {"x", "y", ""}, kMode),
            (Names{"match", "almost", "no-locality", "other"}));
  EXPECT_EQ(from("net", {"reg", "zone", ""}, kMode), Names{"match"});
  EXPECT_EQ(from("net", {"reg", "", ""}, kMode), (Names{"match", "almost"}));
  EXPECT_EQ(from("net", {"x", "y", ""}, kMode), (Names{"match", "almost", "no-locality"}));
  EXPECT_EQ(from("third-net", {"reg", "zone", ""}, kMode), (Names{"match", "other"}));
}

TEST_F(LoadBalanceTest, OwnNetworkOutranksLocality) {
  // no-locality is nearer than anything in the right zone of another network.
  for (const char* name : {"match", "almost"}) {
    store_.remove_address("cluster1//Pod/ns/" + std::string(name));
  }
  EXPECT_EQ(from("net", {"reg", "zone", ""}, LoadBalancerMode::kFailover), Names{"no-locality"});
}

TEST_F(LoadBalanceTest, StandardTakesAnyReachable) {
  EXPECT_EQ(from("net", {"reg", "zone", ""}, LoadBalancerMode::kStandard),
            (Names{"match", "almost", "no-locality", "other"}));
}

TEST_F(LoadBalanceTest, EveryScopeCompares) {
  const struct {
    LoadBalancerScope scope;
    void (*spoil)(WorkloadSpec&);
  } cases[] = {
      {LoadBalancerScope::kRegion, [](WorkloadSpec& w) { w.locality.region = "x"; }},
      {LoadBalancerScope::kZone, [](WorkloadSpec& w) { w.locality.zone = "x"; }},
      {LoadBalancerScope::kSubzone, [](WorkloadSpec& w) { w.locality.subzone = "x"; }},
      {LoadBalancerScope::kNode, [](WorkloadSpec& w) { w.node = "x"; }},
      {LoadBalancerScope::kCluster, [](WorkloadSpec& w) { w.cluster_id = "x"; }},
      {LoadBalancerScope::kNetwork, [](WorkloadSpec& w) { w.network = "x"; }},
  };
  for (const auto& [scope, spoil] : cases) {
    Store store("");
    auto target = service("svc", {});
    target.load_balancer = LoadBalancer{{scope}, LoadBalancerMode::kStrict, {}};
    store.upsert_service(target);
    store.upsert_workload(pod("near", {"10.0.0.1"}), {{kKey, {}}});
    auto far = pod("far", {"10.0.0.2"});
    spoil(far);
    store.upsert_workload(far, {{kKey, {}}});
    const auto snapshot = store.commit();
    EXPECT_EQ(choices(*snapshot->service_by_key(kKey), pod("source", {})), Names{"near"})
        << static_cast<int>(scope);
  }
}

class PickEndpointTest : public testing::Test {
 protected:
  std::optional<PickedEndpoint> pick(ServiceSpec target, uint16_t port = 80,
                                     ResolveMode mode = ResolveMode::kStandard,
                                     std::vector<uint64_t> values = {0}) {
    store_.upsert_service(std::move(target));
    const auto snapshot = store_.commit();
    random_ = FixedRandom(std::move(values));
    return pick_endpoint(*snapshot->service_by_key(kKey), port, *Workload::make(pod("source", {})),
                         mode, random_);
  }
  void add(WorkloadSpec workload, PortMap ports) {
    store_.upsert_workload(std::move(workload), {{kKey, std::move(ports)}});
  }
  Store store_{""};
  FixedRandom random_;
};

TEST_F(PickEndpointTest, PortMappings) {
  add(pod("w", {"10.0.0.1"}), {{80, 9090}});
  EXPECT_EQ(pick(service("svc", {}))->target_port, 9090);  // the endpoint's own
  add(pod("w", {"10.0.0.1"}), {});
  EXPECT_EQ(pick(service("svc", {}))->target_port, 8080);  // the service's
  EXPECT_FALSE(pick(service("svc", {}), 81));              // not a port of the service
  add(pod("w", {"10.0.0.1"}), {{81, 8081}});
  EXPECT_FALSE(pick(service("svc", {}), 81));
}

TEST_F(PickEndpointTest, NamedTargetPortNeedsTheEndpoint) {
  auto named = service("svc", {});
  named.ports = {{80, 0}};
  add(pod("without", {"10.0.0.1"}), {{81, 8081}});
  EXPECT_FALSE(pick(named));
  add(pod("zero", {"10.0.0.1"}), {{80, 0}});
  EXPECT_FALSE(pick(named));
  add(pod("with", {"10.0.0.1"}), {{80, 8082}});
  EXPECT_EQ(pick(named)->workload->name(), "with");
  EXPECT_EQ(pick(named)->target_port, 8082);
}

TEST_F(PickEndpointTest, ApplicationTunnelStandsInForAWaypointsPort) {
  auto tunnelled = pod("w", {"10.0.0.1"});
  tunnelled.application_tunnel =
      ApplicationTunnel{ApplicationTunnel::Protocol::kProxy, uint16_t{15088}};
  auto target = service("svc", {});
  target.ports = {{80, 0}};
  add(tunnelled, {});
  EXPECT_FALSE(pick(target));
  EXPECT_EQ(pick(target, 80, ResolveMode::kWaypoint)->target_port, 80);
  EXPECT_EQ(pick(target, 81, ResolveMode::kWaypoint)->target_port, 81);  // unknown to the service
  tunnelled.application_tunnel->port.reset();
  add(tunnelled, {});
  EXPECT_FALSE(pick(target, 81, ResolveMode::kWaypoint));
  tunnelled.application_tunnel.reset();
  add(tunnelled, {});
  EXPECT_FALSE(pick(target, 81, ResolveMode::kWaypoint));
}

TEST_F(PickEndpointTest, CapacityWeighs) {
  auto small = pod("a-small", {"10.0.0.1"});
  auto big = pod("b-big", {"10.0.0.2"});
  big.capacity = 3;
  auto never = pod("c-never", {"10.0.0.3"});
  never.capacity = 0;
  for (const auto& workload : {small, big, never}) add(workload, {});
  const auto name = [&](uint64_t value) {
    return pick(service("svc", {}), 80, ResolveMode::kStandard, {value})->workload->name();
  };
  EXPECT_EQ(name(0), "a-small");
  EXPECT_EQ(name(1), "b-big");
  EXPECT_EQ(name(3), "b-big");
  EXPECT_EQ(random_.bounds(), (std::vector<uint64_t>{4}));
}

TEST_F(PickEndpointTest, WeightsDoNotOverflow) {
  for (const char* name : {"a", "b", "c"}) {
    auto workload = pod(name, {"10.0.0.1"});
    workload.capacity = UINT32_MAX;
    add(workload, {});
  }
  EXPECT_EQ(pick(service("svc", {}), 80, ResolveMode::kStandard, {3ULL * UINT32_MAX - 1})
                ->workload->name(),
            "c");
  EXPECT_EQ(random_.bounds(), (std::vector<uint64_t>{3ULL * UINT32_MAX}));
}

TEST_F(PickEndpointTest, NoWeightIsNoEndpoint) {
  auto never = pod("w", {"10.0.0.3"});
  never.capacity = 0;
  add(never, {});
  EXPECT_FALSE(pick(service("svc", {})));
  EXPECT_FALSE(pick(service("svc", {}), 80, ResolveMode::kWaypoint));
}

TEST_F(PickEndpointTest, HealthIsDecidedWhenPicking) {
  auto sick = pod("sick", {"10.0.0.1"});
  sick.status = Health::kUnhealthy;
  add(sick, {});
  auto target = service("svc", {});
  EXPECT_FALSE(pick(target));
  target.load_balancer = LoadBalancer{{}, LoadBalancerMode::kStandard, HealthPolicy::kAllowAll};
  EXPECT_TRUE(pick(target));
  target.load_balancer.reset();
  EXPECT_FALSE(pick(target));
}

TEST_F(PickEndpointTest, UnhealthyNearOnesFailOver) {
  auto near = pod("near", {"10.0.0.1"});
  near.status = Health::kUnhealthy;
  auto far = pod("far", {"10.0.0.2"});
  far.locality.region = "far";
  add(near, {});
  add(far, {});
  auto target = service("svc", {});
  target.load_balancer =
      LoadBalancer{{LoadBalancerScope::kRegion}, LoadBalancerMode::kFailover, {}};
  EXPECT_EQ(pick(target)->workload->name(), "far");
}

TEST_F(PickEndpointTest, WithoutAddressOnlyThroughAGatewayElsewhere) {
  auto bare = pod("bare", {});
  bare.network_gateway = test::gateway("other", "1.2.3.4", 15008);
  add(bare, {});
  EXPECT_FALSE(pick(service("svc", {})));  // same network
  bare.network = "other";
  add(bare, {});
  EXPECT_TRUE(pick(service("svc", {})));
  bare.network_gateway.reset();
  add(bare, {});
  EXPECT_FALSE(pick(service("svc", {})));
  bare.hostname = "bare.example.com";
  add(bare, {});
  EXPECT_TRUE(pick(service("svc", {})));
}

TEST(PickIpTest, PrefersTheOriginalThenItsFamily) {
  const auto dual = Workload::make(pod("w", {"fd00::1", "10.0.0.1", "10.0.0.2", "fd00::2"}));
  const auto pick = [&](std::string_view original, IpFamilies families) {
    return pick_ip(*dual, ip(original), families).value()->to_string();
  };
  EXPECT_EQ(pick("10.0.0.2", IpFamilies::kAutomatic), "10.0.0.2");
  EXPECT_EQ(pick("10.0.0.2", IpFamilies::kIpv6Only), "10.0.0.2");  // it was asked for by itself
  EXPECT_EQ(pick("9.9.9.9", IpFamilies::kAutomatic), "10.0.0.1");
  EXPECT_EQ(pick("9.9.9.9", IpFamilies::kDual), "10.0.0.1");
  EXPECT_EQ(pick("fd99::1", IpFamilies::kAutomatic), "fd00::1");
  EXPECT_EQ(pick("9.9.9.9", IpFamilies::kIpv6Only), "fd00::1");
  EXPECT_EQ(pick("fd99::1", IpFamilies::kIpv4Only), "10.0.0.1");
}

TEST(PickIpTest, OtherFamilyIsBetterThanNone) {
  EXPECT_EQ(pick_ip(*Workload::make(pod("w", {"fd00::1"})), ip("9.9.9.9"), IpFamilies::kAutomatic)
                .value(),
            ip("fd00::1"));
}

TEST(PickIpTest, WithoutAddress) {
  auto bare = pod("w", {"10.0.0.1"});
  const auto failed = pick_ip(*Workload::make(bare), ip("fd99::1"), IpFamilies::kIpv6Only);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, Errc::kNoValidDestination);
  EXPECT_EQ(failed.error().context, bare.uid);
  bare.hostname = "w.example.com";
  EXPECT_EQ(pick_ip(*Workload::make(bare), ip("fd99::1"), IpFamilies::kIpv6Only).value(),
            std::nullopt);
  bare.hostname.clear();
  bare.network_gateway = test::gateway("", "1.2.3.4", 15008);
  EXPECT_EQ(pick_ip(*Workload::make(bare), ip("fd99::1"), IpFamilies::kIpv6Only).value(),
            std::nullopt);
}

class FindUpstreamTest : public testing::Test {
 protected:
  Result<std::optional<Upstream>> find(std::string_view target, std::string_view network = "") {
    return find_upstream(*store_.commit(), network, *Workload::make(source_), address(target),
                         ResolveMode::kStandard, random_);
  }
  Store store_{""};
  WorkloadSpec source_ = pod("source", {});
  FixedRandom random_;
};

TEST_F(FindUpstreamTest, ThroughAService) {
  auto target = service("svc", {"10.1.0.1"});
  target.subject_alt_names = {"spiffe://td/ns/x/sa/y", "not-spiffe"};
  store_.upsert_service(target);
  store_.upsert_workload(pod("w", {"10.0.0.1"}), {{kKey, {}}});
  const auto upstream = find("10.1.0.1:80").value().value();
  EXPECT_EQ(upstream.workload->name(), "w");
  EXPECT_EQ(upstream.ip, ip("10.0.0.1"));
  EXPECT_EQ(upstream.port, 8080);
  EXPECT_EQ(upstream.service, (ServiceRef{"svc.ns.svc", "svc", "ns"}));
  EXPECT_EQ(upstream.service_identities(), (std::vector<Identity>{{"td", "x", "y"}}));
  EXPECT_EQ(upstream.workload_and_service_identities(),
            (std::vector<Identity>{{"td", "x", "y"}, {"cluster.local", "ns", "default"}}));
  EXPECT_FALSE(find("10.1.0.1:81").value());
}

TEST_F(FindUpstreamTest, ToAWorkload) {
  store_.upsert_workload(pod("w", {"10.0.0.1"}), {});
  const auto upstream = find("10.0.0.1:1234").value().value();
  EXPECT_EQ(upstream.workload->name(), "w");
  EXPECT_EQ(upstream.ip, ip("10.0.0.1"));
  EXPECT_EQ(upstream.port, 1234);
  EXPECT_FALSE(upstream.service);
  EXPECT_EQ(upstream.workload_and_service_identities().size(), 1U);
  EXPECT_FALSE(find("10.0.0.1:1234", "other").value());
  EXPECT_FALSE(find("10.0.0.2:1234").value());
}

TEST_F(FindUpstreamTest, ServiceBeforeWorkload) {
  store_.upsert_workload(pod("direct", {"10.0.0.1"}), {});
  store_.upsert_workload(pod("behind", {"10.0.0.2"}), {{kKey, {}}});
  store_.upsert_service(service("svc", {"10.0.0.1"}));
  EXPECT_EQ(find("10.0.0.1:80").value()->workload->name(), "behind");
  // No falling back to the workload when the service has nothing to offer.
  EXPECT_FALSE(find("10.0.0.1:81").value());
}

TEST_F(FindUpstreamTest, PassthroughIsNoUpstream) {
  auto target = service("svc", {"10.1.0.1"});
  target.load_balancer = LoadBalancer{{}, LoadBalancerMode::kPassthrough, {}};
  store_.upsert_service(target);
  store_.upsert_workload(pod("w", {"10.0.0.1"}), {{kKey, {}}});
  EXPECT_FALSE(find("10.1.0.1:80").value());
}

TEST_F(FindUpstreamTest, SourceNamespaceDecidesVisibility) {
  auto target = service("svc", {"10.1.0.1"});
  target.visibility = Visibility::kNamespace;
  store_.upsert_service(target);
  store_.upsert_workload(pod("w", {"10.0.0.1"}), {{kKey, {}}});
  EXPECT_TRUE(find("10.1.0.1:80").value());
  source_.namespace_ = "other";
  EXPECT_FALSE(find("10.1.0.1:80").value());
}

TEST_F(FindUpstreamTest, FamiliesOfTheService) {
  auto target = service("svc", {"10.1.0.1"});
  target.ip_families = IpFamilies::kIpv6Only;
  store_.upsert_service(target);
  store_.upsert_workload(pod("w", {"10.0.0.1"}), {{kKey, {}}});
  const auto failed = find("10.1.0.1:80");
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, Errc::kNoValidDestination);
}

}  // namespace
}  // namespace culvert::state
