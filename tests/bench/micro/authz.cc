#include "common/authz/evaluate.h"
#include "common/state/store.h"

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <memory>
#include <vector>

// A connection to a workload with range(0) ALLOW policies of which only the last lets it in: those
// that apply are found, and evaluated.
namespace culvert::authz {
namespace {

state::Policy allow(int64_t number) {
  state::PolicyMatch ports;
  ports.destination_ports = {80, 8080, 9090};
  state::Policy policy;
  policy.name = fmt::format("allow-{}", number);
  policy.namespace_ = "demo";
  policy.scope = state::Policy::Scope::kNamespace;
  policy.rules = {{{}, {ports}}};
  return policy;
}

// Each names its client.
state::Policy allow_client(int64_t number) {
  state::PolicyMatch client;
  client.principals = {{state::StringMatch::Kind::kExact,
                        fmt::format("cluster.local/ns/ns-{}/sa/app-{}", number, number)}};
  state::Policy policy = allow(number);
  policy.rules[0][0] = {client};
  return policy;
}

// Each has a range of addresses: there is no way around trying them.
state::Policy allow_range(int64_t number) {
  state::PolicyMatch clients;
  clients.source_ips = {
      net::Cidr::parse(fmt::format("10.{}.{}.0/24", number >> 8, number & 255)).value()};
  state::Policy policy = allow(number);
  policy.rules[0][0] = {clients};
  return policy;
}

void check(benchmark::State& run, state::Policy (*make)(int64_t)) {
  state::Store store("");
  for (int64_t i = 0; i < run.range(0); ++i) store.upsert_policy(make(i));
  const auto snapshot = store.commit();
  state::WorkloadSpec spec;
  spec.namespace_ = "demo";
  const auto workload = state::Workload::make(spec);
  const int64_t last = run.range(0) - 1;
  const Connection connection{
      .source_identity =
          state::Identity{"cluster.local", fmt::format("ns-{}", last), fmt::format("app-{}", last)},
      .source =
          net::SocketAddress::parse(fmt::format("10.{}.{}.3:45678", last >> 8, last & 255)).value(),
      .destination = net::SocketAddress::parse("10.1.2.4:8080").value()};
  for (auto unused : run) {
    const auto selection = snapshot->policies_for(*workload, connection.query(), nullptr);
    const Decision decision = evaluate(selection, connection, nullptr);
    if (!decision.allowed()) run.SkipWithError("not allowed");
  }
}

void rbac(benchmark::State& run) { check(run, allow_client); }
BENCHMARK(rbac)->Arg(1)->Arg(10)->Arg(100)->Arg(1'000);
void rbac_ranges(benchmark::State& run) { check(run, allow_range); }
BENCHMARK(rbac_ranges)->Arg(1)->Arg(1'000);

// One of range(0) policies changes, made visible.
void change_policy(benchmark::State& run) {
  state::Store store("");
  for (int64_t i = 0; i < run.range(0); ++i) store.upsert_policy(allow_client(i));
  store.commit();
  state::Policy changed = allow_client(0);
  for (auto unused : run) {
    changed.dry_run = !changed.dry_run;
    store.upsert_policy(changed);
    benchmark::DoNotOptimize(store.commit());
  }
}
BENCHMARK(change_policy)->Arg(10)->Arg(1'000)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace culvert::authz
