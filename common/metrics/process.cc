#include "common/metrics/process.h"

#include <sys/resource.h>

#include <filesystem>
#include <functional>
#include <limits>
#include <utility>
#include <vector>

namespace culvert::metrics {
namespace {

int64_t open_fds() {
  std::error_code error;
  std::filesystem::directory_iterator entries("/proc/self/fd", error);
  if (error) return 0;
  int64_t count = 0;
  for (; entries != std::filesystem::directory_iterator(); entries.increment(error)) {
    if (error) break;
    ++count;
  }
  return count - 1;  // the descriptor this loop reads from
}

int64_t max_fds() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  constexpr auto kMost = static_cast<rlim_t>(std::numeric_limits<int64_t>::max());
  return static_cast<int64_t>(std::min(limit.rlim_cur, kMost));
}

void add_bytes(Registry& registry, const char* name, const char* help,
               std::function<uint64_t()> read) {
  FamilySpec spec;
  spec.name = name;
  spec.help = help;
  spec.type = Type::kGauge;
  spec.unit = "bytes";
  registry.add_callback(std::move(spec), [read = std::move(read)] {
    return std::vector<Registry::Sample>{{.gauge = static_cast<int64_t>(read())}};
  });
}

}  // namespace

void register_memory_metrics(Registry& registry, const MemoryAccount& process,
                             uint64_t connection_budget) {
  add_bytes(registry, "culvert_memory_budget_bytes",
            "Memory that may be held for those who do not read (unstable).",
            [&process] { return process.budget(); });
  add_bytes(registry, "culvert_memory_held_bytes",
            "Memory that is held for those who do not read (unstable).",
            [&process] { return process.held(); });
  add_bytes(registry, "culvert_connection_memory_budget_bytes",
            "Bytes that may wait for one connection: the largest window of its stream (unstable).",
            [connection_budget] { return connection_budget; });
  registry.add_callback("culvert_memory_pressure",
                        "Whether the memory this process may use is nearly gone (unstable).",
                        [&process] { return int64_t{process.pressure()}; });
  FamilySpec resets;
  resets.name = "culvert_memory_resets";
  resets.help =
      "Streams, tunnels and connections that were reset because they would have held more memory "
      "than a budget allows (unstable).";
  registry.add_callback(std::move(resets), [&process] {
    return std::vector<Registry::Sample>{{.count = process.refusals()}};
  });
}

void register_process_metrics(Registry& registry) {
  registry.add_callback("process_open_fds", "Number of open file descriptors", open_fds);
  registry.add_callback("process_max_fds", "Maximum number of file descriptors", max_fds);
}

}  // namespace culvert::metrics
