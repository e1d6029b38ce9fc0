#include "ztunnel/inpod/backoff.h"

#include <gtest/gtest.h>

namespace culvert::ztunnel::inpod {
namespace {

using std::chrono::milliseconds, std::chrono::seconds;

TEST(Backoff, DoublesUpToItsCapAndStaysThere) {
  Backoff backoff(milliseconds(20), milliseconds(100));
  for (const int expected : {20, 40, 80, 100, 100, 100})
    EXPECT_EQ(backoff.next(), milliseconds(expected));
  for (int i = 0; i < 1000; ++i) backoff.next();  // must not overflow
  EXPECT_EQ(backoff.next(), milliseconds(100));
}

TEST(Backoff, ResetStartsOver) {
  Backoff backoff(milliseconds(5), seconds(15));
  backoff.next();
  backoff.next();
  backoff.reset();
  EXPECT_EQ(backoff.next(), milliseconds(5));
}

TEST(Backoff, ACapBelowTheFirstDelayWins) {
  Backoff backoff(seconds(5), seconds(1));
  EXPECT_EQ(backoff.next(), seconds(1));
}

TEST(Backoff, IsReadableInALogLine) {
  EXPECT_EQ(to_text(milliseconds(20)), "20ms");
  EXPECT_EQ(to_text(milliseconds(1280)), "1.28s");
  EXPECT_EQ(to_text(seconds(15)), "15s");
}

}  // namespace
}  // namespace culvert::ztunnel::inpod
