#include "common/http/message.h"

#include "common/http/errors.h"

#include <gtest/gtest.h>

#include <string>

namespace culvert::http {
namespace {

TEST(Message, StatusText) {
  EXPECT_EQ(status_text(100), "Continue");
  EXPECT_EQ(status_text(200), "OK");
  EXPECT_EQ(status_text(404), "Not Found");
  EXPECT_EQ(status_text(511), "Network Authentication Required");
  for (const int status : {0, 99, 299, 306, 599, -1}) EXPECT_EQ(status_text(status), "Unknown");
}

TEST(Message, MethodsAreUpperCaseTokens) {
  for (const char* method : {"GET", "M-SEARCH", "X_1", "!"}) {
    EXPECT_TRUE(is_valid_method(method)) << method;
  }
  for (const char* method : {"", "get", "Get", "GET ", "G\tT", "G/T", "G\x80"}) {
    EXPECT_FALSE(is_valid_method(method)) << method;
  }
}

TEST(Message, Informational) {
  ResponseHead head;
  for (const int status : {100, 101, 199}) {
    head.status = status;
    EXPECT_TRUE(head.is_informational());
  }
  for (const int status : {0, 99, 200}) {
    head.status = status;
    EXPECT_FALSE(head.is_informational());
  }
}

TEST(Errors, HaveTextsAndStatus) {
  EXPECT_EQ(http_status(Errc::kTooManyHeaders), 431);
  EXPECT_EQ(http_status(Errc::kHeadersTooLarge), 431);
  EXPECT_EQ(http_status(Errc::kInvalidHeaderName), 400);
  EXPECT_EQ(Error(Errc::kPathFragment).message(), "path has a fragment (#)");
}

}  // namespace
}  // namespace culvert::http
