#include "common/base/once_a_second.h"

#include <gtest/gtest.h>

#include <chrono>

namespace culvert {
namespace {

using std::chrono::milliseconds;

TEST(OnceASecond, CountsWhatCameTooEarly) {
  OnceASecond log;
  const Time start{};  // nothing was said before, whatever the clock says
  EXPECT_EQ(log.left_out(start), 0U);
  EXPECT_EQ(log.left_out(start), std::nullopt);
  EXPECT_EQ(log.left_out(start + milliseconds(999)), std::nullopt);
  EXPECT_EQ(log.left_out(start + milliseconds(1000)), 2U);
  EXPECT_EQ(log.left_out(start + milliseconds(1999)), std::nullopt);
  EXPECT_EQ(log.left_out(start + milliseconds(5000)), 1U);
  EXPECT_EQ(log.left_out(start + milliseconds(9000)), 0U);
}

}  // namespace
}  // namespace culvert
