#include "common/tls/record_opener.h"

#include "common/base/check.h"

#include <openssl/ssl.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace culvert::tls {
namespace {

constexpr size_t kMaxCiphertext = kMaxPlaintext + 256;  // RFC 8446 section 5.2
constexpr size_t kMaxInner = kMaxPlaintext + 1;         // section 5.4: with type and padding

}  // namespace

Checked<std::optional<RecordOpener::Record>> RecordOpener::next(MutableBytes& in) {
  if (kept_ > 0) {
    if (!keep(in, kRecordHeader)) return std::nullopt;
    const auto size = record_size(partial_.get());
    if (!size) return size.error();
    if (!keep(in, *size)) return std::nullopt;
    kept_ = 0;
    completed_ = std::move(partial_);
    return decrypt({completed_.get(), *size});
  }
  if (in.size() < kRecordHeader) {
    if (!in.empty()) keep(in, kRecordHeader);
    return std::nullopt;
  }
  const auto size = record_size(in.data());
  if (!size) return size.error();
  if (in.size() < *size) {
    keep(in, *size);
    return std::nullopt;
  }
  const MutableBytes record = in.first(*size);
  in = in.subspan(*size);
  return decrypt(record);
}

Checked<size_t> RecordOpener::record_size(const uint8_t* header) {
  // A change_cipher_spec is tolerated before the peer's Finished only (section 5), which the
  // library has seen. The version in header[1..2] must be ignored (section 5.1); it is
  // authenticated.
  if (header[0] != static_cast<uint8_t>(ContentType::kApplicationData)) {
    return Fault{SSL_AD_UNEXPECTED_MESSAGE, "a record that is not encrypted"};
  }
  const size_t ciphertext = size_t{header[3]} << 8 | header[4];
  if (ciphertext > kMaxCiphertext) {
    return Fault{SSL_AD_RECORD_OVERFLOW, "a record of more than 2^14 + 256 bytes"};
  }
  return kRecordHeader + ciphertext;
}

Checked<std::optional<RecordOpener::Record>> RecordOpener::decrypt(MutableBytes record) {
  const auto inner = keys_.open(record);
  if (!inner) return Fault{SSL_AD_BAD_RECORD_MAC, "a record that does not decrypt"};
  if (inner->size() > kMaxInner) {
    return Fault{SSL_AD_RECORD_OVERFLOW, "a record with more than 2^14 bytes of plaintext"};
  }
  // The content type is the last byte that is not zero; zeros behind it are padding.
  size_t size = inner->size();
  while (size > 0 && (*inner)[size - 1] == 0) --size;
  if (size == 0) return Fault{SSL_AD_UNEXPECTED_MESSAGE, "a record without a content type"};
  return Record{static_cast<ContentType>((*inner)[size - 1]), inner->first(size - 1)};
}

bool RecordOpener::keep(MutableBytes& in, size_t size) {
  if (!partial_) partial_ = context_.take_buffer();
  const size_t n = std::min(in.size(), size - std::min(size, kept_));
  if (n > 0) std::memcpy(partial_.get() + kept_, in.data(), n);
  kept_ += n;
  in = in.subspan(n);
  return kept_ >= size;
}

size_t RecordOpener::take_partial(MutableBytes to) {
  CULVERT_CHECK(to.size() >= kept_);
  const size_t n = kept_;
  if (n > 0) std::memcpy(to.data(), partial_.get(), n);
  drop_partial();
  return n;
}

void RecordOpener::drop_partial() {
  kept_ = 0;
  if (partial_) context_.give_buffer(std::move(partial_));
}

void RecordOpener::end_input() {
  if (completed_) context_.give_buffer(std::move(completed_));
}

}  // namespace culvert::tls
