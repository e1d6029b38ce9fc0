#pragma once

#include "common/base/check.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>

namespace culvert {

using Bytes = std::span<const uint8_t>;
using MutableBytes = std::span<uint8_t>;

inline Bytes as_bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// A byte queue with a read end and a write end over one allocation that is made on first use and
// can be given back when empty. Not thread-safe.
class ByteQueue {
 public:
  ByteQueue() = default;
  ByteQueue(ByteQueue&&) = default;
  ByteQueue& operator=(ByteQueue&&) = default;

  [[nodiscard]] Bytes readable() const { return {data_.get() + begin_, end_ - begin_}; }
  [[nodiscard]] MutableBytes readable() { return {data_.get() + begin_, end_ - begin_}; }
  [[nodiscard]] bool empty() const { return begin_ == end_; }
  [[nodiscard]] size_t size() const { return end_ - begin_; }
  [[nodiscard]] size_t capacity() const { return capacity_; }

  // At least `n` contiguous writable bytes; moves what is queued to the front, grows when it must.
  MutableBytes prepare(size_t n);
  void commit(size_t n) {
    CULVERT_CHECK(n <= capacity_ - end_);
    end_ += n;
  }
  void append(Bytes bytes) {
    if (bytes.empty()) return;
    std::memcpy(prepare(bytes.size()).data(), bytes.data(), bytes.size());
    commit(bytes.size());
  }
  void consume(size_t n) {
    CULVERT_CHECK(n <= size());
    begin_ += n;
    if (begin_ == end_) begin_ = end_ = 0;
  }
  void clear() { begin_ = end_ = 0; }
  // Gives the memory back if nothing is queued and it is more than `keep`: an idle connection holds
  // no buffer.
  void shrink(size_t keep = 0) {
    if (!empty() || capacity_ <= keep) return;
    data_.reset();
    begin_ = end_ = capacity_ = 0;
  }

 private:
  std::unique_ptr<uint8_t[]> data_;
  size_t capacity_ = 0, begin_ = 0, end_ = 0;
};

}  // namespace culvert
