#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

// What this process may use of the machine it runs on; asked at start.
namespace culvert {

// CPUs by affinity and cgroup quota; at least 1.
unsigned usable_cpus();

// The CPUs a cgroup v2 "cpu.max" ("max 100000", "250000 100000") grants, rounded up; absent if
// unlimited or not of that form.
std::optional<unsigned> cgroup_cpus(std::string_view cpu_max);

// Memory as the kernel counts it for us.
struct MemoryUse {
  uint64_t used = 0;     // what it cannot take back from us at once; buffers of sockets included
  uint64_t limit = 0;    // the kernel ends us beyond; the machine's memory where there is no limit
  bool limited = false;  // there is one, of our cgroup
  bool operator==(const MemoryUse&) const = default;
};
// Of our cgroup (version 2 or 1), below `cgroups`. Without one: our resident memory, and the
// machine's. Reads files, microseconds; any thread.
MemoryUse memory_use(const std::string& cgroups = "/sys/fs/cgroup");
// The same from the files' texts: current and limit of the group, and what of its memory.stat
// counts as `inactive` ("inactive_file", in version 1 "total_inactive_file"): pages of files that
// nobody uses, which go before anyone is ended. Absent: they are not of that form.
std::optional<MemoryUse> cgroup_memory(std::string_view current, std::string_view limit,
                                       std::string_view stat, std::string_view inactive,
                                       uint64_t machine);

// The soft limit of descriptors becomes the hard one: each connection needs a few, and the soft
// limit is often 1024.
void raise_descriptor_limit();

// Makes large blocks of memory go back to the system when they are freed. By default glibc, once it
// has seen some freed, takes the next ones from heaps that only shrink at their end: a process
// whose peers did not read for a while would keep what it buffered then.
void return_large_blocks();

// Gives memory that was freed back to the system, after work that used much more of it than what
// remains. Takes some milliseconds for each 100 MB; any thread. The end of the heap of a thread
// other than the main one is not reached: large blocks should be returned (see above).
void return_free_memory();

}  // namespace culvert
