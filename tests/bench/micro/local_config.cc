#include "common/config/local_config.h"

#include "common/base/check.h"
#include "common/config/yaml_tree.h"
#include "tests/bench/micro/big_mesh.h"

#include <benchmark/benchmark.h>

#include <memory>
#include <string>

// A mesh file of range(0) workloads: parsing it, and all of it until a snapshot shows it.
namespace culvert::config {
namespace {

std::string mesh_text(uint32_t workloads) {
  const bench::Sizes sizes{workloads, 20};
  std::string text = "workloads:\n";
  for (uint32_t i = 0; i < workloads; ++i) {
    const auto spec = bench::workload(i, sizes);
    text += fmt::format(
        "- uid: {}\n  name: {}\n  namespace: {}\n  trustDomain: {}\n  serviceAccount: {}\n"
        "  workloadIps: [{}]\n  protocol: HBONE\n  node: {}\n  workloadName: {}\n"
        "  workloadType: {}\n  canonicalName: {}\n  canonicalRevision: {}\n  clusterId: {}\n"
        "  services: {{{}: {{80: 8080, 9090: 9090}}}}\n",
        spec.uid, spec.name, spec.namespace_, spec.trust_domain, spec.service_account,
        spec.ips[0].to_string(), spec.node, spec.workload_name, spec.workload_type,
        spec.canonical_name, spec.canonical_revision, spec.cluster_id,
        bench::service_key(i / sizes.endpoints_each).to_string());
  }
  text += "services:\n";
  for (uint32_t i = 0; i < sizes.services(); ++i) {
    const auto spec = bench::service(i);
    text += fmt::format(
        "- {{name: {}, namespace: {}, hostname: {}, vips: [/{}], ports: {{80: 8080}}}}\n",
        spec.name, spec.namespace_, spec.hostname, spec.vips[0].ip.to_string());
  }
  return text;
}

void parse_only(benchmark::State& run) {
  const std::string text = mesh_text(static_cast<uint32_t>(run.range(0)));
  const YamlLimits limits{kMaxLocalConfigBytes, kMaxLocalConfigValues, kMaxLocalConfigDepth};
  for (auto unused : run) {
    CULVERT_CHECK(parse_yaml(yaml_input(text), limits,
                             [](std::unique_ptr<YamlBatch> batch) { return batch; }));
  }
  run.SetItemsProcessed(run.iterations() * run.range(0));
}
BENCHMARK(parse_only)->Arg(100'000)->Unit(benchmark::kMillisecond)->MeasureProcessCPUTime();

void load(benchmark::State& run) {
  const std::string text = mesh_text(static_cast<uint32_t>(run.range(0)));
  for (auto unused : run) {
    state::Store store("worker-1");
    CULVERT_CHECK(load_local_config(yaml_input(text), store));
    benchmark::DoNotOptimize(store.commit());
  }
  run.SetItemsProcessed(run.iterations() * run.range(0));
}
BENCHMARK(load)->Arg(100'000)->Unit(benchmark::kMillisecond)->MeasureProcessCPUTime();

}  // namespace
}  // namespace culvert::config
