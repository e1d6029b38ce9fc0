#include "common/tls/traffic_keys.h"

#include "common/base/check.h"

#include <openssl/digest.h>
#include <openssl/err.h>
#include <openssl/hkdf.h>
#include <openssl/mem.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <string_view>

namespace culvert::tls {
namespace {

// HKDF-Expand-Label of RFC 8446 section 7.1 with an empty context.
void expand_label(const EVP_MD* hash, Bytes secret, std::string_view label, MutableBytes out) {
  constexpr std::string_view kPrefix = "tls13 ";
  std::array<uint8_t, 2 + 1 + 255 + 1> info;
  size_t size = 0;
  const auto put = [&](uint8_t byte) { info[size++] = byte; };
  put(static_cast<uint8_t>(out.size() >> 8));
  put(static_cast<uint8_t>(out.size()));
  put(static_cast<uint8_t>(kPrefix.size() + label.size()));
  for (const std::string_view part : {kPrefix, label}) {
    for (const char c : part) put(static_cast<uint8_t>(c));
  }
  put(0);
  CULVERT_CHECK(HKDF_expand(out.data(), out.size(), hash, secret.data(), secret.size(), info.data(),
                            size) == 1);
}

}  // namespace

std::optional<Suite> find_suite(uint16_t number) {
  switch (number) {
    case SSL_CIPHER_AES_128_GCM_SHA256:
      return Suite{EVP_aead_aes_128_gcm(), EVP_sha256()};
    case SSL_CIPHER_AES_256_GCM_SHA384:
      return Suite{EVP_aead_aes_256_gcm(), EVP_sha384()};
    default:
      return std::nullopt;
  }
}

TrafficKeys::TrafficKeys(const Suite& suite, const TrafficSecret& start)
    : suite_(suite), secret_size_(EVP_MD_size(suite.hash)), sequence_(start.sequence) {
  CULVERT_CHECK(start.secret.size() == secret_size_ && secret_size_ <= secret_.size());
  std::copy(start.secret.begin(), start.secret.end(), secret_.begin());
  derive();
}

TrafficKeys::~TrafficKeys() {
  forget_key();
  OPENSSL_cleanse(secret_.data(), secret_.size());
}

void TrafficKeys::forget_key() {
  EVP_AEAD_CTX_cleanup(&aead_);
  OPENSSL_cleanse(&aead_, sizeof(aead_));  // the library leaves the key schedule
  OPENSSL_cleanse(iv_.data(), iv_.size());
}

void TrafficKeys::derive() {
  const Bytes secret(secret_.data(), secret_size_);
  std::array<uint8_t, EVP_AEAD_MAX_KEY_LENGTH> room;
  const MutableBytes key(room.data(), EVP_AEAD_key_length(suite_.aead));
  expand_label(suite_.hash, secret, "key", key);
  expand_label(suite_.hash, secret, "iv", iv_);
  CULVERT_CHECK(
      EVP_AEAD_CTX_init(&aead_, suite_.aead, key.data(), key.size(), kRecordTag, nullptr) == 1);
  OPENSSL_cleanse(room.data(), room.size());
}

void TrafficKeys::update() {
  std::array<uint8_t, 48> next;
  expand_label(suite_.hash, {secret_.data(), secret_size_}, "traffic upd",
               {next.data(), secret_size_});
  secret_ = next;
  OPENSSL_cleanse(next.data(), next.size());
  forget_key();
  derive();
  sequence_ = 0;
}

TrafficKeys::Nonce TrafficKeys::next_nonce() {
  // Sequence numbers must not wrap (RFC 8446 section 5.3). A new generation starts long before.
  CULVERT_CHECK(sequence_ != std::numeric_limits<uint64_t>::max());
  const uint64_t number = sequence_++;
  Nonce nonce = iv_;
  for (size_t i = 0; i < sizeof(number); ++i) {
    nonce[kNonce - 1 - i] ^= static_cast<uint8_t>(number >> (8 * i));
  }
  return nonce;
}

void TrafficKeys::seal(MutableBytes record, ContentType type) {
  CULVERT_CHECK(record.size() > kRecordHeader + kRecordTag);
  uint8_t* const header = record.data();
  uint8_t* const text = header + kRecordHeader;
  const size_t size = record.size() - kRecordHeader - kRecordTag;  // with the content type
  text[size - 1] = static_cast<uint8_t>(type);
  header[0] = static_cast<uint8_t>(ContentType::kApplicationData);
  header[1] = header[2] = 3;  // "TLS 1.2"
  header[3] = static_cast<uint8_t>((size + kRecordTag) >> 8);
  header[4] = static_cast<uint8_t>(size + kRecordTag);
  const Nonce nonce = next_nonce();
  size_t tag_size = 0;
  CULVERT_CHECK(EVP_AEAD_CTX_seal_scatter(&aead_, text, text + size, &tag_size, kRecordTag,
                                          nonce.data(), nonce.size(), text, size, nullptr, 0,
                                          header, kRecordHeader) == 1);
  CULVERT_CHECK(tag_size == kRecordTag);
}

std::optional<MutableBytes> TrafficKeys::open(MutableBytes record) {
  if (record.size() < kRecordHeader + kRecordTag) return std::nullopt;
  uint8_t* const text = record.data() + kRecordHeader;
  const size_t size = record.size() - kRecordHeader - kRecordTag;
  const Nonce nonce = next_nonce();
  if (EVP_AEAD_CTX_open_gather(&aead_, text, nonce.data(), nonce.size(), text, size, text + size,
                               kRecordTag, record.data(), kRecordHeader) != 1) {
    ERR_clear_error();
    return std::nullopt;
  }
  return MutableBytes(text, size);
}

}  // namespace culvert::tls
