#include "common/metrics/process.h"

#include <sys/resource.h>

#include <filesystem>
#include <limits>

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

}  // namespace

void register_process_metrics(Registry& registry) {
  registry.add_callback("process_open_fds", "Number of open file descriptors", open_fds);
  registry.add_callback("process_max_fds", "Maximum number of file descriptors", max_fds);
}

}  // namespace culvert::metrics
