#include "waypoint/model/string_match.h"

#include <gtest/gtest.h>

#include <string>

namespace culvert::waypoint {
namespace {

using Kind = StringMatch::Kind;

TEST(StringMatch, KindsMatch) {
  struct Case {
    StringMatch match;
    std::string text;
    bool expected;
  };
  const Case cases[] = {
      {{Kind::kExact, "a", {}, false}, "a", true},
      {{Kind::kExact, "a", {}, false}, "A", false},
      {{Kind::kExact, "a", {}, true}, "A", true},
      {{Kind::kExact, "a", {}, false}, "aa", false},
      {{Kind::kPrefix, "ab", {}, false}, "abc", true},
      {{Kind::kPrefix, "ab", {}, false}, "a", false},
      {{Kind::kPrefix, "ab", {}, true}, "ABC", true},
      {{Kind::kSuffix, "bc", {}, false}, "abc", true},
      {{Kind::kSuffix, "bc", {}, false}, "c", false},
      {{Kind::kSuffix, "bc", {}, true}, "aBC", true},
      {{Kind::kContains, "b", {}, false}, "abc", true},
      {{Kind::kContains, "b", {}, false}, "aBc", false},
      {{Kind::kContains, "b", {}, true}, "aBc", true},
      {{Kind::kPresent, "", {}, false}, "x", true},
      {{Kind::kPresent, "", {}, false}, "", false},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(c.match.matches(c.text), c.expected) << c.match.value << " on " << c.text;
  }
}

TEST(StringMatch, WildcardSpelling) {
  EXPECT_EQ(StringMatch::from_wildcard("*")->kind, Kind::kPresent);
  EXPECT_EQ(StringMatch::from_wildcard("abc*")->kind, Kind::kPrefix);
  EXPECT_EQ(StringMatch::from_wildcard("*abc")->kind, Kind::kSuffix);
  EXPECT_EQ(StringMatch::from_wildcard("*abc")->value, "abc");
  EXPECT_EQ(StringMatch::from_wildcard("abc")->kind, Kind::kExact);
  for (const char* bad : {"", "a*b", "*a*", "**", "a**"}) {
    EXPECT_FALSE(StringMatch::from_wildcard(bad)) << bad;
  }
}

// CVE-2026-39350: a dot in a name is a dot, nothing is ever turned into a regular expression.
TEST(StringMatch, WildcardsAreNotRegularExpressions) {
  EXPECT_FALSE(StringMatch::from_wildcard("a.b")->matches("axb"));
  EXPECT_FALSE(StringMatch::from_wildcard("a.*")->matches("axb"));
  EXPECT_TRUE(StringMatch::from_wildcard("a.*")->matches("a.b"));
}

TEST(Regex, MatchesTheWholeText) {
  const Regex regex = Regex::compile("a+b.*").value();
  EXPECT_TRUE(regex.full_match("aab!"));
  EXPECT_FALSE(regex.full_match("xaab"));
  EXPECT_EQ(regex.pattern(), "a+b.*");
}

// CVE-2026-73552: a byte that is not UTF-8 must not slip past a rule that says "anything under
// /admin".
TEST(Regex, MatchesBytesThatAreNotUtf8) {
  const Regex regex = Regex::compile("/admin/.*").value();
  EXPECT_TRUE(regex.full_match("/admin/\xff\xfe"));
}

TEST(Regex, RefusesWhatCannotBeBounded) {
  EXPECT_TRUE(Regex::compile(std::string(kMaxRegexLength, 'a')));
  EXPECT_FALSE(Regex::compile(std::string(kMaxRegexLength + 1, 'a')));
  EXPECT_FALSE(Regex::compile("(a{1,900}){1,900}"));
  EXPECT_FALSE(Regex::compile("(a{1,100}){1,100}"));
  EXPECT_FALSE(Regex::compile("("));
  EXPECT_FALSE(Regex::compile("(?=x)"));
  EXPECT_FALSE(Regex::compile("caf\xc3\xa9"));
}

TEST(Regex, ReplacesEveryMatch) {
  const Regex regex = Regex::compile("/rr/([0-9]+)").value();
  EXPECT_EQ(regex.replace_all("/rr/1/rr/2", "/x/\\1"), "/x/1/x/2");
  EXPECT_EQ(regex.replace_all("/other", "/x"), "/other");
  EXPECT_TRUE(regex.check_substitution("/x/\\1"));
  EXPECT_FALSE(regex.check_substitution("/x/\\2"));
  EXPECT_FALSE(regex.check_substitution("\\"));
}

}  // namespace
}  // namespace culvert::waypoint
