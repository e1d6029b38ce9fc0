#include "common/h2/head_rules.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace culvert::h2 {
namespace {

using Fields = std::vector<std::pair<std::string, std::string>>;

bool good(HeadKind kind, const Fields& fields) {
  HeadRules rules(kind);
  for (const auto& [name, value] : fields)
    if (!rules.take(name, value)) return false;
  return rules.complete();
}
bool good_with(const std::string& name, const std::string& value) {
  return good(HeadKind::kRequest, {{":method", "CONNECT"}, {":authority", "a:1"}, {name, value}});
}

TEST(HeadRules, Requests) {
  constexpr auto kind = HeadKind::kRequest;
  const Fields connect{{":method", "CONNECT"}, {":authority", "a:1"}};
  const Fields get{{":method", "GET"}, {":scheme", "http"}, {":path", "/"}};
  EXPECT_TRUE(good(kind, connect));
  EXPECT_TRUE(good(kind, {{":authority", "a:1"}, {":method", "CONNECT"}}));
  EXPECT_TRUE(good(kind, get));
  EXPECT_TRUE(
      good(kind, {{":path", "/"}, {":scheme", "http"}, {":authority", "a"}, {":method", "GET"}}));
  EXPECT_FALSE(good(kind, {}));
  EXPECT_FALSE(good(kind, {{":method", "CONNECT"}}));
  EXPECT_FALSE(good(kind, {{":authority", "a:1"}}));
  EXPECT_FALSE(good(kind, {{":method", "GET"}, {":scheme", "http"}}));
  EXPECT_FALSE(good(kind, {{":method", "GET"}, {":path", "/"}}));
  EXPECT_FALSE(good(kind, {{":scheme", "http"}, {":path", "/"}}));
  EXPECT_FALSE(good(kind, {{":method", "CONNECT"}, {":authority", ""}}));
  for (const auto& [name, value] : Fields{{":scheme", "http"},
                                          {":path", "/"},
                                          {":status", "200"},
                                          {":protocol", "websocket"},
                                          {":method", "CONNECT"},
                                          {":authority", "a:1"},
                                          {":", ""},
                                          {":other", "x"}}) {
    Fields first{{name, value}}, last = connect;
    first.insert(first.end(), connect.begin(), connect.end());
    last.emplace_back(name, value);
    EXPECT_FALSE(good(kind, first)) << name;
    EXPECT_FALSE(good(kind, last)) << name;
  }
  EXPECT_FALSE(good(kind, {{":method", "CONNECT"}, {"x", "y"}, {":authority", "a:1"}}));
}

TEST(HeadRules, Responses) {
  constexpr auto kind = HeadKind::kResponse;
  EXPECT_TRUE(good(kind, {{":status", "200"}}));
  EXPECT_TRUE(good(kind, {{":status", "101"}, {"x", "y"}}));
  for (const char* status : {"", "20", "2000", "2x0", " 200", "200 ", "-20", "+20"})
    EXPECT_FALSE(good(kind, {{":status", status}})) << status;
  EXPECT_FALSE(good(kind, {}));
  EXPECT_FALSE(good(kind, {{"x", "y"}}));
  EXPECT_FALSE(good(kind, {{":status", "200"}, {":status", "200"}}));
  EXPECT_FALSE(good(kind, {{"x", "y"}, {":status", "200"}}));
  for (const char* name : {":method", ":authority", ":scheme", ":path", ":protocol"})
    EXPECT_FALSE(good(kind, {{":status", "200"}, {name, "CONNECT"}})) << name;
}

TEST(HeadRules, Trailers) {
  constexpr auto kind = HeadKind::kTrailers;
  EXPECT_TRUE(good(kind, {}));
  EXPECT_TRUE(good(kind, {{"grpc-status", "0"}}));
  for (const char* name : {":status", ":method", ":authority", ":path"})
    EXPECT_FALSE(good(kind, {{name, "200"}})) << name;
}

TEST(HeadRules, Names) {
  EXPECT_TRUE(good_with("x-forwarded-for", "v"));
  EXPECT_TRUE(good_with("!#$%&'*+-.^_`|~09az", "v"));
  EXPECT_FALSE(good_with("", "v"));
  for (int c = 0; c < 256; ++c) {
    const bool token =
        std::string_view("!#$%&'*+-.^_`|~").find(static_cast<char>(c)) != std::string_view::npos ||
        (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z');
    const std::string name = std::string("a") + static_cast<char>(c) + "b";
    // RFC 9113 section 8.2.1 forbids 0x00-0x20, A-Z, 0x7f-0xff and colons; a field name is a token
    // besides (RFC 9110 section 5.1).
    if (token) EXPECT_TRUE(good_with(name, "v")) << c;
    if (c <= 0x20 || (c >= 'A' && c <= 'Z') || c >= 0x7f || c == ':')
      EXPECT_FALSE(good_with(name, "v")) << c;
  }
}

TEST(HeadRules, Values) {
  EXPECT_TRUE(good_with("x", ""));
  EXPECT_TRUE(good_with("x", "a b\tc \xc3\xa4\xff"));
  for (const char c : {'\0', '\n', '\r'}) {
    EXPECT_FALSE(good_with("x", std::string("a") + c + "b")) << static_cast<int>(c);
    EXPECT_FALSE(good(HeadKind::kRequest,
                      {{":method", "CONNECT"}, {":authority", std::string("a") + c + ":1"}}));
  }
  for (const char c : {'\x01', '\x1f', '\x7f'})
    EXPECT_FALSE(good_with("x", std::string("a") + c)) << static_cast<int>(c);
  // RFC 9113 section 8.2.1: no space at either end.
  EXPECT_FALSE(good_with("x", " a"));
  EXPECT_FALSE(good_with("x", "a "));
  EXPECT_FALSE(good_with("x", "\ta"));
  EXPECT_FALSE(good_with("x", "a\t"));
}

// RFC 9113 section 8.2.2.
TEST(HeadRules, FieldsOfAConnection) {
  for (const char* name :
       {"connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade"}) {
    EXPECT_FALSE(good_with(name, "x")) << name;
    EXPECT_FALSE(good(HeadKind::kResponse, {{":status", "200"}, {name, "x"}})) << name;
  }
  EXPECT_TRUE(good_with("te", "trailers"));
  EXPECT_FALSE(good_with("te", "gzip"));
}

}  // namespace
}  // namespace culvert::h2
