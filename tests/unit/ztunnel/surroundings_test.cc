#include "ztunnel/surroundings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace culvert::ztunnel {
namespace {

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
