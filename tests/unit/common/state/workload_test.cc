// How workloads and services are kept: packed, shared, and out again as they came in.
#include "common/state/few.h"
#include "common/state/store.h"
#include "common/state/text_pack.h"
#include "tests/support/state_builders.h"

#include <gtest/gtest.h>

#include <compare>

namespace culvert::state {
namespace {

using test::ip;
using test::pod;

const NamespacedHostname kA{"ns", "a.ns.svc"};

WorkloadSpec everything() {
  WorkloadSpec spec = pod("shop-7d4b9c6f5-x2x9k", {"10.0.0.1", "fd00::1", "10.0.0.2"});
  spec.network = "net";
  spec.network_mode = NetworkMode::kHostNetwork;
  spec.waypoint = test::gateway_host("ns", "waypoint", 15008);
  spec.network_gateway = test::gateway("other", "1.2.3.4", 15443);
  spec.node = "node1";
  spec.workload_name = "shop";
  spec.workload_type = "deployment";
  spec.canonical_name = "shop";
  spec.canonical_revision = "v1";
  spec.hostname = "shop.example.com";
  spec.native_tunnel = true;
  spec.application_tunnel = ApplicationTunnel{ApplicationTunnel::Protocol::kProxy, uint16_t{80}};
  spec.authorization_policies = {"ns/p", "ns/q", "ns/p"};
  spec.status = Health::kUnhealthy;
  spec.cluster_id = "cluster1";
  spec.locality = {"r", "z", "s"};
  spec.capacity = 7;
  return spec;
}

TEST(WorkloadTest, ComesOutAsItWentIn) {
  EXPECT_EQ(Workload::make({})->spec(), WorkloadSpec{});
  WorkloadSpec spec = everything();
  EXPECT_EQ(Workload::make(spec)->spec(), spec);
  spec.services = {{"ns", "z"}, kA};  // told in this order, with ports
  const auto told = Workload::make(spec, {{kA, {{80, 8080}}}, {{"ns", "z"}, {}}});
  EXPECT_EQ(told->spec(), spec);
  EXPECT_EQ(told->ports_for(kA).unpack(), (PortMap{{80, 8080}}));
  // Told others than those it has ports for.
  const auto apart = Workload::make(spec, {{{"x", "y"}, {{1, 2}, {3, 0}}}});
  EXPECT_EQ(apart->spec(), spec);
  EXPECT_EQ(apart->ports_for({"x", "y"}).unpack(), (PortMap{{1, 2}, {3, 0}}));
  EXPECT_EQ(apart->ports_for(kA).unpack(), PortMap{});
}

TEST(WorkloadTest, NamesOfAllShapes) {
  for (const auto& [uid, name] : std::initializer_list<std::pair<std::string, std::string>>{
           {"c//Pod/ns/a-b-c", "a-b-c"},
           {"c//Pod/ns/plain", "plain"},
           {"c/networking.istio.io/ServiceEntry/ns/se/10.0.0.1", "se"},
           {"", "nameless-uid"},
           {"only-uid", ""},
           {"c//Pod/ns/dash-", "dash-"},
           {"x", "longer-than-the-uid"},
           {"c//Pod/ns/" + std::string(300, 'n'), std::string(300, 'n')}}) {
    WorkloadSpec spec;
    spec.uid = uid;
    spec.name = name;
    const auto workload = Workload::make(spec);
    EXPECT_EQ(workload->uid(), uid);
    EXPECT_EQ(workload->name(), name);
    EXPECT_EQ(workload->compare_uid(uid), std::strong_ordering::equal);
    EXPECT_EQ(workload->compare_uid(uid + "x"), std::strong_ordering::less);
    EXPECT_EQ(workload->compare_name(name), std::strong_ordering::equal);
    EXPECT_EQ(workload->compare_name(name + "x"), std::strong_ordering::less);
  }
}

TEST(WorkloadTest, UidsCompareLikeTexts) {
  const std::vector<std::string> uids = {"", "a", "a-", "a-b", "a-b-c", "a-bc", "b", "b-a"};
  for (const auto& left : uids) {
    WorkloadSpec spec;
    spec.uid = left;
    const auto workload = Workload::make(spec);
    for (const auto& right : uids) {
      WorkloadSpec other;
      other.uid = right;
      EXPECT_EQ(workload->compare_uid(right), left <=> right) << left << " " << right;
      EXPECT_EQ(workload->compare_uid(*Workload::make(other)), left <=> right);
    }
  }
}

TEST(WorkloadTest, LikesShare) {
  Store store("");
  auto a = pod("d-1", {"10.0.0.1"});
  a.node = "n1";
  auto b = pod("d-2", {"10.0.0.2"});
  b.node = "n1";
  auto other_node = pod("d-3", {"10.0.0.3"});
  other_node.node = "n2";
  auto sick = pod("d-4", {"10.0.0.4"});
  sick.status = Health::kUnhealthy;
  for (const auto& spec : {a, b, other_node, sick}) store.upsert_workload(spec, {});
  const auto mesh = store.commit();
  const auto get = [&](const std::string& name) {
    return mesh->workload_by_uid("cluster1//Pod/ns/" + name);
  };
  EXPECT_EQ(&get("d-1")->profile(), &get("d-2")->profile());
  EXPECT_EQ(get("d-1")->placement(), get("d-2")->placement());
  EXPECT_EQ(&get("d-1")->profile(), &get("d-3")->profile());
  EXPECT_NE(get("d-1")->placement(), get("d-3")->placement());
  EXPECT_NE(&get("d-1")->profile(), &get("d-4")->profile());
  EXPECT_EQ(get("d-2")->spec(), b);
}

TEST(WorkloadTest, OutlivesItsSnapshotAndStore) {
  WorkloadPtr kept;
  ServicePtr service;
  {
    Store store("");
    store.upsert_service(test::service("a", {"10.1.0.1"}));
    store.upsert_workload(everything(), {{kA, {{80, 8080}}}});
    const auto mesh = store.commit();
    kept = mesh->workload_by_uid(everything().uid);
    service = mesh->service_by_key(kA);
    store.clear();
    store.commit();
  }
  EXPECT_EQ(kept->spec(), everything());
  EXPECT_EQ(service->endpoint(0).workload, kept.get());
}

TEST(WorkloadTest, SayingTheSameAgainChangesNothing) {
  Store store("");
  EXPECT_FALSE(store.upsert_workload(everything(), {{kA, {{80, 1}}}}));
  const auto before = store.commit()->workload_by_uid(everything().uid);
  EXPECT_TRUE(store.upsert_workload(everything(), {{kA, {{80, 1}}}}));
  EXPECT_EQ(store.commit()->workload_by_uid(everything().uid), before);
  EXPECT_TRUE(store.upsert_workload(everything(), {{kA, {{80, 2}}}}));
  EXPECT_NE(store.commit()->workload_by_uid(everything().uid), before);
}

TEST(ServiceTest, ComesOutAsItWentIn) {
  EXPECT_EQ(Service::make({})->spec(), ServiceSpec{});
  ServiceSpec spec = test::service("s", {"10.1.0.1", "fd00::1"});
  spec.vips.push_back({"net", ip("10.1.0.1")});
  spec.ports = {{80, 8080}, {443, 0}};
  spec.cidr_vips = {{"net", test::cidr("10.0.0.0/8")}};
  spec.endpoints["u"] = {"u", {{80, 1}}, Health::kUnhealthy};
  spec.subject_alt_names = {"spiffe://a"};
  spec.waypoint = test::gateway_host("ns", "w", 15008);
  spec.weighted_waypoints = {{test::gateway("", "10.0.0.8", 15008), 10}};
  spec.load_balancer = LoadBalancer{
      {LoadBalancerScope::kZone}, LoadBalancerMode::kFailover, HealthPolicy::kAllowAll};
  spec.ip_families = IpFamilies::kDual;
  spec.canonical = true;
  spec.visibility = Visibility::kNamespace;
  const auto service = Service::make(spec);
  EXPECT_EQ(service->spec(), spec);
  EXPECT_TRUE(service->has_vip({"net", ip("10.1.0.1")}));
  EXPECT_FALSE(service->has_vip({"other", ip("10.1.0.1")}));
}

// Endpoints that a local file lists by uid: the workload may come later, change, and go.
TEST(ServiceTest, ListedEndpointsFollowTheirWorkload) {
  Store store("");
  ServiceSpec spec = test::service("a", {});
  spec.endpoints[pod("w", {}).uid] = {pod("w", {}).uid, {{80, 1}}, Health::kHealthy};
  store.upsert_service(spec);
  const auto listed = [&] {
    const auto service = store.commit()->service_by_key(kA);
    const auto endpoint = service->find_endpoint(pod("w", {}).uid).value();
    EXPECT_EQ(endpoint.own_port(80), 1);
    return endpoint.workload == nullptr ? std::string("-")
                                        : (*endpoint.workload->ips().begin()).to_string();
  };
  EXPECT_EQ(listed(), "-");
  store.upsert_workload(pod("w", {"10.0.0.1"}), {});
  EXPECT_EQ(listed(), "10.0.0.1");
  store.upsert_workload(pod("w", {"10.0.0.2"}), {});
  EXPECT_EQ(listed(), "10.0.0.2");
  store.remove_address(pod("w", {}).uid);
  EXPECT_EQ(listed(), "-");
  // What the workload says of itself wins over the list.
  store.upsert_workload(pod("w", {"10.0.0.3"}), {{kA, {{80, 2}}}});
  const auto service = store.commit()->service_by_key(kA);
  EXPECT_EQ(service->endpoint_count(), 1U);
  EXPECT_EQ(service->endpoint(0).own_port(80), 2);
}

TEST(TextPackTest, PartsAreKeptOnce) {
  const std::string wide(70'000, 'w');
  for (const auto& long_text : {std::string("cluster//Pod/team/shop-1"), wide}) {
    const std::vector<std::string_view> texts = {"team", long_text, "", "other", "team"};
    const TextPack pack(texts);
    const TextPack copy(pack);
    ASSERT_EQ(pack.size(), texts.size());
    for (size_t i = 0; i < texts.size(); ++i) {
      EXPECT_EQ(pack[i], texts[i]);
      EXPECT_EQ(copy[i], texts[i]);
    }
    if (long_text.size() < 100) {
      EXPECT_EQ(pack[0].data(), pack[1].data() + 13);
    }
  }
  EXPECT_EQ(TextPack().size(), 0U);
}

TEST(WorkloadTest, AnyNumberOfAddresses) {
  WorkloadSpec spec = everything();
  for (uint32_t i = 0; i < 70'000; ++i) {
    const auto byte = [&](int shift) { return static_cast<uint8_t>(i >> shift); };
    spec.ips.push_back(net::IpAddress::v4({11, byte(16), byte(8), byte(0)}));
  }
  Store store("");
  store.upsert_workload(spec, {});
  spec.network_mode = NetworkMode::kStandard;
  store.upsert_workload(spec, {});
  const auto snapshot = store.commit();
  EXPECT_EQ(snapshot->workload_by_uid(spec.uid)->spec(), spec);
  const auto last = snapshot->workload_by_address(spec.network, spec.ips.back());
  ASSERT_NE(last, nullptr);
  EXPECT_EQ(last->name(), spec.name);
}

TEST(TextPackTest, ManyTexts) {
  std::vector<std::string> texts;
  for (int i = 0; i < 20'000; ++i) texts.push_back("text-" + std::to_string(i));
  std::vector<std::string_view> views(texts.begin(), texts.end());
  views.emplace_back("");
  const TextPack pack(views);
  const TextPack copied(pack);
  ASSERT_EQ(copied.size(), views.size());
  for (size_t i = 0; i < views.size(); ++i) EXPECT_EQ(copied[i], views[i]);
}

TEST(FewTest, GrowsAndShrinks) {
  const int64_t items[3] = {1, 2, 3};
  Few<int64_t> few(&items[1]);
  EXPECT_EQ(few.all().size(), 1U);
  few.insert(0, &items[0]);
  few.insert(2, &items[2]);
  Few<int64_t> copy = few;
  copy.replace(1, &items[2]);
  EXPECT_EQ(*few.all()[1], 2);
  EXPECT_EQ(*copy.all()[1], 3);
  few.erase(&items[0]);
  few.erase(&items[0]);
  few.erase(&items[2]);
  EXPECT_EQ(&few.front(), &items[1]);
  few.erase(&items[1]);
  EXPECT_TRUE(few.empty());
  EXPECT_EQ(copy.all().size(), 3U);
  few = std::move(copy);
  EXPECT_EQ(&few.back(), &items[2]);
}

}  // namespace
}  // namespace culvert::state
