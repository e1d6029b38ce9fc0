#include "common/base/machine.h"

#include "common/base/file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace culvert {
namespace {

TEST(CgroupCpus, ReadsAQuota) {
  EXPECT_EQ(cgroup_cpus("200000 100000\n"), 2U);
  EXPECT_EQ(cgroup_cpus("250000 100000"), 3U);
  EXPECT_EQ(cgroup_cpus("10000 100000"), 1U);
  for (const char* unlimited : {"max 100000\n", "", "100000", "1 0", "a b", "1 2 3"}) {
    EXPECT_EQ(cgroup_cpus(unlimited), std::nullopt) << unlimited;
  }
}

TEST(UsableCpus, AreAtLeastOne) { EXPECT_GE(usable_cpus(), 1U); }

constexpr uint64_t kMachine = uint64_t{64} << 30;

TEST(CgroupMemory, Version2) {
  const std::string_view stat = "anon 100\nfile 50\ninactive_anon 7\ninactive_file 300\nslab 1\n";
  EXPECT_EQ(cgroup_memory("1000\n", "4096\n", stat, "inactive_file", kMachine),
            (MemoryUse{.used = 700, .limit = 4096, .limited = true}));
  EXPECT_EQ(cgroup_memory("1000\n", "max\n", stat, "inactive_file", kMachine),
            (MemoryUse{.used = 700, .limit = kMachine, .limited = false}));
  // The files are not of one moment.
  EXPECT_EQ(cgroup_memory("200\n", "4096\n", stat, "inactive_file", kMachine)->used, 0U);
  EXPECT_EQ(cgroup_memory("1000\n", "4096\n", "", "inactive_file", kMachine)->used, 1000U);
  for (const char* bad : {"", "x\n", "-1\n", "1 2\n"}) {
    EXPECT_EQ(cgroup_memory(bad, "4096\n", stat, "inactive_file", kMachine), std::nullopt) << bad;
    EXPECT_EQ(cgroup_memory("1000\n", bad, stat, "inactive_file", kMachine), std::nullopt) << bad;
  }
}

TEST(CgroupMemory, Version1HasANumberWhereThereIsNoLimit) {
  const std::string_view stat = "inactive_file 1\ntotal_inactive_file 300\n";
  EXPECT_EQ(cgroup_memory("1000\n", "4096\n", stat, "total_inactive_file", kMachine),
            (MemoryUse{.used = 700, .limit = 4096, .limited = true}));
  EXPECT_EQ(cgroup_memory("1000\n", "9223372036854771712\n", stat, "total_inactive_file", kMachine),
            (MemoryUse{.used = 700, .limit = kMachine, .limited = false}));
}

class CgroupFiles : public testing::Test {
 protected:
  CgroupFiles() : root_(testing::TempDir() + "cgroups") {
    std::filesystem::remove_all(root_);
    std::filesystem::create_directories(root_ + "/memory");
  }
  ~CgroupFiles() override { std::filesystem::remove_all(root_); }
  void write(const std::string& name, std::string_view text) {
    std::ofstream(root_ + "/" + name) << text;
  }
  const std::string root_;
};

TEST_F(CgroupFiles, OfEitherVersionOrNone) {
  const MemoryUse own = memory_use(root_);
  EXPECT_FALSE(own.limited);
  EXPECT_GT(own.used, 100'000U);
  EXPECT_GT(own.limit, own.used);
  write("memory/memory.usage_in_bytes", "5000\n");
  write("memory/memory.limit_in_bytes", "10000\n");
  write("memory/memory.stat", "total_inactive_file 1000\n");
  EXPECT_EQ(memory_use(root_), (MemoryUse{.used = 4000, .limit = 10000, .limited = true}));
  write("memory.current", "6000\n");
  write("memory.max", "20000\n");
  write("memory.stat", "inactive_file 500\n");
  EXPECT_EQ(memory_use(root_), (MemoryUse{.used = 5500, .limit = 20000, .limited = true}));
}

TEST(ReadFile, GivesTheContentOrTheReasonWithThePath) {
  EXPECT_NE(read_file("/proc/self/status")->find("Name:"), std::string::npos);
  const auto missing = read_file("/proc/self/nosuch");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, std::errc::no_such_file_or_directory);
  EXPECT_NE(missing.error().message().find("/proc/self/nosuch"), std::string::npos);
}

}  // namespace
}  // namespace culvert
