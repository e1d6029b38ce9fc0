// Each limit: a message at it passes, one over it fails with the code and the status of that limit.
#include "tests/unit/common/http1/transcript.h"

#include <gtest/gtest.h>

#include <string>

namespace culvert::http1::test {
namespace {

// 0 if the whole input passes, else the status that a server answers.
int status_of(const std::string& input, const Limits& limits) {
  RequestParserOptions options;
  options.limits = limits;
  RequestParser parser(options);
  std::string_view rest = input;
  while (true) {
    auto step = parser.feed(as_bytes(rest));
    if (!step) return http_status(step.error().code);
    rest.remove_prefix(step->consumed);
    if (step->event == Event::kEnd || step->event == Event::kNeedInput) return 0;
  }
}

TEST(Limits, StartLine) {
  Limits limits;
  limits.max_start_line = 100;
  const auto request = [](size_t line) {
    return "GET /" + std::string(line - 16, 'a') + " HTTP/1.1\r\nHost: h\r\n\r\n";
  };
  EXPECT_EQ(status_of(request(100), limits), 0);
  EXPECT_EQ(status_of(request(101), limits), 414);
  EXPECT_EQ(status_of("GET /" + std::string(94, 'a'), limits), 0) << "99 bytes may become a line";
  EXPECT_EQ(status_of("GET /" + std::string(95, 'a'), limits), 414) << "100 cannot";
  EXPECT_EQ(status_of(request(8192), {}), 0);
  EXPECT_EQ(status_of(request(8193), {}), 414);
  EXPECT_EQ(responses({"HTTP/1.1 200 " + std::string(90, 'x') + "\r\n\r\n"}, {}, true, limits),
            error_line(Errc::kStatusLineMalformed));
}

TEST(Limits, Method) {
  const auto request = [](size_t size) {
    return std::string(size, 'M') + " / HTTP/1.1\r\nHost: h\r\n\r\n";
  };
  EXPECT_EQ(status_of(request(64), {}), 0);
  EXPECT_EQ(status_of(request(65), {}), 501);
}

TEST(Limits, HeaderBytes) {
  const auto request = [](size_t bytes) {
    return "GET / HTTP/1.1\r\nHost: h\r\nA: " + std::string(bytes - 9 - 5, 'x') + "\r\n\r\n";
  };
  Limits limits;
  limits.max_header_bytes = 50;
  EXPECT_EQ(status_of(request(50), limits), 0);
  EXPECT_EQ(status_of(request(51), limits), 431);
  EXPECT_EQ(status_of(request(60 * 1024), {}), 0);
  EXPECT_EQ(status_of(request(60 * 1024 + 1), {}), 431);
  // Also without an end of line in sight.
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nA: " + std::string(60 * 1024, 'x'), {}), 431);
  // A small field that no longer fits.
  std::string full = request(50);
  full.insert(full.size() - 2, "B:\r\n");
  EXPECT_EQ(status_of(full, limits), 431);
}

TEST(Limits, HeaderCount) {
  const auto request = [](int fields) {
    std::string text = "GET / HTTP/1.1\r\nHost: h\r\n";
    for (int i = 1; i < fields; ++i) text += "A:\r\n";
    return text + "\r\n";
  };
  EXPECT_EQ(status_of(request(100), {}), 0);
  EXPECT_EQ(status_of(request(101), {}), 431);
  Limits limits;
  limits.max_headers = 5000;
  EXPECT_EQ(status_of(request(5000), limits), 0);
  EXPECT_EQ(status_of(request(5001), limits), 431);
}

TEST(Limits, TheNextMessageStartsAfresh) {
  std::string get = "GET / HTTP/1.1\r\nHost: h\r\n";
  for (int i = 0; i < 99; ++i) get += "A: 1\r\n";
  get += "\r\n";
  const std::string log = requests({get + get + get});
  EXPECT_EQ(log.find("error"), std::string::npos) << log;
}

TEST(Limits, Body) {
  Limits limits;
  limits.max_body = 5;
  const std::string head = "POST / HTTP/1.1\r\nHost: h\r\n";
  EXPECT_EQ(status_of(head + "Content-Length: 5\r\n\r\nabcde", limits), 0);
  EXPECT_EQ(status_of(head + "Content-Length: 6\r\n\r\n", limits), 413);
  const std::string chunked = head + "Transfer-Encoding: chunked\r\n\r\n";
  EXPECT_EQ(status_of(chunked + "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", limits), 0);
  EXPECT_EQ(status_of(chunked + "3\r\nabc\r\n3\r\n", limits), 413);
  EXPECT_EQ(status_of(chunked + "ffffffffffffffff\r\n", limits), 413);
  EXPECT_EQ(responses({"HTTP/1.1 200 OK\r\n\r\nabcde"}, {}, true, limits),
            "head 200 HTTP/1.1\ndata abcde\nend\n");
  EXPECT_EQ(responses({"HTTP/1.1 200 OK\r\n\r\nabcde", "f"}, {}, true, limits),
            "head 200 HTTP/1.1\ndata abcde\n" + error_line(Errc::kBodyTooLarge));
}

TEST(Limits, ChunkDigits) {
  const std::string head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  EXPECT_EQ(status_of(head + "ffffffffffffffff\r\n", {}), 0);
  EXPECT_EQ(status_of(head + "0ffffffffffffffff\r\n", {}), 400);
  Limits limits;
  limits.max_chunk_digits = 4;
  EXPECT_EQ(status_of(head + "0001\r\n", limits), 0);
  EXPECT_EQ(status_of(head + "00001\r\n", limits), 400);
}

TEST(Limits, ChunkExtensionsOverTheWholeBody) {
  Limits limits;
  limits.max_chunk_extensions = 10;
  const std::string head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  EXPECT_EQ(status_of(head + "1;2345\r\na\r\n1;2345\r\nb\r\n0\r\n\r\n", limits), 0);
  EXPECT_EQ(status_of(head + "1;2345\r\na\r\n1;23456\r\nb\r\n0\r\n\r\n", limits), 413);
  EXPECT_EQ(status_of(head + "1;" + std::string(40, 'x'), limits), 413);
}

TEST(Limits, Trailers) {
  const auto request = [](size_t bytes) {
    return "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: " +
           std::string(bytes - 5, 'x') + "\r\n\r\n";
  };
  EXPECT_EQ(status_of(request(16 * 1024), {}), 0);
  EXPECT_EQ(status_of(request(16 * 1024 + 1), {}), 431);
  Limits limits;
  limits.max_trailers = 1;
  const std::string head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n";
  EXPECT_EQ(status_of(head + "A: 1\r\n\r\n", limits), 0);
  EXPECT_EQ(status_of(head + "A: 1\r\nB: 1\r\n\r\n", limits), 431);
}

TEST(Limits, Informational) {
  std::string input;
  for (int i = 0; i < 16; ++i) input += "HTTP/1.1 100 Continue\r\n\r\n";
  const std::string last = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
  EXPECT_TRUE(responses({input + last}).ends_with("head 200 HTTP/1.1 content-length=0\nend\n"));
  EXPECT_TRUE(responses({input + "HTTP/1.1 100 Continue\r\n\r\n"})
                  .ends_with(error_line(Errc::kTooManyInformational)));
}

TEST(Limits, StatusOfErrors) {
  EXPECT_EQ(http_status(Errc::kTransferEncodingUnsupported), 501);
  EXPECT_EQ(http_status(Errc::kVersionUnsupported), 505);
  EXPECT_EQ(http_status(Errc::kContentLengthConflict), 400);
  EXPECT_EQ(http_status(std::make_error_code(std::errc::io_error)), 400);
}

}  // namespace
}  // namespace culvert::http1::test
