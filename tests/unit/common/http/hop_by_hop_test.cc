#include "common/http/hop_by_hop.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace culvert::http {
namespace {

std::string after(const std::vector<std::pair<const char*, const char*>>& fields, bool keep_te) {
  Headers headers;
  for (const auto& [name, value] : fields) EXPECT_TRUE(headers.add(name, value));
  remove_hop_by_hop(headers, keep_te);
  std::string text;
  headers.for_each([&](const Headers::Field& field) {
    text += std::string(field.name) + "=" + std::string(field.value) + ";";
  });
  return text;
}

TEST(HopByHop, RemovesTheFixedFields) {
  EXPECT_EQ(after({{"Connection", "close"},
                   {"Keep-Alive", "5"},
                   {"Proxy-Connection", "x"},
                   {"TE", "gzip"},
                   {"Transfer-Encoding", "chunked"},
                   {"Upgrade", "h2c"},
                   {"Accept", "*"}},
                  false),
            "accept=*;");
}

TEST(HopByHop, RemovesWhatConnectionNames) {
  EXPECT_EQ(after({{"X-A", "1"}, {"Connection", "x-a, X-B"}, {"x-b", "2"}, {"x-c", "3"}}, false),
            "x-c=3;");
}

TEST(HopByHop, ConnectionCannotHideWhatFramesOrAuthorises) {
  EXPECT_EQ(after({{"Connection", "Content-Length, Host, Authorization, Cookie"},
                   {"Content-Length", "3"},
                   {"Host", "h"},
                   {"Authorization", "a"},
                   {"Cookie", "c"}},
                  false),
            "content-length=3;host=h;authorization=a;cookie=c;");
}

TEST(HopByHop, KeepsTeTrailersOnRequest) {
  EXPECT_EQ(after({{"te", "gzip, Trailers"}, {"connection", "te"}}, true), "te=trailers;");
  EXPECT_EQ(after({{"te", "gzip"}}, true), "");
  EXPECT_EQ(after({{"te", "trailers"}}, false), "");
}

}  // namespace
}  // namespace culvert::http
