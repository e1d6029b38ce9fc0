#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

namespace culvert::state {

// Several byte strings in one allocation, for values that are kept by the ten thousand. What is
// part of a longer one is not kept again: a pod's uid holds its namespace and its deployment.
// Immutable.
class TextPack {
 public:
  TextPack() = default;  // without texts
  explicit TextPack(std::span<const std::string_view> texts);
  TextPack(const TextPack& other);
  TextPack& operator=(const TextPack&) = delete;

  [[nodiscard]] size_t size() const { return data_ == nullptr ? 0 : header().count; }
  // The i-th of those given; valid while this lives.
  [[nodiscard]] std::string_view operator[](size_t i) const;

 private:
  // At the start of data_; the spans follow, then the characters.
  struct Header {
    uint32_t total = 0;  // bytes of data_
    uint32_t count : 31 = 0;
    uint32_t wide : 1 = 0;  // spans have 4 bytes per number, else 2
  };
  [[nodiscard]] const Header& header() const {
    return *reinterpret_cast<const Header*>(data_.get());
  }

  std::unique_ptr<char[]> data_;
};

}  // namespace culvert::state
