#include "common/tls/traffic_keys.h"

#include "tests/unit/common/tls/rfc8448.h"

#include <gtest/gtest.h>
#include <openssl/err.h>

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

namespace culvert::tls {
namespace {

std::vector<uint8_t> sealed(TrafficKeys& keys, Bytes content, ContentType type) {
  std::vector<uint8_t> record(kRecordHeader + content.size() + 1 + kRecordTag);
  std::copy(content.begin(), content.end(), record.begin() + kRecordHeader);
  keys.seal(record, type);
  return record;
}

TEST(TrafficKeysTest, SealsTheRecordsOfRfc8448) {
  const auto secret = rfc8448::bytes(rfc8448::kClientSecret);
  TrafficKeys keys(*find_suite(rfc8448::kSuite), {secret});
  EXPECT_EQ(sealed(keys, rfc8448::payload(), ContentType::kApplicationData),
            rfc8448::bytes(rfc8448::kClientDataRecord));
  EXPECT_EQ(sealed(keys, std::array<uint8_t, 2>{1, 0}, ContentType::kAlert),
            rfc8448::bytes(rfc8448::kClientCloseRecord));
  EXPECT_EQ(keys.sequence(), 2U);
}

TEST(TrafficKeysTest, OpensTheRecordsOfRfc8448) {
  const auto secret = rfc8448::bytes(rfc8448::kServerSecret);
  TrafficKeys keys(*find_suite(rfc8448::kSuite), {secret});
  auto ticket = rfc8448::bytes(rfc8448::kServerTicketRecord);
  const auto first = keys.open(ticket);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->size(), 206U);
  EXPECT_EQ(first->front(), 4);  // NewSessionTicket
  EXPECT_EQ(first->back(), static_cast<uint8_t>(ContentType::kHandshake));
  auto data = rfc8448::bytes(rfc8448::kServerDataRecord);
  const auto second = keys.open(data);
  ASSERT_TRUE(second);
  auto expected = rfc8448::payload();
  expected.push_back(23);
  EXPECT_EQ(std::vector<uint8_t>(second->begin(), second->end()), expected);
  auto close = rfc8448::bytes(rfc8448::kServerCloseRecord);
  const auto third = keys.open(close);
  ASSERT_TRUE(third);
  EXPECT_EQ(std::vector<uint8_t>(third->begin(), third->end()), (std::vector<uint8_t>{1, 0, 21}));
}

TEST(TrafficKeysTest, ARecordOpensOnlyAtItsPlaceInTheSequence) {
  const auto secret = rfc8448::bytes(rfc8448::kServerSecret);
  TrafficKeys keys(*find_suite(rfc8448::kSuite), {secret});
  auto data = rfc8448::bytes(rfc8448::kServerDataRecord);  // the second one
  EXPECT_FALSE(keys.open(data));
  TrafficKeys later(*find_suite(rfc8448::kSuite), {secret, 1});
  data = rfc8448::bytes(rfc8448::kServerDataRecord);
  EXPECT_TRUE(later.open(data));
}

// RFC 8446 section 5.3, with numbers that no test comes to by counting.
TEST(TrafficKeysTest, AllOfTheSequenceNumberGoesIntoTheNonce) {
  const auto secret = rfc8448::bytes(rfc8448::kClientSecret);
  const auto key = rfc8448::bytes(rfc8448::kClientKey), iv = rfc8448::bytes(rfc8448::kClientIv);
  bssl::ScopedEVP_AEAD_CTX aead;
  ASSERT_TRUE(EVP_AEAD_CTX_init(aead.get(), EVP_aead_aes_128_gcm(), key.data(), key.size(),
                                kRecordTag, nullptr));
  for (const uint64_t number : {uint64_t{0x0102030405060708}, uint64_t{1} << 63}) {
    TrafficKeys writer(*find_suite(rfc8448::kSuite), {secret, number});
    auto record = sealed(writer, std::array<uint8_t, 2>{'h', 'i'}, ContentType::kAlert);
    auto nonce = iv;
    for (size_t i = 0; i < 8; ++i) nonce[4 + i] ^= static_cast<uint8_t>(number >> (56 - 8 * i));
    std::vector<uint8_t> inner(record.size());
    size_t size = 0;
    ASSERT_TRUE(EVP_AEAD_CTX_open(aead.get(), inner.data(), &size, inner.size(), nonce.data(),
                                  nonce.size(), record.data() + kRecordHeader,
                                  record.size() - kRecordHeader, record.data(), kRecordHeader))
        << number;
    inner.resize(size);
    EXPECT_EQ(inner, (std::vector<uint8_t>{'h', 'i', 21}));
    TrafficKeys reader(*find_suite(rfc8448::kSuite), {secret, number});
    EXPECT_TRUE(reader.open(record));
  }
}

TEST(TrafficKeysTest, ABadRecordLeavesNothingInTheLibrarysErrorQueue) {
  const auto secret = rfc8448::bytes(rfc8448::kServerSecret);
  TrafficKeys keys(*find_suite(rfc8448::kSuite), {secret});
  std::vector<uint8_t> record(100, 0x17);
  EXPECT_FALSE(keys.open(record));
  EXPECT_EQ(ERR_peek_error(), 0U);
}

TEST(TrafficKeysTest, BothSuitesAndEveryGenerationGoBothWays) {
  for (const uint16_t number : {0x1301, 0x1302}) {
    const std::vector<uint8_t> secret(number == 0x1301 ? 32 : 48, 0x5a);
    TrafficKeys writer(*find_suite(number), {secret}), reader(*find_suite(number), {secret});
    for (int generation = 0; generation < 3; ++generation) {
      for (const size_t size : {size_t{0}, size_t{1}, size_t{1000}, size_t{16384}}) {
        const std::vector<uint8_t> content(size, 7);
        auto record = sealed(writer, content, ContentType::kHandshake);
        const auto opened = reader.open(record);
        ASSERT_TRUE(opened);
        ASSERT_EQ(opened->size(), size + 1);
        EXPECT_TRUE(std::equal(content.begin(), content.end(), opened->begin()));
        EXPECT_EQ(opened->back(), 22);
      }
      const auto old = sealed(writer, {}, ContentType::kAlert);
      writer.update();
      EXPECT_EQ(writer.sequence(), 0U);
      auto fresh = sealed(writer, {}, ContentType::kAlert);
      EXPECT_NE(fresh, old);
      EXPECT_FALSE(reader.open(fresh));
      reader.update();
      writer.update();
      reader.update();
    }
  }
}

TEST(TrafficKeysTest, OnlyTheSuitesThatWeOffer) {
  EXPECT_TRUE(find_suite(0x1301));
  EXPECT_TRUE(find_suite(0x1302));
  EXPECT_FALSE(find_suite(0x1303));  // ChaCha20-Poly1305
  EXPECT_FALSE(find_suite(0xc02f));
}

TEST(TrafficKeysTest, RecordsShorterThanATagDoNotOpen) {
  const auto secret = rfc8448::bytes(rfc8448::kServerSecret);
  TrafficKeys keys(*find_suite(rfc8448::kSuite), {secret});
  for (size_t size = 0; size < kRecordHeader + kRecordTag; ++size) {
    std::vector<uint8_t> record(size, 0x17);
    EXPECT_FALSE(keys.open(record)) << size;
  }
}

// Looks at the memory of an object before, between and after its life.
class WipeTest : public ::testing::Test {
 protected:
  bool holds(std::string_view hex) const {
    const auto wanted = rfc8448::bytes(hex);
    return std::search(memory_.begin(), memory_.end(), wanted.begin(), wanted.end()) !=
           memory_.end();
  }
  alignas(TrafficKeys) std::array<uint8_t, sizeof(TrafficKeys)> memory_{};
};

TEST_F(WipeTest, NothingSecretIsLeftBehind) {
  const auto secret = rfc8448::bytes(rfc8448::kClientSecret);
  auto* keys = new (memory_.data()) TrafficKeys(*find_suite(rfc8448::kSuite), {secret});
  EXPECT_TRUE(holds(rfc8448::kClientSecret));
  EXPECT_TRUE(holds(rfc8448::kClientKey));  // the key schedule begins with it
  EXPECT_TRUE(holds(rfc8448::kClientIv));
  std::destroy_at(keys);
  EXPECT_FALSE(holds(rfc8448::kClientSecret));
  EXPECT_FALSE(holds(rfc8448::kClientKey));
  EXPECT_FALSE(holds(rfc8448::kClientIv));
}

TEST_F(WipeTest, AnUpdateForgetsTheLastGeneration) {
  const auto secret = rfc8448::bytes(rfc8448::kClientSecret);
  auto* keys = new (memory_.data()) TrafficKeys(*find_suite(rfc8448::kSuite), {secret});
  keys->update();
  EXPECT_FALSE(holds(rfc8448::kClientSecret));
  EXPECT_FALSE(holds(rfc8448::kClientKey));
  EXPECT_FALSE(holds(rfc8448::kClientIv));
  std::destroy_at(keys);
}

}  // namespace
}  // namespace culvert::tls
