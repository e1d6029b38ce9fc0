#include "ztunnel/memory.h"

#include <fmt/format.h>

#include <string_view>

namespace culvert::ztunnel {
namespace {

constexpr std::array<std::string_view, 3> kScopes = {"workload", "process", "memory"};
constexpr std::array<std::string_view, 3> kWhats = {"connection", "stream", "tunnel"};

}  // namespace

Memory::Memory(const Config::Memory& config)
    : process_("the process", config.budget), workload_budget_(config.workload_budget) {}

std::shared_ptr<MemoryAccount> Memory::workload(const PodInfo& pod) {
  const std::lock_guard lock(mutex_);
  std::erase_if(workloads_, [](const auto& entry) { return entry.second.expired(); });
  auto& known = workloads_[{pod.namespace_, pod.name}];
  auto account = known.lock();
  if (account == nullptr) {
    account = std::make_shared<MemoryAccount>(
        fmt::format("workload {}/{}", pod.namespace_, pod.name), workload_budget_, &process_);
    known = account;
  }
  return account;
}

bool Memory::spares(const MemoryAccount& workload) const {
  const uint64_t budget = process_.budget();
  return !process_.pressure() && workload.held() <= budget / kFairShare &&
         process_.held() <= budget - budget / kRest;
}

std::optional<Error> Memory::shed(const MemoryAccount& workload, Shed what) {
  const MemoryAccount* full = workload.full();
  if (full == nullptr || (full == &process_ && spares(workload))) return std::nullopt;
  Scope scope = full == &process_ ? Scope::kProcess : Scope::kWorkload;
  std::string_view advice =
      "find who of its connections does not read, or raise CULVERT_WORKLOAD_MEMORY_BUDGET";
  if (scope == Scope::kProcess) advice = "raise CULVERT_MEMORY_BUDGET and the memory limit";
  if (full->pressure()) {
    scope = Scope::kMemory;
    advice = "raise the memory limit";
  }
  shed_[static_cast<size_t>(scope)][static_cast<size_t>(what)].fetch_add(1,
                                                                         std::memory_order_relaxed);
  Error error = full->used_up();
  error.context += fmt::format("; {}", advice);
  return error;
}

Memory::Samples Memory::workload_samples(const std::vector<std::string>& names,
                                         metrics::Registry::Sample (*read)(const MemoryAccount&)) {
  Samples samples;
  const std::lock_guard lock(mutex_);
  for (const auto& [pod, weak] : workloads_) {
    const auto account = weak.lock();
    if (account == nullptr) continue;
    const std::array<std::string_view, 2> values{pod.first, pod.second};
    samples.push_back(read(*account));
    samples.back().labels = metrics::Labels::make(names, values);
  }
  return samples;
}

Memory::Samples Memory::shed_samples(const std::vector<std::string>& names) const {
  Samples samples;
  for (size_t scope = 0; scope < kScopes.size(); ++scope) {
    for (size_t what = 0; what < kWhats.size(); ++what) {
      const std::array<std::string_view, 2> values{kScopes[scope], kWhats[what]};
      samples.push_back({.labels = metrics::Labels::make(names, values),
                         .count = shed_[scope][what].load(std::memory_order_relaxed)});
    }
  }
  return samples;
}

void Memory::register_metrics(metrics::Registry& registry) {
  metrics::FamilySpec held;
  held.name = "culvert_workload_memory_held_bytes";
  held.help = "Memory that is held for connections of a pod that do not read (unstable).";
  held.type = metrics::Type::kGauge;
  held.labels = {"namespace", "pod"};
  held.unit = "bytes";
  registry.add_callback(held, [this, names = held.labels] {
    return workload_samples(names, [](const MemoryAccount& account) {
      return metrics::Registry::Sample{.gauge = static_cast<int64_t>(account.held())};
    });
  });
  metrics::FamilySpec resets;
  resets.name = "culvert_workload_memory_resets";
  resets.help =
      "What was reset of a pod because it would have held more memory than a budget allows "
      "(unstable).";
  resets.labels = held.labels;
  registry.add_callback(resets, [this, names = resets.labels] {
    return workload_samples(names, [](const MemoryAccount& account) {
      return metrics::Registry::Sample{.count = account.refusals()};
    });
  });
  metrics::FamilySpec shed;
  shed.name = "culvert_shed";
  shed.help = "What was refused because memory is short, and whose (unstable).";
  shed.labels = {"scope", "what"};
  registry.add_callback(shed, [this, names = shed.labels] { return shed_samples(names); });
}

}  // namespace culvert::ztunnel
