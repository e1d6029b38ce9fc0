#include "common/base/check.h"
#include "common/state/balance.h"
#include "common/state/random.h"
#include "tests/bench/micro/big_mesh.h"

#include <benchmark/benchmark.h>

#include <optional>
#include <vector>

// What a new connection asks of the mesh's state, and what a change of it costs.
namespace culvert::state {
namespace {

// All of a mesh of range(0) workloads into an empty store, one commit.
void insert_all(benchmark::State& run) {
  const bench::Sizes sizes{static_cast<uint32_t>(run.range(0))};
  for (auto unused : run) {
    std::optional<Store> store(std::in_place, "worker-1");
    bench::fill(*store, sizes);
    run.PauseTiming();
    store.reset();
    run.ResumeTiming();
  }
  run.SetItemsProcessed(run.iterations() * run.range(0));
}
BENCHMARK(insert_all)->Arg(1'000)->Arg(100'000)->Unit(benchmark::kMillisecond);

// One changed workload in a mesh of range(0), made visible.
void change_one(benchmark::State& run) {
  const bench::Sizes sizes{static_cast<uint32_t>(run.range(0))};
  Store store("worker-1");
  bench::fill(store, sizes);
  uint32_t i = 0;
  for (auto unused : run) {
    bench::insert(store, i++ % sizes.workloads, sizes);
    benchmark::DoNotOptimize(store.commit());
  }
}
BENCHMARK(change_one)->Arg(1'000)->Arg(100'000)->Unit(benchmark::kMicrosecond);

void workload_by_address(benchmark::State& run) {
  const bench::Sizes sizes{static_cast<uint32_t>(run.range(0))};
  Store store("worker-1");
  bench::fill(store, sizes);
  const SnapshotPtr snapshot = store.current();
  std::vector<net::IpAddress> addresses;
  addresses.reserve(4096);
  for (uint32_t i = 0; i < 4096; ++i)
    addresses.push_back(bench::pod_ip(i * 7919 % sizes.workloads));
  uint32_t i = 0;
  for (auto unused : run)
    benchmark::DoNotOptimize(snapshot->workload_by_address("", addresses[i++ % addresses.size()]));
}
BENCHMARK(workload_by_address)->Arg(1'000)->Arg(100'000);

// A VIP among range(0) services.
void service_by_vip(benchmark::State& run) {
  const auto count = static_cast<uint32_t>(run.range(0));
  Store store("worker-1");
  for (uint32_t i = 0; i < count; ++i) store.upsert_service(bench::service(i));
  const SnapshotPtr snapshot = store.commit();
  std::vector<net::IpAddress> vips;
  vips.reserve(4096);
  for (uint32_t i = 0; i < 4096; ++i) vips.push_back(bench::service_vip(i * 7919 % count));
  uint32_t i = 0;
  for (auto unused : run)
    benchmark::DoNotOptimize(snapshot->service_by_vip("", vips[i++ % vips.size()], "ns-1"));
}
BENCHMARK(service_by_vip)->Arg(10)->Arg(1'000)->Arg(50'000);

// An address in one of range(0) CIDR VIPs, in none of the exact ones.
void service_by_cidr_vip(benchmark::State& run) {
  const auto count = static_cast<uint32_t>(run.range(0));
  Store store("worker-1");
  for (uint32_t i = 0; i < count; ++i) {
    ServiceSpec service = bench::service(i);
    service.vips.clear();
    service.cidr_vips = {
        {"", net::Cidr::parse(fmt::format("10.{}.{}.0/24", i >> 8, i & 255)).value()}};
    store.upsert_service(service);
  }
  const SnapshotPtr snapshot = store.commit();
  uint32_t i = 0;
  std::vector<net::IpAddress> addresses;
  addresses.reserve(4096);
  for (uint32_t n = 0; n < 4096; ++n)
    addresses.push_back(bench::pod_ip((n * 7919 % count) << 8 | 9));
  for (auto unused : run)
    benchmark::DoNotOptimize(
        snapshot->service_by_vip("", addresses[i++ % addresses.size()], "ns-1"));
}
BENCHMARK(service_by_cidr_vip)->Arg(10)->Arg(1'000);

// From a service's VIP to the endpoint to dial, of range(0).
void load_balance(benchmark::State& run) {
  const auto count = static_cast<uint32_t>(run.range(0));
  const bench::Sizes sizes{.workloads = count, .endpoints_each = count};
  Store store("worker-1");
  bench::fill(store, sizes);
  const SnapshotPtr snapshot = store.current();
  const WorkloadPtr source = Workload::make(bench::workload(0, sizes));
  const net::SocketAddress target{bench::service_vip(0), 80};
  SystemRandom random;
  for (auto unused : run) {
    const auto found =
        find_upstream(*snapshot, "", *source, target, ResolveMode::kStandard, random);
    CULVERT_CHECK(found && *found);
    benchmark::DoNotOptimize(found);
  }
}
BENCHMARK(load_balance)->Arg(1)->Arg(10)->Arg(100)->Arg(1'000)->Arg(10'000);

}  // namespace
}  // namespace culvert::state
