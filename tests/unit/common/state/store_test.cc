#include "common/state/store.h"

#include "tests/support/state_builders.h"

#include <gtest/gtest.h>

namespace culvert::state {
namespace {

using test::ip;
using test::pod;
using test::service;

const NamespacedHostname kA{"ns", "a.ns.svc"};
const NamespacedHostname kB{"ns", "b.ns.svc"};

class StoreTest : public testing::Test {
 protected:
  // uids (the part after the last slash) of a service's endpoints in the next snapshot; "-" for no
  // service.
  std::string endpoints(const NamespacedHostname& key) {
    const auto found = store_.commit()->service_by_key(key);
    if (!found) return "-";
    std::string names;
    const ServiceSpec spec = found->spec();
    EXPECT_EQ(spec.endpoints.size(), found->endpoint_count());
    for (const auto& [uid, endpoint] : spec.endpoints) {
      EXPECT_EQ(uid, endpoint.workload_uid);
      names += uid.substr(uid.rfind('/') + 1);
      if (endpoint.status == Health::kUnhealthy) names += "(unhealthy)";
    }
    return names;
  }
  size_t staged() { return store_.commit()->staged_services().size(); }
  static std::string uid(const std::string& name) { return "cluster1//Pod/ns/" + name; }
  void add(const std::string& name, std::map<NamespacedHostname, PortMap> services,
           Health health = Health::kHealthy) {
    auto workload = pod(name, {});
    workload.status = health;
    for (const auto& [key, ports] : services) workload.services.push_back(key);
    store_.upsert_workload(workload, std::move(services));
  }
  Store store_{""};
};

TEST_F(StoreTest, NothingShowsBeforeCommit) {
  const auto before = store_.current();
  EXPECT_EQ(before->version(), 0U);
  store_.upsert_service(service("a", {}));
  add("w", {{kA, {{80, 1}}}});
  EXPECT_EQ(store_.current(), before);
  EXPECT_TRUE(before->services().empty());
  const auto after = store_.commit();
  EXPECT_EQ(store_.current(), after);
  EXPECT_EQ(after->version(), 1U);
  EXPECT_EQ(after->service_by_key(kA)->endpoint_count(), 1U);
  EXPECT_EQ(before->service_by_key(kA), nullptr);
  EXPECT_EQ(store_.commit()->version(), 2U);
}

TEST_F(StoreTest, SnapshotsKeepTheirEndpoints) {
  store_.upsert_service(service("a", {}));
  add("w", {{kA, {{80, 1}}}});
  const auto before = store_.commit();
  add("x", {{kA, {{80, 1}}}});
  store_.remove_address(uid("w"));
  const auto after = store_.commit();
  EXPECT_TRUE(before->service_by_key(kA)->find_endpoint(uid("w")).has_value());
  EXPECT_FALSE(before->service_by_key(kA)->find_endpoint(uid("x")).has_value());
  EXPECT_FALSE(after->service_by_key(kA)->find_endpoint(uid("w")).has_value());
  EXPECT_TRUE(after->service_by_key(kA)->find_endpoint(uid("x")).has_value());
  EXPECT_NE(before->workload_by_uid(uid("w")), nullptr);
}

TEST_F(StoreTest, EndpointsAreStagedUntilTheServiceComes) {
  add("w", {{kA, {{80, 8080}}}, {kB, {{80, 9090}}}});
  EXPECT_EQ(endpoints(kA), "-");
  EXPECT_EQ(store_.current()->staged_services().at("ns/a.ns.svc").at(uid("w")).ports.at(80), 8080);
  EXPECT_EQ(staged(), 2U);
  store_.upsert_service(service("a", {}));
  EXPECT_EQ(endpoints(kA), "w");
  EXPECT_EQ(staged(), 1U);
  store_.upsert_service(service("b", {}));
  EXPECT_EQ(endpoints(kB), "w");
  EXPECT_EQ(staged(), 0U);
}

TEST_F(StoreTest, StagedEndpointsGoWithTheirWorkload) {
  add("w", {{kA, {{80, 8080}}}});
  add("x", {{kA, {{80, 8080}}}});
  store_.remove_address(uid("w"));
  EXPECT_EQ(store_.commit()->staged_services().at("ns/a.ns.svc").size(), 1U);
  add("x", {});  // no longer names the service
  EXPECT_EQ(staged(), 0U);
  store_.upsert_service(service("a", {}));
  EXPECT_EQ(endpoints(kA), "");
}

TEST_F(StoreTest, ServiceUpdateKeepsEndpoints) {
  store_.upsert_service(service("a", {"10.0.0.1"}));
  add("w", {{kA, {{80, 8080}}}});
  store_.commit();
  auto updated = service("a", {"10.0.0.2"});
  updated.ports = {{81, 0}};
  store_.upsert_service(updated);
  EXPECT_EQ(endpoints(kA), "w");
  EXPECT_EQ(store_.current()->service_by_key(kA)->ports().unpack(), (PortMap{{81, 0}}));
}

TEST_F(StoreTest, OneBatchInAnyOrder) {
  for (int i = 0; i < 25; ++i) add("early" + std::to_string(i), {{kA, {{80, 8080}}}});
  store_.upsert_service(service("a", {"10.0.0.1"}));
  for (int i = 0; i < 25; ++i) add("late" + std::to_string(i), {{kA, {{80, 8080}}}});
  const auto snapshot = store_.commit();
  EXPECT_EQ(snapshot->service_by_key(kA)->endpoint_count(), 50U);
  EXPECT_EQ(snapshot->service_by_vip("", ip("10.0.0.1"), {})->endpoint_count(), 50U);
  EXPECT_TRUE(snapshot->staged_services().empty());
}

// A push repeats many resources that did not change; the service with its endpoints must not be
// copied for it.
TEST_F(StoreTest, UnchangedEndpointsKeepTheServiceAsItIs) {
  store_.upsert_service(service("a", {}));
  add("w", {{kA, {{80, 8080}}}});
  const auto before = store_.commit()->service_by_key(kA);
  add("w", {{kA, {{80, 8080}}}});
  EXPECT_EQ(store_.commit()->service_by_key(kA), before);
  add("w", {{kA, {{80, 8081}}}});
  EXPECT_NE(store_.commit()->service_by_key(kA), before);
}

TEST_F(StoreTest, WorkloadUpdateMovesBetweenServices) {
  store_.upsert_service(service("a", {}));
  store_.upsert_service(service("b", {}));
  add("w", {{kA, {{80, 8080}}}});
  EXPECT_EQ(endpoints(kA), "w");
  EXPECT_EQ(endpoints(kB), "");
  add("w", {{kB, {{80, 8080}}}});
  EXPECT_EQ(endpoints(kA), "");
  EXPECT_EQ(endpoints(kB), "w");
  EXPECT_TRUE(store_.remove_address(uid("w")));
  EXPECT_EQ(endpoints(kB), "");
}

TEST_F(StoreTest, LocalWorkloadsNameTheirServicesOnlyInThePorts) {
  store_.upsert_service(service("a", {}));
  store_.upsert_workload(pod("w", {}), {{kA, {{80, 8080}}}});
  EXPECT_EQ(endpoints(kA), "w");
  EXPECT_TRUE(store_.current()->workload_by_uid(uid("w"))->service_count() == 0);
  store_.upsert_workload(pod("w", {}), {{kB, {{80, 8080}}}});
  EXPECT_EQ(endpoints(kA), "");
  EXPECT_EQ(staged(), 1U);
  store_.remove_address(uid("w"));
  EXPECT_EQ(staged(), 0U);
}

TEST_F(StoreTest, RemovalAndReturnInOneBatch) {
  store_.upsert_service(service("a", {"10.0.0.1"}));
  add("w", {{kA, {{80, 8080}}}});
  store_.commit();
  store_.remove_address(uid("w"));
  add("w", {{kA, {{80, 8081}}}});
  EXPECT_EQ(endpoints(kA), "w");
  store_.remove_address("ns/a.ns.svc");
  store_.upsert_service(service("a", {"10.0.0.2"}));
  EXPECT_EQ(endpoints(kA), "");
  EXPECT_EQ(store_.current()->service_by_vip("", ip("10.0.0.1"), {}), nullptr);
  EXPECT_NE(store_.current()->service_by_vip("", ip("10.0.0.2"), {}), nullptr);
}

TEST_F(StoreTest, RemovingAServiceForgetsItsEndpoints) {
  store_.upsert_service(service("a", {}));
  add("w", {{kA, {{80, 8080}}}});
  EXPECT_TRUE(store_.remove_address("ns/a.ns.svc"));
  EXPECT_EQ(endpoints(kA), "-");
  store_.upsert_service(service("a", {}));
  EXPECT_EQ(endpoints(kA), "");
  add("w", {{kA, {{80, 8080}}}});  // resent
  EXPECT_EQ(endpoints(kA), "w");
}

TEST_F(StoreTest, RemovingAnUnknownServiceDropsWhatIsStaged) {
  add("w", {{kA, {{80, 8080}}}});
  EXPECT_FALSE(store_.remove_address("ns/a.ns.svc"));
  EXPECT_EQ(staged(), 0U);
}

TEST_F(StoreTest, UnknownRemovalsChangeNothing) {
  add("w", {});
  for (const char* name : {"", "w", "ns/unknown", "cluster1//Pod/ns/gone", "/", "//"}) {
    EXPECT_FALSE(store_.remove_address(name)) << name;
  }
  EXPECT_EQ(store_.commit()->workloads().size(), 1U);
}

// Istio's ztunnel forgets unhealthy endpoints, so a later AllowAll does not bring them back.
TEST_F(StoreTest, UnhealthyEndpointsAreKeptAndServedByPolicy) {
  auto target = service("a", {});
  add("w", {{kA, {{80, 8080}}}}, Health::kUnhealthy);  // staged
  store_.upsert_service(target);
  EXPECT_EQ(endpoints(kA), "w(unhealthy)");
  const auto serves = [&] {
    const auto found = store_.commit()->service_by_key(kA);
    return found->serves(found->find_endpoint(uid("w")).value());
  };
  EXPECT_FALSE(serves());
  target.load_balancer = LoadBalancer{{}, LoadBalancerMode::kStandard, HealthPolicy::kAllowAll};
  store_.upsert_service(target);
  EXPECT_TRUE(serves());
  target.load_balancer->health_policy = HealthPolicy::kOnlyHealthy;
  store_.upsert_service(target);
  EXPECT_FALSE(serves());
  target.load_balancer->health_policy = HealthPolicy::kAllowAll;
  store_.upsert_service(target);
  EXPECT_TRUE(serves());
  add("w", {{kA, {{80, 8080}}}});
  target.load_balancer.reset();
  store_.upsert_service(target);
  EXPECT_TRUE(serves());
  EXPECT_EQ(endpoints(kA), "w");
}

TEST_F(StoreTest, ExplicitEndpointsJoinStagedOnes) {
  add("w", {{kA, {{80, 8080}}}});
  auto local = service("a", {});
  local.endpoints["x"] = {"x", {{80, 1}}, Health::kHealthy};
  store_.upsert_service(local);
  EXPECT_EQ(endpoints(kA), "wx");
}

TEST_F(StoreTest, ClearTakesEverythingOut) {
  store_.upsert_service(service("a", {"10.0.0.1"}));
  add("w", {{kA, {{80, 8080}}}, {kB, {{80, 8080}}}});
  Policy policy;
  policy.name = "p";
  store_.upsert_policy(policy);
  const auto before = store_.commit();
  store_.clear();
  const auto after = store_.commit();
  EXPECT_TRUE(after->workloads().empty());
  EXPECT_TRUE(after->services().empty());
  EXPECT_TRUE(after->policies().empty());
  EXPECT_TRUE(after->staged_services().empty());
  EXPECT_EQ(after->version(), before->version() + 1);
  EXPECT_EQ(after->policy_version(), before->policy_version() + 1);
  EXPECT_EQ(before->workloads().size(), 1U);
  EXPECT_EQ(before->services().size(), 1U);
}

TEST_F(StoreTest, ClearKeepsTheNode) {
  Store store("node1");
  store.clear();
  store.upsert_workload(pod("w", {}), {});
  EXPECT_EQ(store.commit()->local_workload("w", "ns", "default"), nullptr);
}

// A mesh of some size, changed one workload at a time: each commit must cost what changed, not what
// is there.
TEST_F(StoreTest, ManySmallCommitsShareTheirMemory) {
  constexpr int kWorkloads = 5000;
  for (int i = 0; i < kWorkloads; ++i) add("w" + std::to_string(i), {});
  const auto before = store_.commit();
  add("w17", {}, Health::kUnhealthy);
  const auto after = store_.commit();
  int moved = 0;
  for (int i = 0; i < kWorkloads; ++i) {
    const auto name = uid("w" + std::to_string(i));
    if (before->workload_by_uid(name) != after->workload_by_uid(name)) ++moved;
  }
  EXPECT_EQ(moved, 1);
}

TEST(SnapshotTest, EmptyAnswersEverything) {
  const Snapshot empty;
  EXPECT_EQ(empty.workload_by_uid("x"), nullptr);
  EXPECT_EQ(empty.workload_by_address("", ip("10.0.0.1")), nullptr);
  EXPECT_EQ(empty.local_workload("a", "b", "c"), nullptr);
  EXPECT_EQ(empty.service_by_vip("", ip("10.0.0.1"), "ns"), nullptr);
  EXPECT_EQ(empty.service_by_host("h", "ns"), nullptr);
  EXPECT_TRUE(empty.services_by_host("h").empty());
  EXPECT_TRUE(empty.workloads().empty() && empty.services().empty() && empty.policies().empty());
  EXPECT_TRUE(empty.staged_services().empty());
  EXPECT_TRUE(
      empty.policies_for(*Workload::make({}), PolicyQuery(nullptr, 80), nullptr).policies.empty());
  EXPECT_EQ(empty.version(), 0U);
}

}  // namespace
}  // namespace culvert::state
