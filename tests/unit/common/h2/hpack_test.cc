#include "common/h2/hpack.h"

#include "common/h2/errors.h"
#include "tests/unit/common/h2/raw_frames.h"

#include <gtest/gtest.h>

namespace culvert::h2 {
namespace {

using Verdict = DecodedHead::Verdict;
const std::vector<Field> kRequest{
    {":method", "CONNECT"}, {":authority", "10.0.0.1:80"}, {"x", "value"}, {"id", "1", true}};

std::string text(const Head& head) {
  std::string out;
  for (const auto& field : head.fields) out += field.name + "=" + field.value + ";";
  return out;
}
const std::string kText = ":method=CONNECT;:authority=10.0.0.1:80;x=value;id=1;";

TEST(Hpack, WhatIsEncodedIsDecoded) {
  HeadEncoder encoder;
  HeadDecoder decoder(16384);
  size_t first = 0, last = 0;
  for (int i = 0; i < 10; ++i) {
    ByteQueue block;
    encoder.encode(kRequest, block);
    (i == 0 ? first : last) = block.size();
    const auto decoded = decoder.decode(block.readable(), HeadKind::kRequest);
    ASSERT_TRUE(decoded);
    EXPECT_EQ(decoded.value().verdict, Verdict::kGood);
    EXPECT_EQ(text(decoded.value().head), kText);
  }
  EXPECT_LT(last, first);  // from the table
}

TEST(Hpack, EncodeAppends) {
  HeadEncoder encoder;
  ByteQueue block;
  block.append(as_bytes("before"));
  encoder.encode(kRequest, block);
  HeadDecoder decoder(16384);
  const auto decoded = decoder.decode(Bytes(block.readable()).subspan(6), HeadKind::kRequest);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(text(decoded.value().head), kText);
}

TEST(Hpack, FieldsNotToBeIndexedAreNot) {
  HeadEncoder encoder;
  const std::vector<Field> fields{{"id", "some-long-value-of-a-field", true}};
  ByteQueue one, two;
  encoder.encode(fields, one);
  encoder.encode(fields, two);
  EXPECT_EQ(as_text(Bytes(one.readable())), as_text(Bytes(two.readable())));
  EXPECT_EQ(one.readable()[0] & 0xf0, 0x10);  // RFC 7541 section 6.2.3: never indexed
}

TEST(Hpack, ASmallerTableIsAnnouncedAndUsed) {
  for (const uint32_t size : {0U, 100U, 4096U, 1U << 30}) {
    HeadEncoder encoder;
    HeadDecoder decoder(16384);
    for (int i = 0; i < 4; ++i) {
      if (i == 2) encoder.set_table_size(size);
      ByteQueue block;
      encoder.encode(kRequest, block);
      const auto decoded = decoder.decode(block.readable(), HeadKind::kRequest);
      ASSERT_TRUE(decoded) << size << " " << i;  // more than 4,096 would be an error to it
      EXPECT_EQ(text(decoded.value().head), kText);
    }
  }
}

TEST(Hpack, AHeadThatIsMalformedLeavesTheNextWhole) {
  HeadEncoder encoder;
  HeadDecoder decoder(16384);
  const std::vector<Field> bad{{"x", "first"}, {":method", "CONNECT"}, {"later", "indexed"}};
  ByteQueue block;
  encoder.encode(bad, block);
  auto decoded = decoder.decode(block.readable(), HeadKind::kRequest);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded.value().verdict, Verdict::kMalformed);
  const std::vector<Field> good{
      {":method", "CONNECT"}, {":authority", "a:1"}, {"later", "indexed"}, {"x", "first"}};
  ByteQueue next;
  encoder.encode(good, next);
  decoded = decoder.decode(next.readable(), HeadKind::kRequest);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded.value().verdict, Verdict::kGood);
  EXPECT_EQ(text(decoded.value().head), ":method=CONNECT;:authority=a:1;later=indexed;x=first;");
}

TEST(Hpack, TheListLimitIsOfDecodedFields) {
  const std::vector<Field> fields{{":method", "CONNECT"}, {":authority", "a:1"}};
  const uint32_t size = 7 + 7 + 32 + 10 + 3 + 32;
  for (const uint32_t limit : {size, size - 1}) {
    HeadEncoder encoder;
    HeadDecoder decoder(limit);
    ByteQueue block;
    encoder.encode(fields, block);
    const auto decoded = decoder.decode(block.readable(), HeadKind::kRequest);
    ASSERT_TRUE(decoded);
    EXPECT_EQ(decoded.value().verdict, limit == size ? Verdict::kGood : Verdict::kTooLarge);
  }
}

// A small block of many references to a large field in the table.
TEST(Hpack, CompressionCannotMultiplyAHead) {
  const std::string large(4000, 'v');
  std::string bomb = block({{":method", "CONNECT"}, {":authority", "a:1"}});
  bomb += std::string("\x40\x01x\x7f") + static_cast<char>((4000 - 127) % 128 + 128) +
          static_cast<char>((4000 - 127) / 128) + large;
  bomb += std::string(10'000, '\xbe');  // the table's first entry, 10,000 times: 40 MB
  HeadDecoder decoder(16384);
  auto decoded = decoder.decode(as_bytes(bomb), HeadKind::kRequest);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded.value().verdict, Verdict::kTooLarge);
  size_t kept = 0;
  for (const auto& field : decoded.value().head.fields) kept += field.value.size();
  EXPECT_LE(kept, 16384U);
  decoded =
      decoder.decode(as_bytes(block({{":method", "CONNECT"}, {":authority", "a:1"}}) + "\xbe"),
                     HeadKind::kRequest);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded.value().verdict, Verdict::kGood);
  EXPECT_EQ(decoded.value().head.get("x"), large);
}

TEST(Hpack, BlocksThatCannotBeDecompressed) {
  const std::vector<std::string> bad{
      "\xff\xff\xff\xff\xff\xff",                      // an index without end
      std::string(1, '\x80'),                          // index 0
      "\xbe",                                          // an empty table's first entry
      std::string("\0\x05na", 4),                      // a cut name
      std::string("\0\x01x\x05va", 6),                 // a cut value
      "\x3f\xe2\x1f",                                  // a table of more than 4,096
      std::string("\0\x01x\x81\xff", 5) + "\xff\xff",  // Huffman: EOS in padding
  };
  for (const auto& text : bad) {
    HeadDecoder decoder(16384);
    EXPECT_FALSE(decoder.decode(as_bytes(text), HeadKind::kTrailers)) << &text - bad.data();
  }
}

TEST(Hpack, NothingIsAHeadOfTrailersOnly) {
  HeadDecoder decoder(16384);
  EXPECT_EQ(decoder.decode({}, HeadKind::kTrailers).value().verdict, Verdict::kGood);
  EXPECT_EQ(decoder.decode({}, HeadKind::kRequest).value().verdict, Verdict::kMalformed);
  EXPECT_EQ(decoder.decode({}, HeadKind::kResponse).value().verdict, Verdict::kMalformed);
}

}  // namespace
}  // namespace culvert::h2
