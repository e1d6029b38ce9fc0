#include "common/base/error.h"

#include "common/base/result.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace culvert {
namespace {

TEST(Error, OurOwnErrorsNameTheKindThenTheDetails) {
  EXPECT_EQ(Error(Errc::kTimedOut).message(), "timed out");
  EXPECT_EQ(Error(Errc::kTimedOut, "connect 10.0.0.1:80").message(),
            "timed out: connect 10.0.0.1:80");
  EXPECT_EQ(Error(std::error_code(), "only words").message(), "only words");
}

TEST(Error, InvalidIsItsOwnText) {
  EXPECT_EQ(invalid("port must be a number").message(), "port must be a number");
  EXPECT_EQ(Error(Errc::kInvalid).message(), "invalid");
}

TEST(Error, EveryKindHasAText) {
  for (const Errc kind :
       {Errc::kInvalid, Errc::kLimit, Errc::kClosed, Errc::kCancelled, Errc::kTimedOut}) {
    EXPECT_NE(make_error_code(kind).message(), "unknown error");
  }
  EXPECT_STREQ(make_error_code(Errc::kLimit).category().name(), "culvert");
}

TEST(Error, KernelErrorsCompareWithConditions) {
  const Error error = system_error(ECONNREFUSED, "connect");
  EXPECT_EQ(error.code, std::errc::connection_refused);
  EXPECT_EQ(error.message(), "connect: Connection refused");
}

TEST(Result, CarriesAValueOrAnError) {
  const Result<int> good = 7;
  ASSERT_TRUE(good);
  EXPECT_EQ(*good, 7);
  const Result<int> bad = invalid("no number");
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().message(), "no number");
  EXPECT_THROW(static_cast<void>(bad.value()), std::runtime_error);
}

}  // namespace
}  // namespace culvert
