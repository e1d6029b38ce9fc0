#include "common/base/machine.h"

#include "common/base/file.h"

#include <gtest/gtest.h>

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

TEST(ReadFile, GivesTheContentOrTheReasonWithThePath) {
  EXPECT_NE(read_file("/proc/self/status")->find("Name:"), std::string::npos);
  const auto missing = read_file("/proc/self/nosuch");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, std::errc::no_such_file_or_directory);
  EXPECT_NE(missing.error().message().find("/proc/self/nosuch"), std::string::npos);
}

}  // namespace
}  // namespace culvert
