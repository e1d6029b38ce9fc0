#pragma once

#include "common/base/bytes.h"
#include "common/tls/chain_cache.h"
#include "common/tls/context.h"

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace culvert::tls {

inline constexpr size_t kMaxPlaintext = 16384;  // RFC 8446 section 5.1

// Room for one record as it is on the wire (RFC 8446 section 5.2).
using RecordBuffer = std::unique_ptr<uint8_t[]>;
inline constexpr size_t kRecordBufferSize = 5 + kMaxPlaintext + 256;

struct Context::Impl {
  Options options;
  ChainCache chains;
  // What the library's record layer sealed last.
  ByteQueue sealed;

  // Record buffers go from hand to hand: who needs one takes it, and gives it back soon.
  [[nodiscard]] RecordBuffer take_buffer() {
    if (spare.empty()) return std::make_unique_for_overwrite<uint8_t[]>(kRecordBufferSize);
    RecordBuffer buffer = std::move(spare.back());
    spare.pop_back();
    return buffer;
  }
  void give_buffer(RecordBuffer buffer) {
    if (spare.size() < kMaxSpare) spare.push_back(std::move(buffer));
  }

  static constexpr size_t kMaxSpare = 8;
  std::vector<RecordBuffer> spare;
};

}  // namespace culvert::tls
