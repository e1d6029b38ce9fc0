#include "waypoint/codec/http2_head.h"

#include <gtest/gtest.h>

#include <set>

namespace culvert::waypoint {
namespace {

constexpr HeadLimits kLimits{1000, 20};

h2::Head head_of(std::vector<h2::Head::Entry> fields) { return {std::move(fields)}; }

TEST(Http2Head, ResponseSizes) {
  const auto parse = [](std::vector<h2::Head::Entry> fields, bool end) {
    return parse_http2_response(head_of(std::move(fields)), end, kLimits);
  };
  auto none = parse({{":status", "204"}}, true);
  ASSERT_TRUE(none);
  EXPECT_EQ(none->head.status, 204);
  EXPECT_EQ(none->size.kind, BodySize::Kind::kNone);
  // The answer to HEAD.
  auto head = parse({{":status", "200"}, {"content-length", "5"}}, true);
  ASSERT_TRUE(head);
  EXPECT_EQ(head->size.kind, BodySize::Kind::kNone);
  EXPECT_EQ(head->head.headers.get("content-length"), "5");
  auto length = parse({{":status", "200"}, {"content-length", "5"}}, false);
  ASSERT_TRUE(length);
  EXPECT_EQ(length->size.kind, BodySize::Kind::kLength);
  EXPECT_EQ(length->size.length, 5U);
  auto unknown = parse({{":status", "200"}}, false);
  ASSERT_TRUE(unknown);
  EXPECT_EQ(unknown->size.kind, BodySize::Kind::kUnknown);
}

TEST(Http2Head, BadResponses) {
  for (const std::string status : {"", "20", "2000", "abc", "101", "099"}) {
    auto parsed = parse_http2_response(head_of({{":status", status}}), true, kLimits);
    ASSERT_FALSE(parsed) << status;
    EXPECT_EQ(parsed.error().code, ExchangeErrc::kBadMessage);
  }
  auto large = parse_http2_response(head_of({{":status", "200"}, {"x", std::string(1000, 'a')}}),
                                    true, kLimits);
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().code, ExchangeErrc::kTooLarge);
}

TEST(Http2Head, RequestAuthorities) {
  const auto parse = [](std::vector<h2::Head::Entry> more) {
    std::vector<h2::Head::Entry> fields{{":method", "GET"}, {":scheme", "https"}, {":path", "/"}};
    for (auto& field : more) fields.push_back(std::move(field));
    return parse_http2_request(head_of(std::move(fields)), true, kLimits);
  };
  auto host = parse({{"host", "a:80"}});
  ASSERT_TRUE(host);
  EXPECT_EQ(host->head.authority, "a:80");
  EXPECT_EQ(host->head.scheme, "https");
  EXPECT_FALSE(host->head.headers.contains("host"));
  auto both = parse({{":authority", "a"}, {"host", "A"}});
  ASSERT_TRUE(both);
  EXPECT_EQ(both->head.authority, "a");
  EXPECT_FALSE(parse({{":authority", "a"}, {"host", "b"}}));
  EXPECT_FALSE(parse({}));
}

TEST(Http2Head, LimitsCountFieldsAndBytes) {
  std::vector<h2::Head::Entry> fields{
      {":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {":authority", "a"}};
  for (int i = 0; i < 20; ++i) fields.push_back({"x" + std::to_string(i), "1"});
  EXPECT_TRUE(parse_http2_request(head_of(fields), true, kLimits));
  const size_t size = wire_size(head_of(fields));
  EXPECT_TRUE(parse_http2_request(head_of(fields), true, {static_cast<uint32_t>(size), 20}));
  EXPECT_FALSE(parse_http2_request(head_of(fields), true, {static_cast<uint32_t>(size - 1), 20}));
  EXPECT_FALSE(parse_http2_request(head_of(fields), true, {1000, 19}));
}

TEST(Http2Head, WebsocketKeys) {
  std::set<std::string> keys;
  for (int i = 0; i < 100; ++i) {
    const std::string key = make_websocket_key();
    EXPECT_EQ(key.size(), 24U);
    EXPECT_EQ(key.substr(22), "==");
    // Six times three bytes are 16: the last digit has four bits that must be zero.
    EXPECT_NE(std::string_view("AQgw").find(key[21]), std::string_view::npos) << key;
    keys.insert(key);
  }
  EXPECT_EQ(keys.size(), 100U);
}

}  // namespace
}  // namespace culvert::waypoint
