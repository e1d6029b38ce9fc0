#include "common/http1/parser.h"
#include "tests/unit/common/http1/transcript.h"

#include <gtest/gtest.h>

#include <string>

namespace culvert::http1::test {
namespace {

TEST(RequestParser, SimpleGet) {
  EXPECT_EQ(requests({"GET /a?b=c HTTP/1.1\r\nHost: example.com:80\r\nX-Y:  z \r\n\r\n"}),
            "head GET http|example.com:80|/a?b=c HTTP/1.1 x-y=z\nend\n");
}

TEST(RequestParser, EventsOneByOne) {
  RequestParser parser;
  EXPECT_FALSE(parser.started());
  const std::string input = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcGET";
  auto step = parser.feed(as_bytes(input));
  ASSERT_TRUE(step);
  EXPECT_EQ(step->event, Event::kHead);
  EXPECT_EQ(step->consumed, input.size() - 6);
  EXPECT_EQ(parser.framing(), Framing::of_length(3));
  EXPECT_TRUE(parser.keep_alive());
  EXPECT_TRUE(parser.started());

  const std::string_view rest = std::string_view(input).substr(step->consumed);
  step = parser.feed(as_bytes(rest));
  ASSERT_TRUE(step);
  EXPECT_EQ(step->event, Event::kData);
  EXPECT_EQ(as_text(step->data), "abc");
  EXPECT_EQ(step->data.data(), as_bytes(rest).data()) << "no copy";
  EXPECT_EQ(step->consumed, 3U);
  for (int i = 0; i < 2; ++i) {
    step = parser.feed(as_bytes("GET"));
    ASSERT_TRUE(step);
    EXPECT_EQ(step->event, Event::kEnd) << "repeats until next_message()";
    EXPECT_EQ(step->consumed, 0U);
  }
  parser.next_message();
  EXPECT_FALSE(parser.started());
  step = parser.feed(as_bytes("GET"));
  ASSERT_TRUE(step);
  EXPECT_EQ(step->event, Event::kNeedInput);
  EXPECT_EQ(step->consumed, 3U);
  EXPECT_TRUE(parser.started());
}

TEST(RequestParser, HeadMayBeMovedAway) {
  RequestParser parser;
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(parser.feed(as_bytes("GET /x HTTP/1.1\r\nHost: h\r\nA: 1\r\n\r\n"))->event,
              Event::kHead);
    const http::RequestHead head = std::move(parser.head());
    EXPECT_EQ(head_text(head), "GET http|h|/x HTTP/1.1 a=1");
    ASSERT_EQ(parser.feed({})->event, Event::kEnd);
    parser.next_message();
  }
}

TEST(RequestParser, TargetForms) {
  const struct {
    const char* line;
    const char* head;
  } cases[] = {
      {"GET / HTTP/1.1", "GET http|h|/ HTTP/1.1"},
      {"GET //x/y HTTP/1.1", "GET http|h|//x/y HTTP/1.1"},
      {"GET /?a=\"{|}\\ HTTP/1.1", "GET http|h|/?a=\"{|}\\ HTTP/1.1"},
      // The target wins over Host (RFC 9112 section 3.2.2).
      {"GET http://t:81/p?q HTTP/1.1", "GET http|t:81|/p?q HTTP/1.1"},
      {"GET HTTPS://t/p HTTP/1.1", "GET https|t|/p HTTP/1.1"},
      {"GET http://t HTTP/1.1", "GET http|t|/ HTTP/1.1"},
      {"GET http://t?q HTTP/1.1", "GET http|t|/?q HTTP/1.1"},
      {"GET http://[::1]:8/ HTTP/1.1", "GET http|[::1]:8|/ HTTP/1.1"},
      {"OPTIONS http://t HTTP/1.1", "OPTIONS http|t|* HTTP/1.1"},
      {"OPTIONS http://t/ HTTP/1.1", "OPTIONS http|t|/ HTTP/1.1"},
      {"OPTIONS * HTTP/1.1", "OPTIONS http|h|* HTTP/1.1"},
      {"OPTIONS / HTTP/1.1", "OPTIONS http|h|/ HTTP/1.1"},
  };
  for (const auto& test : cases) {
    const std::string input = std::string(test.line) + "\r\nHost: h\r\n\r\n";
    EXPECT_EQ(requests({input}), std::string("head ") + test.head + "\nend\n") << test.line;
  }
}

TEST(RequestParser, RejectsOtherTargets) {
  for (const char* target :
       {"*",         "a",           "a:80",        "http:/h/",      "http://",
        "http:///p", "http://u@t/", "http://t:x/", "http://t\\@e/", "http://t#f",
        "/a#b",      "ftp://t/",    "file:///x",   "\\a",           "/\x7f",
        "/\x80",     "/a\tb",       "?q",          "javascript:x",  "http://t:/"}) {
    const std::string input = std::string("GET ") + target + " HTTP/1.1\r\nHost: h\r\n\r\n";
    EXPECT_EQ(requests({input}), error_line(Errc::kTargetInvalid)) << target;
  }
}

TEST(RequestParser, ConnectHasAuthorityForm) {
  EXPECT_EQ(requests({"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\nGET / HTTP/1.1\r\n"}),
            "head CONNECT |h:443| HTTP/1.1\ntunnel GET / HTTP/1.1\r\n\n");
  EXPECT_EQ(requests({"CONNECT h:443 HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"}),
            "head CONNECT |h:443| HTTP/1.1\ntunnel \n");
  for (const char* target : {"h", "/", "*", "http://h:1/", "h:443/", "h:0", "u@h:1", "h:443?"}) {
    const std::string input = std::string("CONNECT ") + target + " HTTP/1.1\r\nHost: h\r\n\r\n";
    EXPECT_EQ(requests({input}), error_line(Errc::kTargetInvalid)) << target;
  }
  for (const char* body : {"Content-Length: 1", "Transfer-Encoding: chunked"}) {
    const std::string input =
        std::string("CONNECT h:1 HTTP/1.1\r\nHost: h\r\n") + body + "\r\n\r\n";
    EXPECT_EQ(requests({input}), error_line(Errc::kBodyOnConnect)) << body;
  }
}

TEST(RequestParser, HostRules) {
  const auto with = [](const char* version, const char* hosts) {
    return requests({std::string("GET / HTTP/") + version + "\r\n" + hosts + "\r\n"});
  };
  EXPECT_EQ(with("1.1", ""), error_line(Errc::kHostMissing));
  EXPECT_EQ(with("1.0", ""), "head GET http||/ HTTP/1.0\nend\n");
  for (const char* version : {"1.0", "1.1"}) {
    EXPECT_EQ(with(version, "Host: a\r\nHost: b\r\n"), error_line(Errc::kHostRepeated));
    EXPECT_EQ(with(version, "Host: a\r\nhost: a\r\n"), error_line(Errc::kHostRepeated));
    for (const char* host : {"Host:\r\n", "Host: a,b\r\n", "Host: a b\r\n", "Host: u@a\r\n",
                             "Host: a/b\r\n", "Host: a:b\r\n", "Host: a#b\r\n"}) {
      EXPECT_EQ(with(version, host), error_line(Errc::kHostInvalid)) << host;
    }
  }
  EXPECT_EQ(requests({"GET http://t/ HTTP/1.1\r\n\r\n"}), error_line(Errc::kHostMissing));
  EXPECT_EQ(requests({"GET http://t/ HTTP/1.1\r\nHost: a b\r\n\r\n"}),
            error_line(Errc::kHostInvalid));
}

TEST(RequestParser, VersionsAndTheirStatus) {
  const auto line = [](const std::string& text, RequestParserOptions options = {}) {
    RequestParser parser(std::move(options));
    auto step = parser.feed(as_bytes(text + "\r\nHost: h\r\n\r\n"));
    return step ? 0 : http_status(step.error().code);
  };
  EXPECT_EQ(line("GET / HTTP/1.1"), 0);
  EXPECT_EQ(line("GET / HTTP/1.0"), 0);
  for (const char* version : {"HTTP/2.0", "HTTP/1.2", "HTTP/0.9", "HTTP/3.0", "HTTP/9.9"}) {
    EXPECT_EQ(line(std::string("GET / ") + version), 505) << version;
  }
  for (const char* version : {"http/1.1", "HTTP/1", "HTTP/11", "HTTP/1.10", "HTTP/1,1", "HTTPS/1.1",
                              "HTTP/ 1.1", "ICY/1.1", "HTTP/1.1x"}) {
    EXPECT_EQ(line(std::string("GET / ") + version), 400) << version;
  }
  RequestParserOptions no_http10;
  no_http10.accept_http10 = false;
  EXPECT_EQ(line("GET / HTTP/1.0", no_http10), 426);
  EXPECT_EQ(line("GET / HTTP/1.1", no_http10), 0);
}

TEST(RequestParser, KeepAlive) {
  const auto keeps = [](const char* version, const char* fields) {
    RequestParser parser;
    const std::string input =
        std::string("GET / HTTP/") + version + "\r\nHost: h\r\n" + fields + "\r\n";
    EXPECT_EQ(parser.feed(as_bytes(input))->event, Event::kHead);
    return parser.keep_alive();
  };
  EXPECT_TRUE(keeps("1.1", ""));
  EXPECT_FALSE(keeps("1.1", "Connection: close\r\n"));
  EXPECT_FALSE(keeps("1.1", "Connection: foo, CLOSE\r\n"));
  EXPECT_FALSE(keeps("1.1", "Connection: keep-alive\r\nConnection: close\r\n"));
  EXPECT_TRUE(keeps("1.1", "Connection: closed\r\n"));
  EXPECT_FALSE(keeps("1.0", ""));
  EXPECT_TRUE(keeps("1.0", "Connection: Keep-Alive\r\n"));
  EXPECT_FALSE(keeps("1.0", "Connection: keep-alive, close\r\n"));
}

TEST(RequestParser, ExpectContinue) {
  const auto expects = [](const char* version, const char* fields) {
    RequestParser parser;
    const std::string input =
        std::string("PUT / HTTP/") + version + "\r\nHost: h\r\n" + fields + "\r\n";
    EXPECT_EQ(parser.feed(as_bytes(input))->event, Event::kHead);
    return parser.expects_continue();
  };
  EXPECT_TRUE(expects("1.1", "Content-Length: 1\r\nExpect: 100-Continue\r\n"));
  EXPECT_TRUE(expects("1.1", "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n"));
  EXPECT_FALSE(expects("1.1", "Content-Length: 0\r\nExpect: 100-continue\r\n"));
  EXPECT_FALSE(expects("1.1", "Content-Length: 1\r\n"));
  EXPECT_FALSE(expects("1.0", "Content-Length: 1\r\nExpect: 100-continue\r\n"));
}

TEST(RequestParser, UpgradeIsTheCallersChoice) {
  RequestParser parser;
  const std::string input =
      "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n"
      "\x81opaque";
  auto step = parser.feed(as_bytes(input));
  ASSERT_EQ(step->event, Event::kHead);
  EXPECT_EQ(parser.upgrade(), "websocket");
  const auto rest = as_bytes(input).subspan(step->consumed);
  step = parser.feed(rest);
  EXPECT_EQ(step->event, Event::kEnd);
  EXPECT_EQ(step->consumed, 0U) << "the bytes behind belong to whoever accepts the upgrade";

  for (const char* head : {"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n",
                           "GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\n\r\n",
                           "GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"}) {
    RequestParser other;
    ASSERT_EQ(other.feed(as_bytes(head))->event, Event::kHead);
    EXPECT_EQ(other.upgrade(), "") << head;
  }
}

TEST(RequestParser, ChunkedBodyWithTrailers) {
  EXPECT_EQ(requests({"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n"
                      "3\r\nabc\r\n00A;name=\"v\";x\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n"
                      "GET /next HTTP/1.1\r\nHost: h\r\n\r\n"}),
            "head POST http|h|/ HTTP/1.1 transfer-encoding=Chunked\ndata abc0123456789\n"
            "trailers x-sum=1\nend\nhead GET http|h|/next HTTP/1.1\nend\n");
}

TEST(RequestParser, EqualContentLengthsBecomeOne) {
  for (const char* fields :
       {"Content-Length: 2\r\nContent-Length: 2\r\n", "Content-Length: 2, 2\r\n",
        "Content-Length: 2\r\nContent-Length: 02\r\n"}) {
    EXPECT_EQ(requests({std::string("POST / HTTP/1.1\r\nHost: h\r\n") + fields + "\r\nok"}),
              "head POST http|h|/ HTTP/1.1 content-length=2\ndata ok\nend\n")
        << fields;
  }
}

TEST(RequestParser, OneEmptyLineBeforeARequest) {
  const std::string get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
  const std::string good = "head GET http|h|/ HTTP/1.1\nend\n";
  EXPECT_EQ(requests({"\r\n" + get}), good);
  EXPECT_EQ(requests({"\r\n" + get + "\r\n" + get}), good + good);
  EXPECT_EQ(requests({"\r\n\r\n" + get}), error_line(Errc::kTooManyEmptyLines));
  EXPECT_EQ(requests({"\n" + get}), error_line(Errc::kBareLineFeed));
  EXPECT_EQ(requests({"\r\n"}, {}, true), "closed\n");
}

TEST(RequestParser, EndOfInput) {
  EXPECT_EQ(requests({""}, {}, true), "closed\n");
  const std::string head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n";
  for (const std::string& input :
       {std::string("G"), std::string("GET / HTTP/1.1\r\n"), head.substr(0, head.size() - 1), head,
        head + "ab",
        std::string(
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n")}) {
    EXPECT_TRUE(requests({input}, {}, true).ends_with(error_line(Errc::kUnexpectedEnd))) << input;
  }
}

TEST(RequestParser, WhatIsNotHttpFailsOnItsFirstByte) {
  for (const char first : {'\x16', '\0', '\x80', '{', '"'}) {
    EXPECT_EQ(requests({std::string_view(&first, 1)}), error_line(Errc::kRequestLineMalformed));
  }
}

}  // namespace
}  // namespace culvert::http1::test
