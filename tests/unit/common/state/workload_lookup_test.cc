#include "common/state/store.h"
#include "tests/support/state_builders.h"

#include <gtest/gtest.h>

namespace culvert::state {
namespace {

using test::ip;
using test::pod;

TEST(WorkloadLookupTest, FindsByUidAndAddress) {
  Store store("");
  store.upsert_workload(pod("a", {"10.0.0.1", "fd00::1"}), {});
  const auto snapshot = store.commit();
  ASSERT_NE(snapshot->workload_by_uid("cluster1//Pod/ns/a"), nullptr);
  EXPECT_EQ(snapshot->workload_by_address("", ip("10.0.0.1"))->name(), "a");
  EXPECT_EQ(snapshot->workload_by_address("", ip("fd00::1"))->name(), "a");
  EXPECT_EQ(snapshot->workload_by_address("", ip("::ffff:10.0.0.1"))->name(), "a");
  EXPECT_EQ(snapshot->workload_by_uid("x"), nullptr);
  EXPECT_EQ(snapshot->workload_by_address("", ip("10.0.0.2")), nullptr);
  EXPECT_EQ(snapshot->workload_by_address("other", ip("10.0.0.1")), nullptr);
}

TEST(WorkloadLookupTest, AnUpdateMovesAllIndexes) {
  Store store("");
  store.upsert_workload(pod("a", {"10.0.0.1"}), {});
  store.commit();
  auto moved = pod("a", {"10.0.0.2"});
  moved.network = "remote";
  moved.service_account = "other";
  moved.hostname = "a.example.com";
  store.upsert_workload(moved, {});
  auto snapshot = store.commit();
  EXPECT_EQ(snapshot->workloads().size(), 1U);
  EXPECT_EQ(snapshot->workload_by_address("", ip("10.0.0.1")), nullptr);
  EXPECT_NE(snapshot->workload_by_address("remote", ip("10.0.0.2")), nullptr);
  EXPECT_EQ(snapshot->local_workload("a", "ns", "default"), nullptr);
  EXPECT_NE(snapshot->local_workload("a", "ns", "other"), nullptr);
  EXPECT_TRUE(
      std::holds_alternative<WorkloadPtr>(snapshot->find_hostname({"ns", "a.example.com"})));

  EXPECT_TRUE(store.remove_address("cluster1//Pod/ns/a"));
  EXPECT_FALSE(store.remove_address("cluster1//Pod/ns/a"));
  snapshot = store.commit();
  EXPECT_TRUE(snapshot->workloads().empty());
  EXPECT_EQ(snapshot->workload_by_address("remote", ip("10.0.0.2")), nullptr);
  EXPECT_EQ(snapshot->local_workload("a", "ns", "other"), nullptr);
  EXPECT_TRUE(
      std::holds_alternative<std::monostate>(snapshot->find_hostname({"ns", "a.example.com"})));
}

TEST(WorkloadLookupTest, OverlappingIpPrefersPods) {
  Store store("");
  auto plain_pod = pod("plain-pod", {"10.0.0.1"});
  plain_pod.protocol = Protocol::kTcp;
  auto entry = pod("entry", {"10.0.0.1"});
  entry.uid = "cluster1/networking.istio.io/WorkloadEntry/ns/entry";
  auto plain_entry = entry;
  plain_entry.uid = "cluster1/networking.istio.io/WorkloadEntry/ns/plain-entry";
  plain_entry.name = "plain-entry";
  plain_entry.protocol = Protocol::kTcp;
  const auto found = [&] {
    const auto workload = store.commit()->workload_by_address("", ip("10.0.0.1"));
    return workload ? workload->name() : "";
  };

  store.upsert_workload(pod("hbone-pod", {"10.0.0.1"}), {});
  store.upsert_workload(plain_pod, {});
  store.upsert_workload(entry, {});
  store.upsert_workload(plain_entry, {});
  EXPECT_EQ(found(), "hbone-pod");
  store.remove_address("cluster1//Pod/ns/hbone-pod");
  EXPECT_EQ(found(), "plain-pod");
  store.remove_address(plain_pod.uid);
  EXPECT_EQ(found(), "entry");
  // Inserted again: still one of it.
  store.upsert_workload(entry, {});
  EXPECT_EQ(found(), "entry");
  store.remove_address(entry.uid);
  EXPECT_EQ(found(), "plain-entry");
  store.remove_address(plain_entry.uid);
  EXPECT_EQ(found(), "");
}

TEST(WorkloadLookupTest, OfEqualRankTheLastInsertedIsFound) {
  Store store("");
  store.upsert_workload(pod("b", {"10.0.0.1"}), {});
  store.upsert_workload(pod("a", {"10.0.0.1"}), {});
  EXPECT_EQ(store.commit()->workload_by_address("", ip("10.0.0.1"))->name(), "a");
  store.upsert_workload(pod("b", {"10.0.0.1"}), {});
  EXPECT_EQ(store.commit()->workload_by_address("", ip("10.0.0.1"))->name(), "b");
}

TEST(WorkloadLookupTest, AnAddressNamedTwiceCountsOnce) {
  Store store("");
  store.upsert_workload(pod("a", {"10.0.0.1", "10.0.0.1"}), {});
  store.upsert_workload(pod("a", {"10.0.0.2"}), {});
  EXPECT_EQ(store.commit()->workload_by_address("", ip("10.0.0.1")), nullptr);
}

TEST(WorkloadLookupTest, HostNetworkIsNeverFoundByAddress) {
  Store store("");
  auto workload = pod("host", {"192.168.0.1"});
  workload.network_mode = NetworkMode::kHostNetwork;
  store.upsert_workload(workload, {});
  const auto snapshot = store.commit();
  EXPECT_EQ(snapshot->workload_by_address("", ip("192.168.0.1")), nullptr);
  EXPECT_NE(snapshot->workload_by_uid(workload.uid), nullptr);
  EXPECT_NE(snapshot->local_workload("host", "ns", "default"), nullptr);
}

TEST(WorkloadLookupTest, LocalMeansThisNode) {
  Store store("node1");
  auto here = pod("a", {"10.0.0.1"});
  here.node = "node1";
  auto there = pod("b", {"10.0.0.2"});
  there.node = "node2";
  store.upsert_workload(here, {});
  store.upsert_workload(there, {});
  const auto snapshot = store.commit();
  EXPECT_EQ(snapshot->local_workload("a", "ns", "default")->name(), "a");
  EXPECT_EQ(snapshot->local_workload("b", "ns", "default"), nullptr);
  EXPECT_EQ(snapshot->local_workload("a", "other", "default"), nullptr);
  EXPECT_EQ(snapshot->local_workload("a", "ns", "other"), nullptr);
  EXPECT_EQ(snapshot->local_workload("", "ns", "default"), nullptr);
  EXPECT_EQ(snapshot->local_workload("z", "ns", "default"), nullptr);
  store.remove_address(here.uid);
  EXPECT_EQ(store.commit()->local_workload("a", "ns", "default"), nullptr);
}

TEST(WorkloadLookupTest, LocalIgnoresTheTrustDomain) {
  Store store("");
  auto workload = pod("a", {"10.0.0.1"});
  workload.trust_domain = "elsewhere";
  store.upsert_workload(workload, {});
  EXPECT_NE(store.commit()->local_workload("a", "ns", "default"), nullptr);
}

TEST(WorkloadLookupTest, ManyOfOneAccountAreToldApartByName) {
  Store store("");
  for (int i = 0; i < 100; ++i) store.upsert_workload(pod("pod-" + std::to_string(i), {}), {});
  const auto snapshot = store.commit();
  for (int i = 0; i < 100; ++i) {
    const auto name = "pod-" + std::to_string(i);
    EXPECT_EQ(snapshot->local_workload(name, "ns", "default")->name(), name);
  }
}

TEST(WorkloadLookupTest, FindHostnamePrefersServices) {
  Store store("");
  auto workload = pod("a", {"10.0.0.1"});
  workload.hostname = "a.ns.svc";
  store.upsert_workload(workload, {});
  auto snapshot = store.commit();
  EXPECT_TRUE(std::holds_alternative<WorkloadPtr>(snapshot->find_hostname({"ns", "a.ns.svc"})));
  EXPECT_TRUE(std::holds_alternative<std::monostate>(snapshot->find_hostname({"x", "a.ns.svc"})));
  store.upsert_service(test::service("a", {}));
  snapshot = store.commit();
  EXPECT_TRUE(std::holds_alternative<ServicePtr>(snapshot->find_hostname({"ns", "a.ns.svc"})));
}

TEST(WorkloadLookupTest, FindAddressPrefersWorkloads) {
  Store store("");
  store.upsert_service(test::service("s", {"10.0.0.1", "10.0.0.2"}));
  store.upsert_workload(pod("a", {"10.0.0.1"}), {});
  const auto snapshot = store.commit();
  EXPECT_TRUE(std::holds_alternative<WorkloadPtr>(
      snapshot->find_address("", ip("10.0.0.1"), std::nullopt)));
  EXPECT_TRUE(
      std::holds_alternative<ServicePtr>(snapshot->find_address("", ip("10.0.0.2"), std::nullopt)));
  EXPECT_TRUE(std::holds_alternative<std::monostate>(
      snapshot->find_address("", ip("10.0.0.3"), std::nullopt)));
  EXPECT_TRUE(std::holds_alternative<std::monostate>(
      snapshot->find_address("other", ip("10.0.0.1"), std::nullopt)));
}

TEST(WorkloadLookupTest, TablesAreSorted) {
  Store store("");
  for (const char* name : {"c", "a", "b"}) store.upsert_workload(pod(name, {}), {});
  const auto all = store.commit()->workloads();
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[0]->name(), "a");
  EXPECT_EQ(all[2]->name(), "c");
}

}  // namespace
}  // namespace culvert::state
