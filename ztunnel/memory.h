#pragma once

#include "common/base/memory_account.h"
#include "common/metrics/registry.h"
#include "ztunnel/config.h"
#include "ztunnel/pod.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace culvert::ztunnel {

// What is refused while memory is short.
enum class Shed : uint8_t {
  kConnection,  // outgoing, or incoming as plain text: reset
  kStream,      // a CONNECT: answered 503
  kTunnel,      // reset before its handshake
};

// The memory accounts of the process and of the pods it serves, and who is turned away because of
// them. Any thread; the one thing all workers share that changes.
class Memory {
 public:
  explicit Memory(const Config::Memory& config);

  [[nodiscard]] MemoryAccount& process() { return process_; }
  // The account of a pod, the same for all who ask while somebody has it: its proxies on all
  // workers, and those of an older generation that still drain. Outlived by this.
  std::shared_ptr<MemoryAccount> workload(const PodInfo& pod);
  // Why something new of `workload` is to be refused; it is counted. Nothing: it is not. When the
  // process's budget is full (MemoryAccount::full) it is for those who fill it: a workload that has
  // little of it (kFairShare) is refused only when hardly anything is left (kRest).
  std::optional<Error> shed(const MemoryAccount& workload, Shed what);
  // culvert_workload_memory_held_bytes, culvert_workload_memory_resets_total and
  // culvert_shed_total, read when scraped; outlives `registry`'s use.
  void register_metrics(metrics::Registry& registry);

 private:
  enum class Scope : uint8_t { kWorkload, kProcess, kMemory };
  // Parts of the process's budget: one in so many.
  static constexpr uint64_t kFairShare = 16, kRest = 16;
  [[nodiscard]] bool spares(const MemoryAccount& workload) const;
  using Samples = std::vector<metrics::Registry::Sample>;
  // One for each pod that is served, by `read`.
  [[nodiscard]] Samples workload_samples(const std::vector<std::string>& names,
                                         metrics::Registry::Sample (*read)(const MemoryAccount&));
  [[nodiscard]] Samples shed_samples(const std::vector<std::string>& names) const;

  MemoryAccount process_;
  const uint64_t workload_budget_;
  std::array<std::array<std::atomic<uint64_t>, 3>, 3> shed_{};  // by scope and what
  std::mutex mutex_;  // control and admin threads; no connection takes it
  std::map<std::pair<std::string, std::string>, std::weak_ptr<MemoryAccount>> workloads_;
};

}  // namespace culvert::ztunnel
