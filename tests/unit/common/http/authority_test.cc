#include "common/http/authority.h"

#include <gtest/gtest.h>

#include <string>

namespace culvert::http {
namespace {

TEST(Authority, Accepts) {
  const struct {
    const char* text;
    const char* host;
    std::optional<uint16_t> port;
  } cases[] = {
      {"example.com", "example.com", std::nullopt},
      {"Example.COM:80", "Example.COM", 80},
      {"my_svc.ns.svc.cluster.local:65535", "my_svc.ns.svc.cluster.local", 65535},
      {"10.0.0.1:1", "10.0.0.1", 1},
      {"[::1]", "[::1]", std::nullopt},
      {"[2001:db8::1]:15008", "[2001:db8::1]", 15008},
      {"[::ffff:10.0.0.1]:80", "[::ffff:10.0.0.1]", 80},
      {"host:00080", "host", 80},
  };
  for (const auto& test : cases) {
    const auto parsed = parse_authority(test.text);
    ASSERT_TRUE(parsed) << test.text;
    EXPECT_EQ(parsed->host, test.host);
    EXPECT_EQ(parsed->port, test.port);
  }
}

TEST(Authority, Rejects) {
  for (const std::string text : {"",
                                 ":80",
                                 "host:",
                                 "host:0",
                                 "host:65536",
                                 "host:080000",
                                 "host:+1",
                                 "host:8x",
                                 "host:80:80",
                                 "user@host",
                                 "user:pass@host",
                                 "a,b",
                                 "a b",
                                 "a/b",
                                 "a?b",
                                 "a#b",
                                 "a\\b",
                                 "a%41",
                                 "[::1",
                                 "::1",
                                 "[]",
                                 "[::1]x",
                                 "[::1]:",
                                 "[fe80::1%25eth0]",
                                 "[fe80::1%eth0]",
                                 "[v1.x]",
                                 "[10.0.0.1]",
                                 "[::1\r]",
                                 "\xc3\xa4.example",
                                 "a\tb",
                                 "[0:0:0:0:0:0:0:0:0]"}) {
    EXPECT_FALSE(parse_authority(text)) << text;
  }
  EXPECT_FALSE(parse_authority(std::string_view("a\0b", 3)));
  EXPECT_FALSE(parse_authority(std::string_view("[::1\0]", 6)));
}

}  // namespace
}  // namespace culvert::http
