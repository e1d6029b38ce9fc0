#include "common/base/machine.h"

#include "common/base/file.h"

#include <malloc.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <thread>

namespace culvert {
namespace {

template <class Number>
std::optional<uint64_t> parse_number(std::string_view text) {
  Number value = 0;
  const auto [end, error] = std::from_chars(text.begin(), text.end(), value);
  if (error != std::errc() || end != text.end()) return std::nullopt;
  return value;
}

std::string_view line(std::string_view text) { return text.substr(0, text.find('\n')); }

// The number of a line "<key> <number>".
std::optional<uint64_t> stat_value(std::string_view stat, std::string_view key) {
  while (!stat.empty()) {
    const std::string_view first = line(stat);
    stat.remove_prefix(std::min(first.size() + 1, stat.size()));
    if (first.size() > key.size() && first.starts_with(key) && first[key.size()] == ' ')
      return parse_number<uint64_t>(first.substr(key.size() + 1));
  }
  return std::nullopt;
}

uint64_t machine_memory() {
  struct sysinfo info{};
  return ::sysinfo(&info) == 0 ? uint64_t{info.totalram} * info.mem_unit : 0;
}

// "size resident shared …" in pages.
uint64_t resident_memory() {
  const auto statm = read_file("/proc/self/statm");
  if (!statm) return 0;
  std::string_view text = *statm;
  text.remove_prefix(std::min(text.find(' ') + 1, text.size()));
  const auto pages = parse_number<uint64_t>(text.substr(0, text.find(' ')));
  return pages.value_or(0) * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
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
  const auto quota = parse_number<uint32_t>(cpu_max.substr(0, space));
  const auto period = parse_number<uint32_t>(period_text);
  if (!quota || !period || *period == 0) return std::nullopt;
  return static_cast<unsigned>(std::max<uint64_t>(1, (*quota + *period - 1) / *period));
}

std::optional<MemoryUse> cgroup_memory(std::string_view current, std::string_view limit,
                                       std::string_view stat, std::string_view inactive,
                                       uint64_t machine) {
  const auto all = parse_number<uint64_t>(line(current));
  if (!all) return std::nullopt;
  // "max" in version 2, a number beyond all memory in version 1.
  const auto most = parse_number<uint64_t>(line(limit));
  const bool limited = most && *most < machine;
  if (!most && line(limit) != "max") return std::nullopt;
  return MemoryUse{.used = *all - std::min(*all, stat_value(stat, inactive).value_or(0)),
                   .limit = limited ? *most : machine,
                   .limited = limited};
}

MemoryUse memory_use(const std::string& cgroups) {
  struct Version {
    const char *current, *limit, *stat, *inactive;
  };
  // A container sees its own cgroup as the root of the hierarchy; the machine's root has no limit
  // and in version 2 none of these files.
  constexpr Version kVersions[] = {
      {"/memory.current", "/memory.max", "/memory.stat", "inactive_file"},
      {"/memory/memory.usage_in_bytes", "/memory/memory.limit_in_bytes", "/memory/memory.stat",
       "total_inactive_file"}};
  const uint64_t machine = machine_memory();
  for (const Version& version : kVersions) {
    const auto current = read_file(cgroups + version.current);
    const auto limit = read_file(cgroups + version.limit);
    if (!current || !limit) continue;
    const auto stat = read_file(cgroups + version.stat);
    const auto use = cgroup_memory(*current, *limit, stat ? *stat : "", version.inactive, machine);
    if (use && use->limited) return *use;
  }
  return {.used = resident_memory(), .limit = machine};
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
