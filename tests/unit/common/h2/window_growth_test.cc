#include "common/h2/window_growth.h"

#include <gtest/gtest.h>

#include <chrono>

namespace culvert::h2 {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr uint32_t kKiB = 1U << 10, kMiB = 1U << 20;

// A connection on which `bytes` come between each PING and its answer.
struct Growing {
  explicit Growing(uint32_t most) : growth(256 * kKiB, most) {}
  // Until the next PING is wanted, then its answer. False: none is wanted within a gigabyte.
  bool round(uint64_t bytes, Duration round_trip) {
    const uint64_t begin = received;
    while (!growth.wants_ping(received))
      if (received += 16 * kKiB; received > begin + (1U << 30)) return false;
    growth.asked(received, now);
    EXPECT_FALSE(growth.wants_ping(received)) << "one at a time";
    now += round_trip;
    received += bytes;
    growth.answered(received, now);
    return true;
  }
  WindowGrowth growth;
  uint64_t received = 0;
  Time now{};
};

TEST(WindowGrowth, DoublesWhileTwoThirdsAreOnTheWay) {
  Growing up(kMiB);
  EXPECT_EQ(up.growth.window(), 256 * kKiB);
  ASSERT_TRUE(up.round(170 * kKiB, milliseconds(1)));
  EXPECT_EQ(up.growth.window(), 256 * kKiB);
  ASSERT_TRUE(up.round(171 * kKiB, milliseconds(1)));
  EXPECT_EQ(up.growth.window(), 512 * kKiB);
}

TEST(WindowGrowth, ReachesItsLimitAndAsksNoMore) {
  Growing up(700 * kKiB);
  ASSERT_TRUE(up.round(256 * kKiB, milliseconds(1)));
  ASSERT_TRUE(up.round(512 * kKiB, milliseconds(1)));
  EXPECT_EQ(up.growth.window(), 700 * kKiB);
  EXPECT_FALSE(up.round(kMiB, milliseconds(1)));
}

TEST(WindowGrowth, AQueueIsNoReasonForMoreThanTwoMegabytes) {
  Growing up(16 * kMiB);
  ASSERT_TRUE(up.round(0, microseconds(100)));  // before the queue
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(up.round(up.growth.window(), milliseconds(5)));
  EXPECT_EQ(up.growth.window(), 2 * kMiB);
}

TEST(WindowGrowth, ALongPathGetsWhatItHolds) {
  Growing up(16 * kMiB);
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(up.round(up.growth.window(), milliseconds(50)));
  EXPECT_EQ(up.growth.window(), 16 * kMiB);
}

TEST(WindowGrowth, TheShortestRoundTripCountsNotTheFirst) {
  Growing up(16 * kMiB);
  ASSERT_TRUE(up.round(256 * kKiB, milliseconds(5)));
  ASSERT_TRUE(up.round(0, microseconds(50)));
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(up.round(up.growth.window(), milliseconds(5)));
  EXPECT_EQ(up.growth.window(), 2 * kMiB);
}

TEST(WindowGrowth, AnAnswerNobodyAskedForChangesNothing) {
  WindowGrowth growth(256 * kKiB, 16 * kMiB);
  growth.answered(100 * kMiB, Time{} + milliseconds(1));
  EXPECT_EQ(growth.window(), 256 * kKiB);
  EXPECT_TRUE(growth.wants_ping(0));
}

TEST(WindowGrowth, AnAnswerWithinTheClocksGrainIsNoDivisionByZero) {
  Growing up(16 * kMiB);
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(up.round(up.growth.window(), Duration(0)));
  EXPECT_EQ(up.growth.window(), 16 * kMiB);  // the path is as short as the queue
}

}  // namespace
}  // namespace culvert::h2
