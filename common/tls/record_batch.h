#pragma once

#include "common/base/bytes.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace culvert::tls {

// Plaintext on its way into TLS 1.3 records, laid out so that each record is sealed where it lies:
//
//   [header 5][plaintext, at most 16,384][content type 1][tag 16][header 5][plaintext] …
//
// (RFC 8446 section 5.2). Records follow each other without a gap, so a whole batch is one send.
// Whoever produces bytes writes them into a record's space (an application's socket is read
// straight into it); Engine::seal does the rest. One per worker, used within a call and never
// across. Not thread-safe.
class RecordBatch {
 public:
  static constexpr size_t kHeader = 5;
  static constexpr size_t kPlain = 16384;  // RFC 8446 section 5.1
  static constexpr size_t kTrailer = 17;   // content type and tag
  static constexpr size_t kFullRecords = 16;
  static constexpr size_t kMaxRecords = 64;
  static constexpr size_t kSize = kFullRecords * (kHeader + kPlain + kTrailer);

  // The most that a batch can be so that the kernel cuts it into full packets, of as many TCP
  // segments (of so many bytes; 0: not known) as fit into 64 KiB: a small rest would cost as much
  // on its way as a full packet.
  [[nodiscard]] static size_t whole_packets(size_t segment);

  // One record: its plaintext, with kHeader bytes before and kTrailer behind that are its own.
  struct Record {
    uint32_t begin = 0;  // of its header
    uint32_t plain = 0;  // bytes of plaintext
  };

  RecordBatch() : memory_(std::make_unique_for_overwrite<uint8_t[]>(kSize)) {}

  [[nodiscard]] bool empty() const { return plain_bytes_ == 0; }
  // Of all records together.
  [[nodiscard]] size_t plain_bytes() const { return plain_bytes_; }
  // Those with plaintext.
  [[nodiscard]] std::span<const Record> records() const;
  [[nodiscard]] uint8_t* memory() { return memory_.get(); }
  // `most`: bytes of records, sealed, that it takes from now on.
  void clear(size_t most = kSize) {
    count_ = plain_bytes_ = 0;
    most_ = std::min(most, kSize);
  }

  // Contiguous space for at least `least` bytes (1 to kPlain) of one record: what is left of the
  // last one, else a new one's. Empty: the batch is full.
  [[nodiscard]] MutableBytes prepare(size_t least);
  // The same for several records: `spaces[0]` is what prepare() gives, each further one a whole
  // record behind it. Returns how many there are room for.
  [[nodiscard]] size_t prepare(size_t least, std::span<MutableBytes> spaces);
  // `n` bytes were written to what prepare() gave: all of one space before any of the next.
  void commit(size_t n);
  // Copies; false, with nothing changed, if not all of it fits.
  bool append(Bytes bytes);

 private:
  [[nodiscard]] static size_t sealed_end(const Record& record) {
    return record.begin + kHeader + record.plain + kTrailer;
  }
  // How much plaintext a record that begins there can hold.
  [[nodiscard]] size_t capacity(size_t begin) const;
  [[nodiscard]] size_t room() const;  // of the last record
  bool open_record();

  std::unique_ptr<uint8_t[]> memory_;
  std::array<Record, kMaxRecords> records_;
  size_t count_ = 0, plain_bytes_ = 0;  // the last record may still be empty
  size_t most_ = kSize;
};

}  // namespace culvert::tls
