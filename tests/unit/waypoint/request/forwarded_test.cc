#include "waypoint/request/forwarded.h"

#include "tests/unit/waypoint/support.h"

#include <gtest/gtest.h>

#include <regex>
#include <set>

namespace culvert::waypoint {
namespace {

using test::ip;
using test::request;

constexpr std::string_view kOwn = "spiffe://cluster.local/ns/demo/sa/waypoint";
constexpr std::string_view kPeer = "spiffe://cluster.local/ns/demo/sa/client";

http::Headers headers_of(const std::vector<std::pair<std::string_view, std::string_view>>& list) {
  return request("GET", "a", "/", list).headers;
}

http::Headers forwarded(http::Headers headers, const Options& options,
                        std::string_view principal = kPeer) {
  test::Seeded random;
  add_forwarding_headers(headers, options, kOwn, {ip("10.244.1.10"), principal, "http"}, random)
      .value();
  return headers;
}

TEST(RequestId, IsARandomUuid) {
  test::Seeded random;
  const std::regex form("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}");
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    const std::string id = make_request_id(random);
    EXPECT_TRUE(std::regex_match(id, form)) << id;
    EXPECT_TRUE(seen.insert(id).second);
  }
  test::Sequence ones({0xffffffff});
  EXPECT_EQ(make_request_id(ones), "ffffffff-ffff-4fff-bfff-ffffffffffff");
  test::Sequence zeros({0});
  EXPECT_EQ(make_request_id(zeros), "00000000-0000-4000-8000-000000000000");
}

TEST(RemoteAddress, IsTheLastEntryOfForwardedFor) {
  struct Case {
    std::vector<std::pair<std::string_view, std::string_view>> headers;
    const char* expected;
  };
  const Case cases[] = {
      {{}, "10.244.1.10"},
      {{{"x-forwarded-for", "192.0.2.1"}}, "192.0.2.1"},
      {{{"x-forwarded-for", "192.0.2.1, 192.0.2.2"}}, "192.0.2.2"},
      {{{"x-forwarded-for", "192.0.2.1"}, {"X-Forwarded-For", "192.0.2.3 "}}, "192.0.2.3"},
      {{{"x-forwarded-for", "192.0.2.1:4711"}}, "192.0.2.1"},
      {{{"x-forwarded-for", "fd00::1"}}, "fd00::1"},
      {{{"x-forwarded-for", "[fd00::1]:80"}}, "fd00::1"},
      {{{"x-forwarded-for", "192.0.2.1, unknown"}}, "10.244.1.10"},
      {{{"x-forwarded-for", "192.0.2.1,"}}, "10.244.1.10"},
      {{{"x-forwarded-for", ""}}, "10.244.1.10"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(remote_address(headers_of(c.headers), ip("10.244.1.10")).to_string(), c.expected);
  }
}

TEST(Forwarded, AppendsToForwardedFor) {
  http::Headers headers =
      headers_of({{"x-forwarded-for", "192.0.2.1"}, {"x-forwarded-for", "192.0.2.2"}});
  ASSERT_TRUE(append_forwarded_for(headers, ip("10.0.0.1")));
  EXPECT_EQ(headers.count("x-forwarded-for"), 1U);
  EXPECT_EQ(headers.get("x-forwarded-for"), "192.0.2.1,192.0.2.2,10.0.0.1");
  http::Headers none;
  ASSERT_TRUE(append_forwarded_for(none, ip("fd00::1")));
  EXPECT_EQ(none.get("x-forwarded-for"), "fd00::1");
}

TEST(Forwarded, XfccValue) {
  EXPECT_EQ(
      xfcc_value(kOwn, kPeer),
      "By=spiffe://cluster.local/ns/demo/sa/waypoint;URI=spiffe://cluster.local/ns/demo/sa/client");
  // A name with a delimiter cannot add an element of its own.
  EXPECT_EQ(xfcc_value("a", "b;URI=c"), "By=a;URI=\"b;URI=c\"");
  EXPECT_EQ(xfcc_value("a", "b\",\\"), "By=a;URI=\"b\\\",\\\\\"");
}

TEST(Forwarded, DefaultsAreIstios) {
  const auto out = forwarded(headers_of({{"x-forwarded-for", "192.0.2.1"},
                                         {"x-forwarded-client-cert", "URI=spiffe://evil"},
                                         {"x-a", "1"}}),
                             {});
  EXPECT_FALSE(out.contains("x-forwarded-client-cert"));
  EXPECT_EQ(out.get("x-forwarded-for"), "192.0.2.1");
  EXPECT_EQ(out.get("x-forwarded-proto"), "http");
  EXPECT_EQ(out.get("x-request-id")->size(), 36U);
  EXPECT_EQ(out.get("x-a"), "1");
}

TEST(Forwarded, KeepsWhatTheClientSaid) {
  const auto out =
      forwarded(headers_of({{"x-request-id", "mine"}, {"x-forwarded-proto", "https"}}), {});
  EXPECT_EQ(out.get("x-request-id"), "mine");
  EXPECT_EQ(out.get("x-forwarded-proto"), "https");
  EXPECT_EQ(forwarded(headers_of({{"x-request-id", ""}}), {}).get("x-request-id")->size(), 36U);
}

TEST(Forwarded, OptionsAddTheClient) {
  Options options;
  options.xff = XffMode::kAppend;
  options.xfcc = XfccMode::kIdentity;
  const auto out = forwarded(headers_of({{"x-forwarded-client-cert", "URI=spiffe://evil"},
                                         {"X-Forwarded-Client-Cert", "URI=spiffe://evil2"}}),
                             options);
  EXPECT_EQ(out.get_all("x-forwarded-client-cert"),
            std::vector<std::string_view>{xfcc_value(kOwn, kPeer)});
  EXPECT_EQ(out.get("x-forwarded-for"), "10.244.1.10");
  EXPECT_FALSE(forwarded({}, options, "").contains("x-forwarded-client-cert"));
}

TEST(Forwarded, ClientsCannotSteerProxies) {
  const auto out = forwarded(headers_of({{"x-envoy-retry-on", "5xx"},
                                         {"x-envoy-max-retries", "100"},
                                         {"X-Envoy-Upstream-Rq-Timeout-Ms", "1"},
                                         {"x-envoy-original-path", "/fake"},
                                         {"x-envoy-internal", "true"}}),
                             {});
  out.for_each([](const http::Headers::Field& field) {
    EXPECT_FALSE(field.name.starts_with("x-envoy")) << field.name;
  });
}

TEST(Forwarded, LimitsOfTheHeadAreErrors) {
  http::Headers full(http::HeaderLimits{.max_bytes = 1000, .max_fields = 1});
  ASSERT_TRUE(full.add("a", "b"));
  test::Seeded random;
  EXPECT_FALSE(add_forwarding_headers(full, {}, kOwn, {ip("10.0.0.1"), kPeer, "http"}, random));
}

}  // namespace
}  // namespace culvert::waypoint
