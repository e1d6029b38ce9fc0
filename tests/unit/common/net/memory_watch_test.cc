#include "common/net/memory_watch.h"

#include "common/base/log.h"
#include "tests/support/loop.h"

#include <gtest/gtest.h>

namespace culvert::net {
namespace {

using namespace std::chrono_literals;

TEST(MemoryWatch, PressureBeginsAbove95PercentAndEndsBelow90) {
  const log::Capture capture;
  Reactor reactor;
  MemoryAccount process("the process", 1 << 20);
  uint64_t used = 0;
  int looks = 0;
  const MemoryWatch watch(
      reactor, process,
      [&] {
        ++looks;
        return MemoryUse{.used = used, .limit = 1000, .limited = true};
      },
      1ms);
  const auto pressure_at = [&](uint64_t now) {
    used = now;
    const int before = looks;
    test::run_until(reactor, [&] { return looks > before; });
    return process.pressure();
  };
  EXPECT_FALSE(pressure_at(950));
  EXPECT_TRUE(pressure_at(951));
  EXPECT_TRUE(pressure_at(1000));
  EXPECT_TRUE(pressure_at(901));
  EXPECT_FALSE(pressure_at(900));
  EXPECT_FALSE(pressure_at(950));
  const auto lines = capture.lines();
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_NE(lines[0].find("951 of 1000 bytes are in use"), std::string::npos);
  EXPECT_NE(lines[1].find("taken again"), std::string::npos);
}

TEST(MemoryWatch, WithoutALimitItDoesNothing) {
  Reactor reactor;
  MemoryAccount process("the process", 1 << 20);
  const MemoryWatch watch(reactor, process, [] { return MemoryUse{.used = 5}; });
  EXPECT_FALSE(process.pressure());
}

}  // namespace
}  // namespace culvert::net
