#pragma once

#include "common/tls/chain_cache.h"
#include "common/tls/context.h"

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace culvert::tls {

// Room for the plaintext of one record.
using RecordBuffer = std::unique_ptr<uint8_t[]>;
inline constexpr size_t kMaxPlaintext = 16384;  // RFC 8446 section 5.1

struct Context::Impl {
  Options options;
  ChainCache chains;

  // A record buffer for the duration of one call. More than one is out at a time only where TLS
  // runs inside TLS (double HBONE): the outer record's plaintext is in use while the inner one is
  // opened.
  class Scratch {
   public:
    explicit Scratch(Impl& owner) : owner_(owner) {
      if (owner.spare.empty()) {
        buffer_ = std::make_unique_for_overwrite<uint8_t[]>(kMaxPlaintext);
      } else {
        buffer_ = std::move(owner.spare.back());
        owner.spare.pop_back();
      }
    }
    ~Scratch() {
      if (owner_.spare.size() < kMaxSpare) owner_.spare.push_back(std::move(buffer_));
    }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    [[nodiscard]] uint8_t* data() { return buffer_.get(); }

   private:
    static constexpr size_t kMaxSpare = 4;
    Impl& owner_;
    RecordBuffer buffer_;
  };
  std::vector<RecordBuffer> spare;
};

}  // namespace culvert::tls
