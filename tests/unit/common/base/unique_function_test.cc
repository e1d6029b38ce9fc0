#include "common/base/unique_function.h"

#include <gtest/gtest.h>

#include <memory>
#include <utility>

namespace culvert {
namespace {

TEST(UniqueFunction, CallsAndReturns) {
  UniqueFunction<int(int, int)> add = [](int a, int b) { return a + b; };
  EXPECT_EQ(add(2, 3), 5);
}

TEST(UniqueFunction, HoldsMoveOnlyThings) {
  UniqueFunction<int()> read = [value = std::make_unique<int>(9)] { return *value; };
  UniqueFunction<int()> moved = std::move(read);
  EXPECT_EQ(moved(), 9);
  EXPECT_FALSE(read);  // NOLINT(bugprone-use-after-move): empty is the promise
}

TEST(UniqueFunction, EmptyIsFalse) {
  const UniqueFunction<void()> empty;
  EXPECT_FALSE(empty);
}

TEST(UniqueFunction, PassesMoveOnlyArgumentsAndKeepsState) {
  UniqueFunction<int(std::unique_ptr<int>)> sum = [total = 0](std::unique_ptr<int> n) mutable {
    return total += *n;
  };
  EXPECT_EQ(sum(std::make_unique<int>(4)), 4);
  EXPECT_EQ(sum(std::make_unique<int>(5)), 9);
}

TEST(UniqueFunction, DestroysWhatItHolds) {
  auto witness = std::make_shared<int>(1);
  {
    UniqueFunction<void()> holder = [witness] {};
    EXPECT_EQ(witness.use_count(), 2);
  }
  EXPECT_EQ(witness.use_count(), 1);
}

}  // namespace
}  // namespace culvert
