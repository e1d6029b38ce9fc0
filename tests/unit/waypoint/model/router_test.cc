#include "waypoint/model/router.h"

#include "tests/unit/waypoint/support.h"

#include <gtest/gtest.h>

namespace culvert::waypoint {
namespace {

using test::request;

PathMatch path(PathMatch::Kind kind, std::string value) {
  if (kind == PathMatch::Kind::kRegex) return {kind, "", Regex::compile(value).value(), false};
  return {kind, std::move(value), std::nullopt, false};
}

TEST(Router, PathsMatch) {
  using Kind = PathMatch::Kind;
  struct Case {
    PathMatch match;
    std::vector<const char*> yes, no;
  };
  const Case cases[] = {
      {path(Kind::kExact, "/a"), {"/a"}, {"/a/", "/A", "/ab", ""}},
      {path(Kind::kSegmentPrefix, "/"), {"/", "/a", "//"}, {"*", ""}},
      {path(Kind::kSegmentPrefix, "/a"), {"/a", "/a/", "/a/b"}, {"/ab", "/A", "/", "/b/a"}},
      {path(Kind::kSegmentPrefix, "/a/"), {"/a", "/a/", "/a/b"}, {"/ab", "/"}},
      {path(Kind::kPrefix, "/a"), {"/a", "/ab", "/a/b"}, {"/b", "/"}},
      {path(Kind::kRegex, "/re/[0-9]+"), {"/re/1", "/re/22"}, {"/re/", "/re/1/x", "x/re/1"}},
      {{Kind::kExact, "/a", {}, true}, {"/A"}, {"/b"}},
      {{Kind::kSegmentPrefix, "/a", {}, true}, {"/A/b"}, {"/AB"}},
      {{Kind::kPrefix, "/a", {}, true}, {"/AB"}, {"/b"}},
  };
  for (const Case& c : cases) {
    for (const char* text : c.yes)
      EXPECT_TRUE(matches(c.match, text)) << c.match.value << " " << text;
    for (const char* text : c.no)
      EXPECT_FALSE(matches(c.match, text)) << c.match.value << " " << text;
  }
}

TEST(Router, HostsMatchWithoutCaseAndPort) {
  using Kind = HostMatch::Kind;
  struct Case {
    HostMatch match;
    const char* authority;
    bool expected;
  };
  const Case cases[] = {
      {{Kind::kAny, ""}, "", true},
      {{Kind::kExact, "a.example.com"}, "a.example.com", true},
      {{Kind::kExact, "a.example.com"}, "A.Example.COM:8080", true},
      {{Kind::kExact, "a.example.com"}, "a.example.com.", true},
      {{Kind::kExact, "a.example.com"}, "b.a.example.com", false},
      {{Kind::kExact, "a.example.com"}, "", false},
      {{Kind::kSuffix, ".example.com"}, "a.example.com", true},
      {{Kind::kSuffix, ".example.com"}, "a.b.EXAMPLE.com:80", true},
      {{Kind::kSuffix, ".example.com"}, "example.com", false},
      {{Kind::kSuffix, ".example.com"}, "badexample.com", false},
      {{Kind::kExact, "[fd00::1]"}, "[fd00::1]:80", true},
      {{Kind::kExact, "[fd00::1]"}, "[fd00::1]", true},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(matches(c.match, c.authority), c.expected) << c.match.value << " " << c.authority;
  }
}

TEST(Router, HeadersMatch) {
  const auto with = request("GET", "a:80", "/p?q=1",
                            {{"X-Ver", "canary"}, {"x-two", "1"}, {"x-two", "2"}, {"x-empty", ""}});
  const StringMatch regex = StringMatch::matching(Regex::compile("can.*").value());
  struct Case {
    HeaderMatch match;
    bool expected;
  };
  const Case cases[] = {
      {{"x-ver", StringMatch::exact("canary")}, true},
      {{"x-ver", StringMatch::exact("Canary")}, false},
      {{"x-ver", regex}, true},
      {{"x-ver", StringMatch::exact("canary"), true}, false},
      {{"x-ver", StringMatch::exact("other"), true}, true},
      {{"x-two", StringMatch::exact("1")}, false},
      {{"x-two", StringMatch::exact("1,2")}, true},
      {{"x-none", StringMatch::present()}, false},
      {{"x-none", StringMatch::present(), true}, true},
      {{"x-ver", StringMatch::present()}, true},
      {{"x-ver", StringMatch::present(), true}, false},
      {{"x-empty", StringMatch::present()}, true},
      // Absent: no match, inverted or not, unless absence counts as the empty text.
      {{"x-none", StringMatch::exact("a")}, false},
      {{"x-none", StringMatch::exact("a"), true}, false},
      {{"x-none", StringMatch::exact("a"), true, true}, true},
      {{"x-none", StringMatch::exact(""), false, true}, true},
      {{":method", StringMatch::exact("GET")}, true},
      {{":method", StringMatch::exact("get")}, false},
      {{":authority", StringMatch::exact("a:80")}, true},
      {{"host", StringMatch::exact("a:80")}, true},
      {{":scheme", StringMatch::exact("http")}, true},
      {{":path", StringMatch::exact("/p?q=1")}, true},
  };
  for (size_t i = 0; i < std::size(cases); ++i) {
    EXPECT_EQ(matches(cases[i].match, with), cases[i].expected)
        << "case " << i << " " << cases[i].match.name;
  }
}

Route route(std::string name, RouteMatch match) {
  auto rule = std::make_shared<RouteRule>();
  rule->name = std::move(name);
  return {std::move(match), std::move(rule)};
}

std::string routed(const std::vector<Route>& routes, const http::RequestHead& head) {
  const Route* found = match_route(routes, head);
  return found == nullptr ? "404" : found->rule->name;
}

TEST(Router, AllPartsOfAMatchCount) {
  RouteMatch match;
  match.host = {HostMatch::Kind::kExact, "a"};
  match.path = path(PathMatch::Kind::kSegmentPrefix, "/split");
  match.method = "GET";
  match.headers = {{"x-ver", StringMatch::exact("1")}};
  match.query = {{"q", StringMatch::exact("1")}};
  const std::vector<Route> routes = {route("hit", match)};
  const std::vector<std::pair<std::string_view, std::string_view>> v = {{"x-ver", "1"}};
  EXPECT_EQ(routed(routes, request("GET", "a", "/split/x?z=2&q=1", v)), "hit");
  EXPECT_EQ(routed(routes, request("GET", "b", "/split/x?q=1", v)), "404");
  EXPECT_EQ(routed(routes, request("GET", "a", "/splitx?q=1", v)), "404");
  EXPECT_EQ(routed(routes, request("get", "a", "/split?q=1", v)), "404");
  EXPECT_EQ(routed(routes, request("GET", "a", "/split?q=1")), "404");
  EXPECT_EQ(routed(routes, request("GET", "a", "/split?q=2", v)), "404");
  EXPECT_EQ(routed(routes, request("GET", "a", "/split?qq=1", v)), "404");
  // The first parameter of that name.
  EXPECT_EQ(routed(routes, request("GET", "a", "/split?q=2&q=1", v)), "404");
  EXPECT_EQ(routed(routes, request("GET", "a", "/split", v)), "404");
}

TEST(Router, QueryByRegularExpression) {
  RouteMatch match;
  match.query = {{"a", StringMatch::matching(Regex::compile("b+").value())}};
  const std::vector<Route> routes = {route("hit", match)};
  EXPECT_EQ(routed(routes, request("GET", "a", "/?a=bb")), "hit");
  EXPECT_EQ(routed(routes, request("GET", "a", "/?a=bbc")), "404");
  EXPECT_EQ(routed(routes, request("GET", "a", "/?a")), "404");
}

TEST(Router, TheFirstMatchWins) {
  const std::vector<Route> routes = {route("first", {}), route("second", {})};
  EXPECT_EQ(routed(routes, request("GET", "a", "/")), "first");
  EXPECT_EQ(routed({}, request("GET", "a", "/")), "404");
  EXPECT_EQ(routed(routes, request("OPTIONS", "a", "*")), "404");
  EXPECT_EQ(routed(routes, request("CONNECT", "a", "")), "404");
}

TEST(Router, PrecedenceOfGatewayApi) {
  const auto make = [](std::string name, PathMatch p, std::string method, size_t headers,
                       size_t query, HostMatch host) {
    RouteMatch match{std::move(host), std::move(p), std::move(method), {}, {}};
    match.headers.resize(headers);
    match.query.resize(query);
    return route(std::move(name), std::move(match));
  };
  using Kind = PathMatch::Kind;
  const HostMatch any;
  std::vector<Route> routes = {
      make("default", path(Kind::kSegmentPrefix, "/"), "", 0, 0, any),
      make("default 2", path(Kind::kSegmentPrefix, "/"), "", 0, 0, any),
      make("regex", path(Kind::kRegex, "/very/long/regular/expression"), "", 9, 9, any),
      make("prefix", path(Kind::kSegmentPrefix, "/abc"), "", 0, 0, any),
      make("prefix+query", path(Kind::kSegmentPrefix, "/abc"), "", 0, 1, any),
      make("prefix+header", path(Kind::kSegmentPrefix, "/abc"), "", 1, 0, any),
      make("prefix+method", path(Kind::kSegmentPrefix, "/abc"), "GET", 0, 0, any),
      make("long prefix", path(Kind::kSegmentPrefix, "/abc/def"), "", 0, 0, any),
      make("exact", path(Kind::kExact, "/a"), "", 0, 0, any),
      make("wildcard host", path(Kind::kSegmentPrefix, "/"), "", 0, 0,
           {HostMatch::Kind::kSuffix, ".com"}),
      make("long wildcard", path(Kind::kSegmentPrefix, "/"), "", 0, 0,
           {HostMatch::Kind::kSuffix, ".a.com"}),
      make("host", path(Kind::kRegex, "/"), "", 0, 0, {HostMatch::Kind::kExact, "a"}),
  };
  sort_by_precedence(routes);
  std::vector<std::string> order;
  for (const Route& r : routes) order.push_back(r.rule->name);
  EXPECT_EQ(order,
            (std::vector<std::string>{"host", "long wildcard", "wildcard host", "exact",
                                      "long prefix", "prefix+method", "prefix+header",
                                      "prefix+query", "prefix", "default", "default 2", "regex"}));
}

TEST(Router, TargetsByWeight) {
  std::vector<WeightedTarget> targets(2);
  targets[0] = {"a", nullptr, 80, {}, {}};
  targets[1] = {"b", nullptr, 20, {}, {}};
  const auto at = [&](uint64_t point) {
    test::Sequence random({point});
    return choose_target(targets, 100, random)->name;
  };
  EXPECT_EQ(at(0), "a");
  EXPECT_EQ(at(79), "a");
  EXPECT_EQ(at(80), "b");
  EXPECT_EQ(at(99), "b");
  test::Sequence random({0});
  EXPECT_EQ(choose_target({}, 0, random), nullptr);
}

TEST(Router, MirrorsAFraction) {
  const auto upstream = std::make_shared<const Upstream>();
  const auto at = [&](UpstreamPtr to, uint32_t per_million, uint64_t point) {
    test::Sequence random({point});
    return is_mirrored({std::move(to), per_million}, random);
  };
  EXPECT_TRUE(at(upstream, 250'000, 249'999));
  EXPECT_FALSE(at(upstream, 250'000, 250'000));
  EXPECT_FALSE(at(upstream, 0, 0));
  EXPECT_TRUE(at(upstream, 1'000'000, 999'999));
  EXPECT_FALSE(at(nullptr, 1'000'000, 0));
}

}  // namespace
}  // namespace culvert::waypoint
