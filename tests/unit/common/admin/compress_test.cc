#include "common/admin/compress.h"

#include <gtest/gtest.h>

#include <zlib.h>

#include <string>

namespace culvert::admin {
namespace {

std::string inflated(std::string_view body, int window) {
  z_stream stream{};
  EXPECT_EQ(inflateInit2(&stream, window), Z_OK);
  std::string out(1 << 20, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(body.data()));
  stream.avail_in = static_cast<uInt>(body.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  inflateEnd(&stream);
  return out;
}

TEST(ChooseEncoding, FollowsAcceptEncoding) {
  EXPECT_EQ(choose_encoding({}), Encoding::kIdentity);
  EXPECT_EQ(choose_encoding({"gzip"}), Encoding::kGzip);
  EXPECT_EQ(choose_encoding({"GZIP, deflate"}), Encoding::kGzip);
  EXPECT_EQ(choose_encoding({"deflate"}), Encoding::kDeflate);
  EXPECT_EQ(choose_encoding({"gzip;q=0.5, deflate"}), Encoding::kDeflate);
  EXPECT_EQ(choose_encoding({"br", "x-gzip"}), Encoding::kGzip);
  EXPECT_EQ(choose_encoding({"*"}), Encoding::kGzip);
  EXPECT_EQ(choose_encoding({"gzip;q=0, *;q=0.1"}), Encoding::kDeflate);
}

TEST(ChooseEncoding, OffersNothingThatWasRefusedOrIsNotThere) {
  for (const char* header : {"br, zstd", "identity", "gzip;q=0", "gzip; q=0.0", "*;q=0", "",
                             "gzip;q=", "gzip;level=9", "gzipped"}) {
    EXPECT_EQ(choose_encoding({header}), Encoding::kIdentity) << header;
  }
}

TEST(Compress, RoundTrips) {
  std::string body;
  for (int i = 0; i < 2000; ++i) body += "istio_tcp_connections_opened_total " + std::to_string(i);
  const auto gzip = compress(Encoding::kGzip, body);
  const auto deflate = compress(Encoding::kDeflate, body);
  ASSERT_TRUE(gzip && deflate);
  EXPECT_LT(gzip->size(), body.size() / 4);
  EXPECT_EQ(inflated(*gzip, MAX_WBITS + 16), body);
  EXPECT_EQ(inflated(*deflate, MAX_WBITS), body);
  EXPECT_EQ(compress(Encoding::kIdentity, "as it is"), "as it is");
  EXPECT_EQ(inflated(*compress(Encoding::kGzip, ""), MAX_WBITS + 16), "");
}

}  // namespace
}  // namespace culvert::admin
