#include "common/http/path.h"

#include "common/http/errors.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace culvert::http {
namespace {

std::string normalized(std::string path, PathNormalization mode) {
  auto result = normalize_path(path, mode);
  return result ? path : "error: " + result.error().message();
}

// The four modes beside each other; the first column comes in.
struct Case {
  const char* path;
  const char* base;
  const char* merged;
  const char* decoded;
};

const Case kCases[] = {
    {"/", "/", "/", "/"},
    {"/a/b.html?x=../y", "/a/b.html?x=../y", "/a/b.html?x=../y", "/a/b.html?x=../y"},
    // Dot segments, RFC 3986 section 5.2.4; never above the root.
    {"/a/./b/../c", "/a/c", "/a/c", "/a/c"},
    {"/..", "/", "/", "/"},
    {"/../../a", "/a", "/a", "/a"},
    {"/a/..", "/", "/", "/"},
    {"/a/b/.", "/a/b/", "/a/b/", "/a/b/"},
    {"/a/b/..?q", "/a/?q", "/a/?q", "/a/?q"},
    {"/.a/..b/...", "/.a/..b/...", "/.a/..b/...", "/.a/..b/..."},
    {"/public/./data/abc/../xyz", "/public/data/xyz", "/public/data/xyz", "/public/data/xyz"},
    // Encoded dots are dots.
    {"/a/%2e%2E/admin", "/admin", "/admin", "/admin"},
    {"/a/.%2e/%2e/admin", "/admin", "/admin", "/admin"},
    // Backslashes (CVE-2021-31920).
    {"/some\\data", "/some/data", "/some/data", "/some/data"},
    {"\\da", "/da", "/da", "/da"},
    {"/a\\..\\b", "/b", "/b", "/b"},
    {"/a?b\\c", "/a?b\\c", "/a?b\\c", "/a?b\\c"},
    // Slashes: merged after the dots are resolved, as Envoy does it.
    {"/some//data///abc", "/some//data///abc", "/some/data/abc", "/some/data/abc"},
    {"//admin", "//admin", "/admin", "/admin"},
    {"/a//../b", "/a/b", "/a/b", "/a/b"},
    {"/a/\\b?c//d", "/a//b?c//d", "/a/b?c//d", "/a/b?c//d"},
    // Encoded slashes.
    {"/a%2fb", "/a%2fb", "/a%2fb", "/a/b"},
    {"/a%2F%5c%5Cb", "/a%2F%5c%5Cb", "/a%2F%5c%5Cb", "/a/b"},
    {"/a/..%2f..%2fadmin", "/a/..%2f..%2fadmin", "/a/..%2f..%2fadmin", "/admin"},
    {"/a/%2e%2e%2fadmin", "/a/..%2fadmin", "/a/..%2fadmin", "/admin"},
    {"/some%2fdata/%61%62%63", "/some%2fdata/abc", "/some%2fdata/abc", "/some/data/abc"},
    {"/a?b%2fc", "/a?b%2fc", "/a?b%2fc", "/a?b%2fc"},
    // Unreserved characters are decoded, others stay, nothing is decoded twice.
    {"/%41%7a%30%2d%5f%7E", "/Az0-_~", "/Az0-_~", "/Az0-_~"},
    {"/%20%3f%23%25%ff%3B", "/%20%3f%23%25%ff%3B", "/%20%3f%23%25%ff%3B", "/%20%3f%23%25%ff%3B"},
    {"/%252e%252e/%252f", "/%252e%252e/%252f", "/%252e%252e/%252f", "/%252e%252e/%252f"},
    {"/%2%46", "/%2%46", "/%2%46", "/%2%46"},
    {"/%%32f", "/%%32f", "/%%32f", "/%%32f"},
    {"/100%/%zz/%4", "/100%/%zz/%4", "/100%/%zz/%4", "/100%/%zz/%4"},
    // What browsers encode.
    {"/a\"<>^`{|}", "/a%22%3C%3E%5E%60%7B%7C%7D", "/a%22%3C%3E%5E%60%7B%7C%7D",
     "/a%22%3C%3E%5E%60%7B%7C%7D"},
    // Parameters are part of the segment (CVE-2026-73551): "..;x" is no dot segment.
    {"/a;x/../admin", "/admin", "/admin", "/admin"},
    {"/a/..;x/admin", "/a/..;x/admin", "/a/..;x/admin", "/a/..;x/admin"},
    {"*", "*", "*", "*"},
};

TEST(NormalizePath, Table) {
  for (const Case& test : kCases) {
    if (test.path[0] != '\\') {
      EXPECT_EQ(normalized(test.path, PathNormalization::kNone), test.path);
    }
    EXPECT_EQ(normalized(test.path, PathNormalization::kBase), test.base) << test.path;
    EXPECT_EQ(normalized(test.path, PathNormalization::kMergeSlashes), test.merged) << test.path;
    EXPECT_EQ(normalized(test.path, PathNormalization::kDecodeAndMergeSlashes), test.decoded)
        << test.path;
  }
}

TEST(NormalizePath, RejectsInEveryMode) {
  const std::pair<std::string, Errc> cases[] = {
      {"", Errc::kPathNotAbsolute},
      {"a/b", Errc::kPathNotAbsolute},
      {"?x", Errc::kPathNotAbsolute},
      {"%2fa", Errc::kPathNotAbsolute},
      {"**", Errc::kPathNotAbsolute},
      {"/admin#x", Errc::kPathFragment},
      {"/a?b#c", Errc::kPathFragment},
      {"/a b", Errc::kPathInvalidCharacter},
      {"/a?b c", Errc::kPathInvalidCharacter},
      {"/a\r\nb", Errc::kPathInvalidCharacter},
      {std::string("/a\0b", 4), Errc::kPathInvalidCharacter},
      {"/a\x7f", Errc::kPathInvalidCharacter},
      {"/\xc3\xa4", Errc::kPathInvalidCharacter},
      {"/a%00b", Errc::kPathEncodedNul},
  };
  for (const auto& [path, error] : cases) {
    for (const auto mode :
         {PathNormalization::kNone, PathNormalization::kBase, PathNormalization::kMergeSlashes,
          PathNormalization::kDecodeAndMergeSlashes}) {
      std::string copy = path;
      const auto result = normalize_path(copy, mode);
      ASSERT_FALSE(result) << path;
      EXPECT_EQ(result.error().code, error) << path;
      EXPECT_EQ(http_status(error), 400);
    }
  }
  std::string backslash = "\\a";
  EXPECT_EQ(normalize_path(backslash, PathNormalization::kNone).error().code,
            Errc::kPathNotAbsolute);
  std::string query = "/a?b%00c";
  EXPECT_TRUE(normalize_path(query, PathNormalization::kBase)) << "only paths are interpreted";
}

// The next hop may normalise as well; it must not see another path than our policy did.
TEST(NormalizePath, IsIdempotentOnRandomPaths) {
  std::mt19937 random(7);
  const std::string alphabet = "/%25fFcC2eE.\\;a4?";
  for (int round = 0; round < 200000; ++round) {
    std::string path = "/";
    const size_t size = random() % 16;
    for (size_t i = 0; i < size; ++i) path += alphabet[random() % alphabet.size()];
    for (const auto mode : {PathNormalization::kBase, PathNormalization::kMergeSlashes,
                            PathNormalization::kDecodeAndMergeSlashes}) {
      const std::string once = normalized(path, mode);
      ASSERT_EQ(normalized(once, mode), once) << "from " << path;
      ASSERT_TRUE(once.starts_with('/')) << path;
      const std::string bare(split_path(once).path);
      ASSERT_EQ(bare.find("/../"), std::string::npos) << path;
      if (mode != PathNormalization::kBase) ASSERT_EQ(bare.find("//"), std::string::npos) << path;
    }
  }
}

TEST(SplitPath, AtTheFirstQuestionMark) {
  EXPECT_EQ(split_path("/a").path, "/a");
  EXPECT_EQ(split_path("/a").query, std::nullopt);
  EXPECT_EQ(split_path("/a?").query, "");
  EXPECT_EQ(split_path("/a?b?c").path, "/a");
  EXPECT_EQ(split_path("/a?b?c").query, "b?c");
}

TEST(QueryParameter, FindsAndDecodesTheFirst) {
  const std::string_view query = "&a=1&b&a=2&c%20d=%41%2f+%&=x&e=f=g";
  EXPECT_EQ(query_parameter(query, "a"), "1");
  EXPECT_EQ(query_parameter(query, "b"), "");
  EXPECT_EQ(query_parameter(query, "c d"), "A/+%");
  EXPECT_EQ(query_parameter(query, "e"), "f=g");
  EXPECT_EQ(query_parameter(query, ""), "x");
  EXPECT_EQ(query_parameter(query, "A"), std::nullopt);
  EXPECT_EQ(query_parameter("", ""), std::nullopt);
}

TEST(PercentDecode, Once) {
  EXPECT_EQ(percent_decode("%2541%4"), "%41%4");
  EXPECT_EQ(percent_decode("%00"), std::string(1, '\0'));
}

}  // namespace
}  // namespace culvert::http
