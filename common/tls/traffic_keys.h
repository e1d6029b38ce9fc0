#pragma once

#include "common/base/bytes.h"

#include <openssl/aead.h>
#include <openssl/base.h>

#include <array>
#include <cstdint>
#include <optional>

// How one TLS 1.3 record is protected (RFC 8446 sections 5.2, 5.3, 7.2, 7.3). For common/tls only.
namespace culvert::tls {

inline constexpr size_t kRecordHeader = 5;
inline constexpr size_t kRecordTag = 16;  // of every suite that we speak

enum class ContentType : uint8_t {
  kAlert = 21,
  kHandshake = 22,
  kApplicationData = 23,
};

// What a cipher suite consists of.
struct Suite {
  const EVP_AEAD* aead;
  const EVP_MD* hash;
};
// By its number on the wire: the two that we offer (ssl_context.h), nothing for others.
[[nodiscard]] std::optional<Suite> find_suite(uint16_t number);

// A direction's traffic secret as the handshake left it, with the number of the next record.
struct TrafficSecret {
  Bytes secret;
  uint64_t sequence = 0;
};

// One direction's keys. Everything secret is overwritten when it is not needed any more: at
// update() and at the end. Single-threaded; does not move.
class TrafficKeys {
 public:
  TrafficKeys(const Suite& suite, const TrafficSecret& start);
  ~TrafficKeys();
  TrafficKeys(const TrafficKeys&) = delete;
  TrafficKeys& operator=(const TrafficKeys&) = delete;

  // Makes a record of [header 5][content][type 1][tag 16], of which `content` is written and at
  // most 16,384 bytes, where it lies.
  void seal(MutableBytes record, ContentType type);
  // Decrypts a record ([header][ciphertext][tag], whole) where it lies: the inner plaintext with
  // its content type and padding. Nothing if it is not authentic; its bytes are lost then.
  [[nodiscard]] std::optional<MutableBytes> open(MutableBytes record);

  // The next generation (KeyUpdate, section 7.2).
  void update();
  // Records sealed or opened with this generation.
  [[nodiscard]] uint64_t sequence() const { return sequence_; }

 private:
  static constexpr size_t kNonce = 12;
  using Nonce = std::array<uint8_t, kNonce>;

  void derive();
  void forget_key();
  [[nodiscard]] Nonce next_nonce();

  const Suite suite_;
  const size_t secret_size_;
  std::array<uint8_t, 48> secret_;  // room for SHA-384
  EVP_AEAD_CTX aead_;
  Nonce iv_;
  uint64_t sequence_;
};

}  // namespace culvert::tls
