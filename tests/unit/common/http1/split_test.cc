// However the network cuts the bytes, the events must be the same: a parser that sees another
// message when a line arrives in two pieces can be steered by whoever controls the pieces.
#include "tests/unit/common/http1/transcript.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace culvert::http1::test {
namespace {

const std::string kRequests[] = {
    "GET / HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n",
    "\r\nPOST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello\r\nGET / "
    "HTTP/1.0\r\n\r\nrest",
    "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n1\r\n!\r\n"
    "0\r\nTrailer-A: 1\r\nB: 2\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
    "CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\nopaque\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: h\r\nX : y\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: h\r\nA: b\rc\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcX\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n",
    "\r\n\r\nGET / HTTP/1.1\r\n",
    "\x16\x03\x01",
    "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n folded\r\n\r\n",
};

const std::string kResponses[] = {
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 204 No\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n"
    "A\r\n0123456789\r\n0\r\nT: 1\r\n\r\nHTTP/1.1 304 N\r\nContent-Length: 3\r\n\r\n",
    "HTTP/1.1 200 OK\r\n\r\nuntil close\r\n",
    "HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: w\r\n\r\nopaque",
    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
};

using Pieces = std::vector<std::string_view>;

template <class Run>
void check_all_splits(const std::string& input, Run run) {
  const std::string_view text = input;
  const std::string whole = run(Pieces{text});
  Pieces bytes;
  for (size_t i = 0; i < text.size(); ++i) bytes.push_back(text.substr(i, 1));
  EXPECT_EQ(run(bytes), whole) << "byte by byte: " << input;
  for (size_t a = 0; a <= text.size(); ++a) {
    for (size_t b = a; b <= text.size(); ++b) {
      const Pieces pieces = {text.substr(0, a), text.substr(a, b - a), text.substr(b)};
      ASSERT_EQ(run(pieces), whole) << input << " split at " << a << " and " << b;
    }
  }
}

TEST(Split, RequestsAtEveryTwoPoints) {
  for (const std::string& input : kRequests) {
    check_all_splits(input, [](const Pieces& pieces) { return requests(pieces, {}, true); });
  }
}

TEST(Split, ResponsesAtEveryTwoPoints) {
  const Exchange exchange{.upgrade_requested = true};
  for (const std::string& input : kResponses) {
    check_all_splits(input,
                     [&](const Pieces& pieces) { return responses(pieces, exchange, true); });
  }
}

// Broken messages as well: what is an error in one piece is one in many.
TEST(Split, RandomDamageAndRandomPieces) {
  std::mt19937 random(42);
  const std::string_view damage("\r\n :;,\t\0x0A", 11);
  for (int round = 0; round < 20000; ++round) {
    std::string input = kRequests[random() % std::size(kRequests)];
    for (int i = 0; i < 2; ++i) {
      const size_t at = random() % input.size();
      const char byte = damage[random() % damage.size()];
      if (random() % 2 == 0) {
        input[at] = byte;
      } else {
        input.insert(at, 1, byte);
      }
    }
    Pieces pieces;
    for (std::string_view rest = input; !rest.empty();) {
      const size_t n = std::min<size_t>(rest.size(), 1 + random() % 40);
      pieces.push_back(rest.substr(0, n));
      rest.remove_prefix(n);
    }
    ASSERT_EQ(requests(pieces, {}, true), requests({input}, {}, true)) << input;
  }
}

}  // namespace
}  // namespace culvert::http1::test
