#include "common/http/headers.h"

#include "common/http/errors.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace culvert::http {
namespace {

std::string dump(const Headers& headers) {
  std::string text;
  headers.for_each([&](const Headers::Field& field) {
    text += std::string(field.name) + "=" + std::string(field.value) + ";";
  });
  return text;
}

TEST(Headers, KeepsOrderAndRepeats) {
  Headers headers;
  ASSERT_TRUE(headers.add("b", "1"));
  ASSERT_TRUE(headers.add("A", "2"));
  ASSERT_TRUE(headers.add("b", "3"));
  EXPECT_EQ(dump(headers), "b=1;a=2;b=3;");
  EXPECT_EQ(headers.size(), 3U);
  EXPECT_EQ(headers.get("B"), "1");
  EXPECT_EQ(headers.get_all("b"), (std::vector<std::string_view>{"1", "3"}));
  EXPECT_EQ(headers.count("b"), 2U);
  EXPECT_EQ(headers.joined("b"), "1,3");
  EXPECT_EQ(headers.get("c"), std::nullopt);
  EXPECT_EQ(headers.joined("c"), "");
}

TEST(Headers, LowersNamesAndRemembersTheirSpelling) {
  Headers headers;
  ASSERT_TRUE(headers.add("X-Request-ID", "1"));
  ASSERT_TRUE(headers.add("plain", "2"));
  EXPECT_EQ(headers[0].name, "x-request-id");
  EXPECT_EQ(headers[0].original_name, "X-Request-ID");
  EXPECT_EQ(headers[1].original_name, "plain");
  EXPECT_EQ(headers[1].value, "2");
}

TEST(Headers, TrimsValues) {
  Headers headers;
  ASSERT_TRUE(headers.add("a", " \t x y\t "));
  ASSERT_TRUE(headers.add("b", " \t"));
  ASSERT_TRUE(headers.set("a", "  z "));
  EXPECT_EQ(dump(headers), "a=z;b=;");
}

TEST(Headers, SetReplacesAllInPlaceOfTheFirst) {
  Headers headers;
  for (const char* name : {"a", "b", "c", "B"}) ASSERT_TRUE(headers.add(name, "old"));
  ASSERT_TRUE(headers.set("B", "new"));
  EXPECT_EQ(dump(headers), "a=old;b=new;c=old;");
  ASSERT_TRUE(headers.set("d", "1"));
  EXPECT_EQ(dump(headers), "a=old;b=new;c=old;d=1;");
}

TEST(Headers, Removes) {
  Headers headers;
  for (const char* name : {"a", "b", "A"}) ASSERT_TRUE(headers.add(name, "1"));
  EXPECT_EQ(headers.remove("A"), 2U);
  EXPECT_EQ(headers.remove("A"), 0U);
  EXPECT_EQ(dump(headers), "b=1;");
  EXPECT_EQ(headers.byte_size(), 1U + 1 + 4);
}

TEST(Headers, RejectsEveryByteThatIsNotInAToken) {
  for (int c = 0; c < 256; ++c) {
    const char byte = static_cast<char>(c);
    const bool token = std::isalnum(c) != 0 ||
                       (c != 0 && std::string("!#$%&'*+-.^_`|~").find(byte) != std::string::npos);
    Headers headers;
    const auto added = headers.add(std::string("a") + byte, "v");
    EXPECT_EQ(added.has_value(), token) << c;
    if (!token) {
      EXPECT_EQ(added.error().code, Errc::kInvalidHeaderName) << c;
      EXPECT_TRUE(headers.empty());
      EXPECT_EQ(headers.byte_size(), 0U);
    }
  }
  Headers headers;
  EXPECT_EQ(headers.add("", "v").error().code, Errc::kInvalidHeaderName);
}

TEST(Headers, RejectsControlCharactersInValuesOnly) {
  for (int c = 0; c < 256; ++c) {
    const bool control = (c < 0x20 && c != '\t') || c == 0x7f;
    Headers headers;
    ASSERT_TRUE(headers.add("seen", "1"));
    const std::string value = std::string("a") + static_cast<char>(c) + "b";
    EXPECT_EQ(headers.add("x", value).has_value(), !control) << c;
    EXPECT_EQ(headers.set("seen", value).has_value(), !control) << c;
    if (control) {
      EXPECT_EQ(dump(headers), "seen=1;");
    }
  }
}

TEST(Headers, FieldLimitIsExact) {
  Headers headers({.max_bytes = 1000, .max_fields = 2});
  ASSERT_TRUE(headers.add("a", "1"));
  ASSERT_TRUE(headers.add("b", "1"));
  EXPECT_EQ(headers.add("c", "1").error().code, Errc::kTooManyHeaders);
  EXPECT_TRUE(headers.set("b", "2"));
  EXPECT_EQ(dump(headers), "a=1;b=2;");
}

TEST(Headers, ByteLimitIsExact) {
  Headers headers({.max_bytes = 20, .max_fields = 10});
  ASSERT_TRUE(headers.add("abc", "123"));
  EXPECT_EQ(headers.add("abcd", "1234").error().code, Errc::kHeadersTooLarge) << "22 bytes";
  ASSERT_TRUE(headers.add("abc", "456")) << "20 bytes";
  EXPECT_EQ(headers.byte_size(), 20U);
  EXPECT_EQ(headers.add("a", "").error().code, Errc::kHeadersTooLarge);
  // Replacing within the limit works on a full head, growing it does not.
  EXPECT_TRUE(headers.set("abc", "12345678901"));
  EXPECT_EQ(headers.set("abc", "12345678901234").error().code, Errc::kHeadersTooLarge);
  EXPECT_EQ(dump(headers), "abc=12345678901;");
}

// Sizes such that the arena moves while a name, and while a value, is stored.
TEST(Headers, AcceptsViewsIntoItself) {
  const std::string long_name(700, 'n'), long_value(700, 'v');
  Headers headers;
  ASSERT_TRUE(headers.add(long_name, long_value));
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(headers.add(headers[0].name, headers[0].value));
  EXPECT_EQ(headers.get_all(long_name),
            std::vector<std::string_view>(101, std::string_view(long_value)));
  ASSERT_TRUE(headers.set("other", headers[0].value));
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(headers.set(headers[0].name, headers[0].value));
  EXPECT_EQ(headers.size(), 2U);
  EXPECT_EQ(headers.get(long_name), long_value);
  EXPECT_EQ(headers.get("other"), long_value);
}

TEST(Headers, StaysSmallUnderManyEdits) {
  Headers headers;
  ASSERT_TRUE(headers.add("keep", "me"));
  for (int i = 0; i < 100000; ++i) ASSERT_TRUE(headers.set("edit", std::string(100, 'x')));
  EXPECT_EQ(headers.get("keep"), "me");
  EXPECT_EQ(headers.byte_size(), 4U + 2 + 4 + 4 + 100 + 4);
}

TEST(Headers, FindsTokensInLists) {
  Headers headers;
  ASSERT_TRUE(headers.add("Connection", "keep-alive , Upgrade,"));
  ASSERT_TRUE(headers.add("connection", "x-foo"));
  for (const char* token : {"Keep-Alive", "upgrade", "X-FOO"}) {
    EXPECT_TRUE(headers.has_token("connection", token)) << token;
  }
  for (const char* token : {"keep", "up grade", "close", "keep-alive , Upgrade"}) {
    EXPECT_FALSE(headers.has_token("connection", token)) << token;
  }
}

TEST(Headers, CopiesAreIndependent) {
  Headers headers;
  ASSERT_TRUE(headers.add("a", "1"));
  Headers copy = headers;
  ASSERT_TRUE(copy.set("a", "2"));
  EXPECT_EQ(headers.get("a"), "1");
  EXPECT_EQ(copy.get("a"), "2");
  headers.clear();
  EXPECT_TRUE(headers.empty());
  ASSERT_TRUE(headers.add("b", "3"));
  EXPECT_EQ(dump(headers), "b=3;");
}

}  // namespace
}  // namespace culvert::http
