#include "common/tls/record_sealer.h"

#include "common/base/check.h"

#include <openssl/ssl.h>

#include <algorithm>
#include <array>

namespace culvert::tls {

Bytes RecordSealer::seal(RecordBatch& batch, ByteQueue& before) {
  CULVERT_CHECK(!batch.empty());
  if (owes_key_update_ || keys_.sequence() >= records_per_key_) update_keys(before);
  size_t end = 0;
  for (const RecordBatch::Record& record : batch.records()) {
    const size_t size = RecordBatch::kHeader + record.plain + RecordBatch::kTrailer;
    keys_.seal({batch.memory() + record.begin, size}, ContentType::kApplicationData);
    end = record.begin + size;
  }
  return {batch.memory(), end};
}

void RecordSealer::alert(uint8_t description, ByteQueue& out) {
  // close_notify and user_canceled are warnings, all else is fatal (RFC 8446 section 6).
  const uint8_t level = description == SSL_AD_CLOSE_NOTIFY ? SSL3_AL_WARNING : SSL3_AL_FATAL;
  append(std::array{level, description}, ContentType::kAlert, out);
}

void RecordSealer::update_keys(ByteQueue& out) {
  // The peer's keys are the peer's business: update_not_requested, so that two who answer each
  // other cannot go on for ever.
  constexpr std::array<uint8_t, 5> kKeyUpdate{SSL3_MT_KEY_UPDATE, 0, 0, 1,
                                              SSL_KEY_UPDATE_NOT_REQUESTED};
  append(kKeyUpdate, ContentType::kHandshake, out);
  keys_.update();
  owes_key_update_ = false;
}

void RecordSealer::append(Bytes content, ContentType type, ByteQueue& out) {
  const size_t size = RecordBatch::kHeader + content.size() + RecordBatch::kTrailer;
  const MutableBytes record = out.prepare(size).first(size);
  std::copy(content.begin(), content.end(), record.begin() + RecordBatch::kHeader);
  keys_.seal(record, type);
  out.commit(size);
}

}  // namespace culvert::tls
