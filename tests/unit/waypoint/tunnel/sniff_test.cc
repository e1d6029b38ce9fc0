#include "waypoint/tunnel/sniff.h"

#include <gtest/gtest.h>

#include <string>

namespace culvert::waypoint {
namespace {

Sniffed of(std::string_view text) { return sniff(as_bytes(text)); }

TEST(Sniff, Table) {
  using namespace std::string_literals;
  const std::pair<std::string, Sniffed> cases[] = {
      {"GET / HTTP/1.1\r\n", Sniffed::kHttp1},
      {"GET / HTTP/1.0\r\n\r\n", Sniffed::kHttp1},
      {"OPTIONS * HTTP/1.1\r\n", Sniffed::kHttp1},
      {"GET http://a/ HTTP/1.1\r\n", Sniffed::kHttp1},
      {"PROPFIND /x HTTP/1.1\r\n", Sniffed::kHttp1},
      {"\r\n\r\nGET / HTTP/1.1\r\n", Sniffed::kHttp1},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Sniffed::kHttp2},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4"s, Sniffed::kHttp2},
      {"EHLO mail.example.com\r\n", Sniffed::kOther},  // SMTP
      {"HELO mail.example.com\r\n", Sniffed::kOther},
      {"SET key value\r\n", Sniffed::kOther},  // Redis, inline
      {"PING\r\n", Sniffed::kOther},
      {"*1\r\n$4\r\nPING\r\n", Sniffed::kOther},  // Redis, RESP
      {"USER anonymous\r\n", Sniffed::kOther},    // FTP
      {"SSH-2.0-OpenSSH_9.2\r\n", Sniffed::kOther},
      {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"s, Sniffed::kOther},  // TLS
      {"\x00\x00\x00\x08\x04\xd2\x16\x2f"s, Sniffed::kOther},              // PostgreSQL
      {"", Sniffed::kMore},
  };
  for (const auto& [text, expected] : cases) EXPECT_EQ(of(text), expected) << text;
}

TEST(Sniff, SplitAnywhere) {
  const std::pair<std::string, Sniffed> cases[] = {
      {"GET /a?b HTTP/1.1\r\nHost: a\r\n\r\n", Sniffed::kHttp1},
      {"\r\nPOST / HTTP/1.1\r\n", Sniffed::kHttp1},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Sniffed::kHttp2},
      {"EHLO mail.example.com\r\n", Sniffed::kOther},
      {"PRINT it\r\n", Sniffed::kOther},
  };
  for (const auto& [text, expected] : cases) {
    bool decided = false;
    for (size_t n = 0; n <= text.size(); ++n) {
      const Sniffed now = of(std::string_view(text).substr(0, n));
      // Once decided it stays; before, nothing but "more".
      if (decided) EXPECT_EQ(now, expected) << text << " at " << n;
      if (now == Sniffed::kMore) continue;
      EXPECT_EQ(now, expected) << text << " at " << n;
      decided = true;
    }
    EXPECT_TRUE(decided) << text;
  }
}

TEST(Sniff, NeverWantsMoreThanItsLimit) {
  EXPECT_EQ(of("GET /" + std::string(kMaxSniffed, 'a')), Sniffed::kHttp1);
  const auto filled = [](std::string begin, char with) {
    begin.resize(kMaxSniffed, with);
    return of(begin);
  };
  EXPECT_EQ(filled("\r\n\r\nGET /", 'a'), Sniffed::kHttp1);
  EXPECT_EQ(filled("GET / ", ' '), Sniffed::kHttp1);
  EXPECT_NE(of(std::string(kMaxSniffed, 'A')), Sniffed::kMore);
  EXPECT_NE(of(std::string(kMaxSniffed, '\n')), Sniffed::kMore);
}

}  // namespace
}  // namespace culvert::waypoint
