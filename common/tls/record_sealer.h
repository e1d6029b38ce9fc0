#pragma once

#include "common/base/bytes.h"
#include "common/tls/record_batch.h"
#include "common/tls/traffic_keys.h"

#include <cstdint>

namespace culvert::tls {

// Our records of an established TLS 1.3 connection. For common/tls only; single-threaded.
class RecordSealer {
 public:
  // No batch is sealed with keys that have sealed `records_per_key` records: they are updated
  // first.
  RecordSealer(const Suite& suite, const TrafficSecret& start, uint64_t records_per_key)
      : keys_(suite, start), records_per_key_(records_per_key) {}

  // Seals every record of `batch`, which is not empty, where it lies: the bytes to send. A
  // KeyUpdate that has to go out first is appended to `before`.
  [[nodiscard]] Bytes seal(RecordBatch& batch, ByteQueue& before);
  // Before our next application data the peer is sent a KeyUpdate; one answers any number of its
  // requests (RFC 8446 section 4.6.3).
  void owe_key_update() { owes_key_update_ = true; }
  void alert(uint8_t description, ByteQueue& out);

 private:
  void update_keys(ByteQueue& out);
  void append(Bytes content, ContentType type, ByteQueue& out);

  TrafficKeys keys_;
  const uint64_t records_per_key_;
  bool owes_key_update_ = false;
};

}  // namespace culvert::tls
