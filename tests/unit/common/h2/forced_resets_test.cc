#include "common/h2/forced_resets.h"

#include <gtest/gtest.h>

namespace culvert::h2 {
namespace {

using namespace std::chrono_literals;

// How many more may come at `now`.
int left(ForcedResets resets, Time now) {
  int count = 0;
  while (resets.count(now)) ++count;
  return count;
}

TEST(ForcedResets, TooManyAtOnceAreTooMany) {
  const Time now = Clock::now();
  ForcedResets resets;
  for (int i = 0; i < limits::kForcedResets; ++i) ASSERT_TRUE(resets.count(now));
  EXPECT_FALSE(resets.count(now));
}

TEST(ForcedResets, WhoGivesUpNowAndThenMayGoOnForever) {
  Time now = Clock::now();
  ForcedResets resets;
  for (int i = 0; i < 20 * limits::kForcedResets; ++i, now += 100ms) ASSERT_TRUE(resets.count(now));
}

TEST(ForcedResets, TimeAndGoodStreamsMakeUpForThem) {
  const Time now = Clock::now();
  ForcedResets resets;
  for (int i = 0; i < limits::kForcedResets; ++i) ASSERT_TRUE(resets.count(now));
  EXPECT_EQ(left(resets, now + 99ms), 0);
  EXPECT_EQ(left(resets, now + 250ms), 2);
  EXPECT_EQ(left(resets, now + 1h), limits::kForcedResets);
  resets.ended_well();
  EXPECT_EQ(left(resets, now), 1);
  for (int i = 0; i < 2 * limits::kForcedResets; ++i) resets.ended_well();
  EXPECT_EQ(left(resets, now), limits::kForcedResets);
}

}  // namespace
}  // namespace culvert::h2
