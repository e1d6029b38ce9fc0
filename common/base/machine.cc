#include "common/base/machine.h"

#include "common/base/file.h"

#include <malloc.h>
#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <thread>

namespace culvert {
namespace {

std::optional<uint64_t> parse_number(std::string_view text) {
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.begin(), text.end(), value);
  if (error != std::errc() || end != text.end()) return std::nullopt;
  return value;
}

}  // namespace

unsigned usable_cpus() {
  unsigned cpus = std::max(1U, std::thread::hardware_concurrency());
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) {
    cpus = static_cast<unsigned>(std::max(1, CPU_COUNT(&allowed)));
  }
  // A container sees its own cgroup as the root of the hierarchy.
  if (const auto cpu_max = read_file("/sys/fs/cgroup/cpu.max")) {
    if (const auto granted = cgroup_cpus(*cpu_max)) cpus = std::min(cpus, *granted);
  }
  return cpus;
}

std::optional<unsigned> cgroup_cpus(std::string_view cpu_max) {
  const size_t space = cpu_max.find(' ');
  if (space == std::string_view::npos) return std::nullopt;
  std::string_view period_text = cpu_max.substr(space + 1);
  if (period_text.ends_with('\n')) period_text.remove_suffix(1);
  const auto quota = parse_number(cpu_max.substr(0, space));
  const auto period = parse_number(period_text);
  if (!quota || !period || *period == 0) return std::nullopt;
  return static_cast<unsigned>(std::max<uint64_t>(1, (*quota + *period - 1) / *period));
}

void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
}

void return_large_blocks() {
  // Above what one read or one batch of output takes, so that the usual traffic maps nothing.
  constexpr int kLarge = 256 * 1024;
  // A value of its own also ends the threshold's growth. It cannot fail for such a value.
  (void)::mallopt(M_MMAP_THRESHOLD, kLarge);
}

void return_free_memory() { ::malloc_trim(0); }

}  // namespace culvert
