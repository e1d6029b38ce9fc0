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

// The same as a control plane sends it: in range(1) messages, a commit after each.
void insert_in_messages(benchmark::State& run) {
  const bench::Sizes sizes{static_cast<uint32_t>(run.range(0))};
  const auto each = sizes.workloads / static_cast<uint32_t>(run.range(1));
  for (auto unused : run) {
    std::optional<Store> store(std::in_place, "worker-1");
    for (uint32_t i = 0; i < sizes.services(); ++i) store->upsert_service(bench::service(i));
    for (uint32_t i = 0; i < sizes.workloads; ++i) {
      bench::insert(*store, i, sizes);
      if ((i + 1) % each == 0) store->commit();
    }
    run.PauseTiming();
    store.reset();
    run.ResumeTiming();
  }
  run.SetItemsProcessed(run.iterations() * run.range(0));
}
BENCHMARK(insert_in_messages)
    ->Args({100'000, 1})
    ->Args({100'000, 10})
    ->Args({100'000, 100})
    ->Args({100'000, 1'000})
    ->Unit(benchmark::kMillisecond);

// What of that is making the specs.
void make_specs(benchmark::State& run) {
  const bench::Sizes sizes{static_cast<uint32_t>(run.range(0))};
  for (auto unused : run) {
    for (uint32_t i = 0; i < sizes.workloads; ++i) {
      benchmark::DoNotOptimize(bench::workload(i, sizes));
      benchmark::DoNotOptimize(bench::ports_of(i, sizes));
    }
  }
  run.SetItemsProcessed(run.iterations() * run.range(0));
}
BENCHMARK(make_specs)->Arg(100'000)->Unit(benchmark::kMillisecond);

// range(0) workloads of one service, one service account and one host name, all of this node.
void insert_likes(benchmark::State& run) {
  const auto count = static_cast<uint32_t>(run.range(0));
  const bench::Sizes sizes{.workloads = count, .endpoints_each = count};
  for (auto unused : run) {
    Store store("");
    for (uint32_t i = 0; i < count; ++i) {
      WorkloadSpec spec = bench::workload(i, sizes);
      spec.hostname = "likes.example.com";
      store.upsert_workload(spec, bench::ports_of(i, sizes));
    }
    benchmark::DoNotOptimize(store.commit());
  }
  run.SetItemsProcessed(run.iterations() * run.range(0));
}
BENCHMARK(insert_likes)->Arg(1'000)->Arg(10'000)->Arg(100'000)->Unit(benchmark::kMillisecond);

// A service with range(0) VIPs.
void many_vips(benchmark::State& run) {
  ServiceSpec service = bench::service(0);
  for (int64_t i = 0; i < run.range(0); ++i) {
    service.vips.push_back({"network", bench::service_vip(static_cast<uint32_t>(i))});
  }
  for (auto unused : run) {
    Store store("");
    store.upsert_service(service);
    benchmark::DoNotOptimize(store.commit());
  }
  run.SetItemsProcessed(run.iterations() * run.range(0));
}
BENCHMARK(many_vips)->Arg(100)->Arg(10'000)->Unit(benchmark::kMillisecond);

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
