#include "waypoint/model/path_template.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace culvert::waypoint {
namespace {

TEST(PathTemplate, Matches) {
  struct Case {
    const char* pattern;
    std::vector<const char*> yes, no;
  };
  const Case cases[] = {
      {"/t/{*}/x",
       {"/t/a/x", "/t/a.b/x"},
       {"/t/x", "/t//x", "/t/a/b/x", "/t/a/x/", "/t/a/y", "t/a/x"}},
      {"/{*}", {"/a"}, {"/", "/a/", "/a/b", "", "*"}},
      {"/deep/{**}",
       {"/deep/", "/deep/a", "/deep/a/b", "/deep/a/"},
       {"/deep", "/deeper/a", "/x/deep/a"}},
      {"/{**}", {"/", "/a", "/a/b"}, {"", "*", "a"}},
      {"/a/{**}/z", {"/a/b/z", "/a/b/c/z", "/a//z"}, {"/a/z", "/a/b/zz", "/a/b/z/"}},
      {"/a/{*}/{**}", {"/a/b/", "/a/b/c/d"}, {"/a/b", "/a//c"}},
  };
  for (const Case& c : cases) {
    ASSERT_TRUE(PathTemplate::looks_like(c.pattern));
    const auto pattern = PathTemplate::parse(c.pattern);
    ASSERT_TRUE(pattern) << c.pattern;
    for (const char* path : c.yes) EXPECT_TRUE(pattern->matches(path)) << c.pattern << " " << path;
    for (const char* path : c.no) EXPECT_FALSE(pattern->matches(path)) << c.pattern << " " << path;
  }
}

TEST(PathTemplate, RefusesWhatIstioRefuses) {
  for (const char* bad : {"{*}", "/a{*}", "/{*}b", "/{**}/{**}", "/{**}/{*}", "/{*}/*", "/{a}/{*}",
                          "/{*}/a*", "/{***}"}) {
    EXPECT_FALSE(PathTemplate::parse(bad)) << bad;
  }
}

TEST(PathTemplate, OrdinaryPathsAreNotTemplates) {
  for (const char* text : {"/a", "/a*", "*", "/{a}"}) EXPECT_FALSE(PathTemplate::looks_like(text));
}

}  // namespace
}  // namespace culvert::waypoint
