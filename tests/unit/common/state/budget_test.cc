// What a large mesh costs, in bytes that are allocated and not in time: the same on every machine.
#include "common/state/balance.h"
#include "common/state/store.h"
#include "tests/support/fixed_random.h"
#include "tests/support/state_builders.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<size_t> live_bytes{0};       // as the allocator counts them, without its own headers
std::atomic<size_t> allocated_bytes{0};  // ever

void* counted(size_t size) {
  void* memory = std::malloc(size);
  if (memory == nullptr) throw std::bad_alloc();
  const size_t usable = ::malloc_usable_size(memory);
  live_bytes += usable;
  allocated_bytes += usable;
  return memory;
}

void uncounted(void* memory) {
  live_bytes -= ::malloc_usable_size(memory);
  std::free(memory);
}

}  // namespace

// All of this program's C++ allocations.
void* operator new(size_t size) { return counted(size); }
void* operator new[](size_t size) { return counted(size); }
void operator delete(void* memory) noexcept { uncounted(memory); }
void operator delete[](void* memory) noexcept { uncounted(memory); }
void operator delete(void* memory, size_t) noexcept { uncounted(memory); }
void operator delete[](void* memory, size_t) noexcept { uncounted(memory); }

namespace culvert::state {
namespace {

constexpr size_t kHeader = 8;  // of the allocator, for each allocation

class BudgetTest : public testing::Test {
 protected:
  // The i-th pod of a mesh with twenty pods in each deployment, and two hundred on each node.
  static WorkloadSpec workload(size_t i, std::string_view generation = "5c6bd") {
    const size_t deployment = i / 20;
    const std::string ns = fmt::format("team-{:03}", deployment % 200);
    WorkloadSpec spec;
    spec.workload_name = fmt::format("shop-backend-{:05}", deployment);
    spec.name = fmt::format("{}-f52jrqw4db-{}{}", spec.workload_name, i % 20, generation);
    spec.uid = fmt::format("cluster1//Pod/{}/{}", ns, spec.name);
    spec.namespace_ = ns;
    const auto byte = [&](unsigned shift) { return static_cast<uint8_t>(i >> shift & 0xff); };
    spec.ips = {net::IpAddress::v4({10, byte(16), byte(8), byte(0)})};
    spec.protocol = Protocol::kHbone;
    spec.trust_domain = "cluster.local";
    spec.service_account = spec.workload_name;
    spec.node = fmt::format("ip-10-0-{}-17.eu-west.compute.internal", i * 7 % 500);
    spec.workload_type = "deployment";
    spec.canonical_name = spec.workload_name;
    spec.canonical_revision = "v1";
    spec.cluster_id = "cluster1";
    spec.locality = {"eu-west", fmt::format("eu-west-1{}", "abc"[i * 7 % 500 % 3]), ""};
    return spec;
  }
  static NamespacedHostname service_of(const WorkloadSpec& spec) {
    return {spec.namespace_,
            fmt::format("{}.{}.svc.cluster.local", spec.workload_name, spec.namespace_)};
  }
  void add(WorkloadSpec spec) {
    const NamespacedHostname key = service_of(spec);
    spec.services = {key};
    store_.upsert_workload(spec, {{key, {{80, 8080}}}});
  }
  void fill(size_t count) {
    for (size_t i = 0; i < count; ++i) {
      const WorkloadSpec spec = workload(i);
      add(spec);
      if (i % 20 != 0) continue;
      ServiceSpec service;
      service.name = spec.workload_name;
      service.namespace_ = spec.namespace_;
      service.hostname = service_of(spec).hostname;
      service.vips = {{"", net::IpAddress::v4({172, 16, static_cast<uint8_t>(i / 20 >> 8 & 0xff),
                                               static_cast<uint8_t>(i / 20 & 0xff)})}};
      service.ports = {{80, 8080}};
      store_.upsert_service(service);
    }
    store_.commit();
  }
  Store store_{"ip-10-0-1-17.eu-west.compute.internal"};
};

TEST_F(BudgetTest, BytesPerWorkload) {
  constexpr size_t kWorkloads = 100'000;
  const size_t before = live_bytes;
  fill(kWorkloads);
  // A workload, its share of a service and of a profile: about 1.6 allocations.
  const double each = static_cast<double>(live_bytes - before) / kWorkloads + 1.6 * kHeader;
  EXPECT_LT(each, 125) << each;
  EXPECT_GT(each, 40) << "is anything counted? " << each;
  EXPECT_EQ(store_.current()->workload_count(), kWorkloads);
}

TEST_F(BudgetTest, OneChangeAmongMany) {
  constexpr size_t kWorkloads = 50'000;
  fill(kWorkloads);
  const auto old = store_.current();
  WorkloadSpec changed = workload(17);
  changed.ips = {test::ip("192.168.0.1")};
  const size_t before = allocated_bytes;
  add(changed);
  const auto now = store_.commit();
  const size_t cost = allocated_bytes - before;
  // Four directories of 1024 shards, five shards, one service with its twenty endpoints.
  EXPECT_LT(cost, 150'000U) << cost;
  EXPECT_EQ(now->workload_by_address("", test::ip("192.168.0.1"))->uid(), changed.uid);
  EXPECT_EQ(old->workload_by_address("", test::ip("192.168.0.1")), nullptr);
}

TEST_F(BudgetTest, ChurnLeavesNothingBehind) {
  constexpr size_t kWorkloads = 4000;
  fill(kWorkloads);
  const auto churn = [&](std::string_view from, std::string_view to) {
    for (size_t i = 0; i < kWorkloads; ++i) {
      ASSERT_TRUE(store_.remove_address(workload(i, from).uid));
      // Another replica set: a new profile for all of them.
      WorkloadSpec spec = workload(i, to);
      spec.canonical_revision = to;
      add(spec);
      if (i % 100 == 0) store_.commit();
    }
    store_.commit();
  };
  churn("5c6bd", "aaaaa");
  const size_t settled = live_bytes;
  churn("aaaaa", "bbbbb");
  churn("bbbbb", "ccccc");
  churn("ccccc", "ddddd");
  EXPECT_LT(live_bytes, settled + settled / 10);
}

TEST_F(BudgetTest, ClearGivesAllBack) {
  const size_t before = live_bytes;
  fill(4000);
  EXPECT_GT(live_bytes, before + 4000 * 40);
  store_.clear();
  store_.commit();
  EXPECT_LT(live_bytes, before + 4096);
}

TEST_F(BudgetTest, PickingAmongManyEndpoints) {
  const NamespacedHostname key{"ns", "big.ns.svc"};
  store_.upsert_service(test::service("big", {"10.1.0.1"}));
  constexpr uint32_t kEndpoints = 10'000;
  for (uint32_t i = 0; i < kEndpoints; ++i) {
    WorkloadSpec spec = test::pod(fmt::format("big-{:05}", i), {"10.0.0.1"});
    spec.capacity = i % 3 + 1;
    store_.upsert_workload(spec, {{key, {{80, 8080}}}});
  }
  const auto mesh = store_.commit();
  const auto service = mesh->service_by_key(key);
  const auto client = Workload::make(test::pod("client", {"10.0.0.2"}));
  test::FixedRandom random({0, 1, 2, 3, 19'998});
  const auto pick = [&] {
    return pick_endpoint(*service, 80, *client, ResolveMode::kStandard, random)->workload->name();
  };
  EXPECT_EQ(pick(), "big-00000");  // finds the candidates out
  const Candidates* known =
      service->picks().find({Candidates::Key::Need::kNothing, 0, client->placement()});
  ASSERT_NE(known, nullptr);
  EXPECT_EQ(known->endpoints.size(), kEndpoints);
  const size_t before = allocated_bytes;
  EXPECT_EQ(pick(), "big-00001");
  EXPECT_EQ(pick(), "big-00001");
  EXPECT_EQ(pick(), "big-00002");
  EXPECT_EQ(pick(), "big-09999");
  // Whoever looks at all endpoints makes a list of them, of 40,000 bytes.
  EXPECT_LT(allocated_bytes - before, 2000U);
  // Another client of any place is served from the same list, as no preference asks where it is.
  auto elsewhere = test::pod("elsewhere", {"10.0.0.3"});
  elsewhere.node = "far";
  EXPECT_EQ(service->picks().find(
                {Candidates::Key::Need::kNothing, 0, Workload::make(elsewhere)->placement()}),
            known);
}

TEST(PickCacheTest, KeepsAFewKinds) {
  const PickCache cache;
  const auto source = Workload::make({});
  for (uint16_t port = 0; port < PickCache::kMaxKinds + 5; ++port) {
    const Candidates::Key key{Candidates::Key::Need::kOwnPort, port, source->placement()};
    EXPECT_EQ(cache.find(key), nullptr);
    auto candidates = std::make_unique<Candidates>();
    candidates->key = key;
    const Candidates* kept = cache.add(candidates);
    ASSERT_NE(kept, nullptr);
    EXPECT_EQ(kept->key, key);
    EXPECT_EQ(cache.find(key), port < PickCache::kMaxKinds ? kept : nullptr);
  }
}

}  // namespace
}  // namespace culvert::state
