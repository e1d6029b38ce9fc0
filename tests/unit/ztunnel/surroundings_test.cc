#include "ztunnel/surroundings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace culvert::ztunnel {
namespace {

TEST(CgroupCpus, ReadsAQuota) {
  EXPECT_EQ(cgroup_cpus("200000 100000\n"), 2U);
  EXPECT_EQ(cgroup_cpus("250000 100000"), 3U);
  EXPECT_EQ(cgroup_cpus("10000 100000"), 1U);
  for (const char* unlimited : {"max 100000\n", "", "100000", "1 0", "a b", "1 2 3"}) {
    EXPECT_EQ(cgroup_cpus(unlimited), std::nullopt) << unlimited;
  }
}

TEST(Surroundings, HoldWhatThisMachineHas) {
  const char* const argv[] = {"ztunnel", "proxy", "ztunnel"};
  const auto around = read_surroundings(3, argv);
  ASSERT_TRUE(around) << around.error().message();
  EXPECT_THAT(around->args, ::testing::ElementsAre("proxy", "ztunnel"));
  EXPECT_GE(around->cpus, 1U);
  EXPECT_TRUE(around->exists("/proc/self/status"));
  EXPECT_FALSE(around->exists("/proc/self/nosuch"));
  EXPECT_FALSE(
      around->exists(std::string("-----BEGIN CERTIFICATE-----\n") + std::string(5000, 'A')));
}

}  // namespace
}  // namespace culvert::ztunnel
