#include "waypoint/model/rewrite.h"

#include "tests/unit/waypoint/support.h"

#include <gtest/gtest.h>

namespace culvert::waypoint {
namespace {

using test::request;
using Kind = PathRewrite::Kind;

PathMatch prefix(std::string value) {
  return {PathMatch::Kind::kSegmentPrefix, std::move(value), {}, false};
}

// The table of Gateway API's HTTPPathModifier.
TEST(Rewrite, PrefixReplacementHandlesSlashes) {
  struct Case {
    const char *path, *prefix, *replacement, *expected;
  };
  const Case cases[] = {
      {"/foo/bar", "/foo", "/xyz", "/xyz/bar"},
      {"/foo/bar", "/foo", "/xyz/", "/xyz/bar"},
      {"/foo/bar", "/foo/", "/xyz", "/xyz/bar"},
      {"/foo/bar", "/foo/", "/xyz/", "/xyz/bar"},
      {"/foo", "/foo", "/xyz", "/xyz"},
      {"/foo/", "/foo", "/xyz", "/xyz/"},
      {"/foo/bar", "/foo", "", "/bar"},
      {"/foo/", "/foo", "", "/"},
      {"/foo", "/foo", "", "/"},
      {"/foo/", "/foo", "/", "/"},
      {"/foo", "/foo", "/", "/"},
      {"/foo", "/foo", "/xyz/", "/xyz/"},
      {"/foo/", "/foo", "/xyz/", "/xyz/"},
      {"/a/b", "/", "/new", "/new/a/b"},
      {"/foo?q=/foo", "/foo", "/xyz", "/xyz?q=/foo"},
      {"/foo/bar?q=1", "/foo", "/", "/bar?q=1"},
      {"/", "/", "/new", "/new/"},
      {"/foo/bar", "/foo", "xyz", "/xyz/bar"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(rewrite_target({Kind::kPrefix, c.replacement, {}}, prefix(c.prefix), c.path),
              c.expected)
        << c.path << " " << c.prefix << " -> " << c.replacement;
  }
}

TEST(Rewrite, FullAndRegexAndNone) {
  EXPECT_EQ(rewrite_target({Kind::kFull, "/fixed", {}}, prefix("/"), "/a/b?q=1"), "/fixed?q=1");
  EXPECT_EQ(rewrite_target({Kind::kFull, "/fixed?v=2", {}}, prefix("/"), "/a?q=1"), "/fixed?v=2");
  const Regex regex = Regex::compile("^/rr/(.*)").value();
  EXPECT_EQ(rewrite_target({Kind::kRegex, "/x/\\1", regex}, prefix("/rr"), "/rr/a/b?q=/rr/1"),
            "/x/a/b?q=/rr/1");
  EXPECT_EQ(rewrite_target({Kind::kRegex, "\\1", regex}, prefix("/rr"), "/rr/a"), "/a");
  EXPECT_EQ(rewrite_target({Kind::kNone, "", {}}, prefix("/"), "/a?q"), "/a?q");
}

TEST(Rewrite, AppliesToTheRequest) {
  Forward forward;
  forward.host_rewrite = "new.example.com";
  forward.path_rewrite = {Kind::kPrefix, "/", {}};
  auto head = request("GET", "old:80", "/rw/a?b");
  apply_rewrites(forward, prefix("/rw"), head);
  EXPECT_EQ(head.authority, "new.example.com");
  EXPECT_EQ(head.path, "/a?b");
  auto same = request("GET", "old:80", "/rw/a?b");
  apply_rewrites(Forward{}, prefix("/rw"), same);
  EXPECT_EQ(same.authority, "old:80");
  EXPECT_EQ(same.path, "/rw/a?b");
}

TEST(Redirect, Locations) {
  struct Case {
    Redirect redirect;
    const char *authority, *path, *expected;
  };
  const PathRewrite none;
  const PathRewrite to_new{Kind::kPrefix, "/new", {}};
  const Case cases[] = {
      {{301, "https", "new.example.com", 8443, to_new, false},
       "a:80",
       "/redir/x?q=1",
       "https://new.example.com:8443/new/x?q=1"},
      {{302, "https", "", {}, none, false}, "a:8080", "/redir?q", "https://a/redir?q"},
      {{302, "https", "", 443, none, false}, "a", "/redir", "https://a/redir"},
      {{302, "http", "", 80, none, false}, "a", "/redir", "http://a/redir"},
      {{302, "https", "", 80, none, false}, "a", "/redir", "https://a:80/redir"},
      {{302, "", "b", {}, none, false}, "a:8080", "/redir", "http://b:8080/redir"},
      {{302, "", "", 8443, none, false}, "a:8080", "/redir", "http://a:8443/redir"},
      {{302, "", "", {}, {Kind::kFull, "/full", {}}, false},
       "a:80",
       "/redir?q=1",
       "http://a/full?q=1"},
      {{302, "", "", {}, none, true}, "a", "/redir?q=1", "http://a/redir"},
      {{302, "", "", {}, none, false}, "[fd00::1]:81", "/", "http://[fd00::1]:81/"},
      // Never a Location that a browser takes for another host.
      {{302, "", "", {}, {Kind::kPrefix, "/", {}}, false},
       "a",
       "/redir//evil.example/x",
       "http://a//evil.example/x"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(redirect_location(c.redirect, prefix("/redir"), request("GET", c.authority, c.path)),
              c.expected);
  }
}

TEST(HeaderOps, RemoveThenSetThenAdd) {
  HeaderOps ops{{"x-rem", "x-both"}, {{"x-set", "s"}}, {{"x-add", "a"}, {"x-both", "new"}}};
  auto head = request("GET", "a", "/",
                      {{"x-rem", "1"},
                       {"X-Rem", "2"},
                       {"x-set", "old"},
                       {"x-set", "older"},
                       {"x-add", "first"},
                       {"x-both", "old"}});
  ASSERT_TRUE(apply(ops, head.headers));
  EXPECT_FALSE(head.headers.contains("x-rem"));
  EXPECT_EQ(head.headers.joined("x-set"), "s");
  EXPECT_EQ(head.headers.joined("x-add"), "first,a");
  EXPECT_EQ(head.headers.joined("x-both"), "new");
}

TEST(HeaderOps, FieldsThatRoutesMayNotTouch) {
  for (const char* name :
       {":path", ":authority", "Host", "connection", "Transfer-Encoding", "content-length",
        "upgrade", "te", "keep-alive", "x-forwarded-client-cert", "trailer"}) {
    EXPECT_TRUE(forbidden_in_header_ops(name)) << name;
  }
  for (const char* name : {"x-a", "authorization", "cookie", "x-forwarded-for"}) {
    EXPECT_FALSE(forbidden_in_header_ops(name)) << name;
  }
}

}  // namespace
}  // namespace culvert::waypoint
