#pragma once

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/h2/headers.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

struct nghttp2_hd_deflater;
struct nghttp2_hd_inflater;

// Header compression (RFC 7541), by nghttp2's HPACK, with the rules on what a head may hold. One
// encoder and one decoder per connection; single-threaded.
namespace culvert::h2 {

class HeadEncoder {
 public:
  HeadEncoder();
  // The block of `fields`, appended to `out`. Blocks must be sent in the order of the calls.
  void encode(std::span<const Field> fields, ByteQueue& out);
  // The peer's SETTINGS_HEADER_TABLE_SIZE; more than the default is not used.
  void set_table_size(uint32_t size);

 private:
  struct Deleter {
    void operator()(nghttp2_hd_deflater* of) const;
  };
  std::unique_ptr<nghttp2_hd_deflater, Deleter> deflater_;
};

enum class HeadKind : uint8_t { kRequest, kResponse, kTrailers };

struct DecodedHead {
  enum class Verdict : uint8_t {
    kGood,
    kMalformed,  // RFC 9113 section 8.1.1: a stream error
    kTooLarge,   // over the limit: its fields are left out
  };
  Verdict verdict = Verdict::kGood;
  Head head;
};

class HeadDecoder {
 public:
  // `max_list`: SETTINGS_MAX_HEADER_LIST_SIZE, counted as RFC 9113 section 6.5.2 says, on decoded
  // fields, so that compression cannot multiply a small block into a large one.
  explicit HeadDecoder(uint32_t max_list);
  // A whole block. Error: it cannot be decompressed, and neither can any later one (COMPRESSION_
  // ERROR). A malformed head is decoded to its end all the same, since later ones depend on it.
  Result<DecodedHead> decode(Bytes block, HeadKind kind);

 private:
  struct Deleter {
    void operator()(nghttp2_hd_inflater* of) const;
  };
  std::unique_ptr<nghttp2_hd_inflater, Deleter> inflater_;
  uint32_t max_list_;
};

}  // namespace culvert::h2
