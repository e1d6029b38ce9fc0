#include "tests/unit/common/http1/transcript.h"

#include <gtest/gtest.h>

#include <string>

namespace culvert::http1::test {
namespace {

bool keeps(const std::string& head, Exchange exchange = {}) {
  ResponseParser parser(exchange);
  auto step = parser.feed(as_bytes(head));
  EXPECT_TRUE(step && step->event == Event::kHead) << head;
  return parser.keep_alive();
}

TEST(ResponseParser, Framings) {
  EXPECT_EQ(responses({"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"}),
            "head 200 HTTP/1.1 content-length=2\ndata ok\nend\n");
  EXPECT_EQ(responses({"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}),
            "head 200 HTTP/1.1 content-length=0\nend\n");
  EXPECT_EQ(
      responses(
          {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nT: 1\r\n\r\n"}),
      "head 200 HTTP/1.1 transfer-encoding=chunked\ndata ok\ntrailers t=1\nend\n");
  EXPECT_EQ(responses({"HTTP/1.1 200 OK\r\n\r\nall of", " it"}, {}, true),
            "head 200 HTTP/1.1\ndata all of it\nend\n");
  EXPECT_EQ(responses({"HTTP/1.0 200 OK\r\n\r\n"}, {}, true), "head 200 HTTP/1.0\nend\n");
  EXPECT_EQ(responses({"HTTP/1.1 200 OK\r\n\r\nopen"}), "head 200 HTTP/1.1\ndata open\nmore\n");
}

TEST(ResponseParser, BodilessResponses) {
  const std::string next = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
  const std::string next_log = "head 200 HTTP/1.1 content-length=0\nend\n";
  EXPECT_EQ(responses({"HTTP/1.1 204 No Content\r\n\r\n" + next}),
            "head 204 HTTP/1.1\nend\n" + next_log);
  EXPECT_EQ(responses({"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n" + next}),
            "head 204 HTTP/1.1\nend\n" + next_log);
  EXPECT_EQ(responses({"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n" + next}),
            "head 304 HTTP/1.1 content-length=9\nend\n" + next_log);
  EXPECT_EQ(
      responses({"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n" + next}, {.head_request = true}),
      "head 200 HTTP/1.1 content-length=9\nend\n" + next_log);
  EXPECT_EQ(responses({"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + next},
                      {.head_request = true}),
            "head 200 HTTP/1.1 transfer-encoding=chunked\nend\n" + next_log);
  EXPECT_EQ(responses({"HTTP/1.1 404 Not Found\r\n\r\n" + next}, {.head_request = true}),
            "head 404 HTTP/1.1\nend\n" + next_log);
  // A body where none can be: whatever follows is not the next response.
  EXPECT_EQ(responses({"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n" + next}),
            "head 204 HTTP/1.1\nend\nclose\n");
  EXPECT_EQ(responses({"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n" + next}),
            "head 204 HTTP/1.1\nend\nclose\n");
}

TEST(ResponseParser, Informational) {
  EXPECT_EQ(responses({"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
                       "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"}),
            "informational 100 HTTP/1.1\ninformational 103 HTTP/1.1 link=x\n"
            "head 200 HTTP/1.1 content-length=2\ndata ok\nend\n");
  EXPECT_EQ(responses({"HTTP/1.1 100 Continue\r\n\r\n"}, {}, true),
            "informational 100 HTTP/1.1\n" + error_line(Errc::kUnexpectedEnd));
  EXPECT_EQ(responses({"HTTP/1.1 100 Continue\r\nContent-Length: 3\r\n\r\n"}),
            error_line(Errc::kStatusLineMalformed));
}

TEST(ResponseParser, SwitchingProtocols) {
  const std::string head =
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
  EXPECT_EQ(responses({head + "HTTP/1.1 bytes"}, {.upgrade_requested = true}),
            "head 101 HTTP/1.1 connection=Upgrade upgrade=websocket\ntunnel HTTP/1.1 bytes\n");
  EXPECT_EQ(responses({head}), error_line(Errc::kUnexpectedSwitch));
  EXPECT_EQ(
      responses({"HTTP/1.1 101 X\r\nUpgrade: websocket\r\n\r\n"}, {.upgrade_requested = true}),
      error_line(Errc::kUnexpectedSwitch));
  EXPECT_FALSE(keeps(head, {.upgrade_requested = true}));
  // A refused upgrade is an ordinary response.
  EXPECT_EQ(
      responses({"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"}, {.upgrade_requested = true}),
      "head 200 HTTP/1.1 content-length=1\ndata x\nend\n");
}

TEST(ResponseParser, Connect) {
  const Exchange connect{.connect_request = true};
  // RFC 9110 section 9.3.6: framing fields in a success of CONNECT are ignored; we do not forward
  // them.
  EXPECT_EQ(
      responses({"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nraw"},
                connect),
      "head 200 HTTP/1.1\ntunnel raw\n");
  EXPECT_EQ(responses({"HTTP/1.1 204 X\r\n\r\nraw"}, connect), "head 204 HTTP/1.1\ntunnel raw\n");
  EXPECT_EQ(responses({"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno"}, connect),
            "head 403 HTTP/1.1 content-length=2\ndata no\nend\n");
}

TEST(ResponseParser, KeepAlive) {
  EXPECT_TRUE(keeps("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"));
  EXPECT_FALSE(keeps("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n"));
  EXPECT_FALSE(keeps("HTTP/1.1 200 OK\r\n\r\n")) << "until close";
  EXPECT_FALSE(keeps("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n"));
  EXPECT_TRUE(keeps("HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n"));
}

TEST(ResponseParser, StatusLines) {
  for (const char* line : {"HTTP/1.1 200", "HTTP/1.1 200 ", "HTTP/1.1 200 OK",
                           "HTTP/1.1 299 \xff x\ty", "HTTP/1.1 599 x", "HTTP/1.0 200 OK"}) {
    EXPECT_TRUE(responses({std::string(line) + "\r\n\r\n"}).starts_with("head ")) << line;
  }
  for (const char* line :
       {"HTTP/1.1", "HTTP/1.1 ", "HTTP/1.1 20", "HTTP/1.1 2000", "HTTP/1.1 20x OK",
        "HTTP/1.1  200 OK", "HTTP/1.1 099 X", "HTTP/1.1 600 X", "HTTP/1.1 -20 X", "HTTP/1.1 200OK",
        "HTTP/1.1\t200 OK", "HTTP/1.1 200 a\x01", "GET / HTTP/1.1", "", " HTTP/1.1 200 OK"}) {
    EXPECT_EQ(responses({std::string(line) + "\r\n\r\n"}), error_line(Errc::kStatusLineMalformed))
        << line;
  }
  for (const char* line : {"HTTP/2.0 200 OK", "HTTP/0.9 200 OK", "http/1.1 200 OK"}) {
    EXPECT_FALSE(responses({std::string(line) + "\r\n\r\n"}).starts_with("head ")) << line;
  }
}

TEST(ResponseParser, EndOfInput) {
  EXPECT_EQ(responses({""}, {}, true), "closed\n");
  EXPECT_TRUE(responses({"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab"}, {}, true)
                  .ends_with(error_line(Errc::kUnexpectedEnd)));
  EXPECT_TRUE(
      responses({"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"}, {}, true)
          .ends_with(error_line(Errc::kUnexpectedEnd)));
}

}  // namespace
}  // namespace culvert::http1::test
