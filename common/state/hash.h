#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>

namespace culvert::state {

static_assert(sizeof(size_t) == 8, "shards are chosen by the top bits of a 64-bit hash");

// Order matters, and parts do not run together: ("a", "bc") and ("ab", "c") differ.
inline size_t combine_hash(size_t seed, size_t value) {
  uint64_t x = seed + 0x9e3779b97f4a7c15ULL + value * 0xff51afd7ed558ccdULL;
  x = (x ^ (x >> 32)) * 0xc4ceb9fe1a85ec53ULL;
  return x ^ (x >> 29);
}

inline size_t hash_text(std::string_view text) {
  return combine_hash(0, std::hash<std::string_view>{}(text));
}

template <class... Texts>
size_t hash_text(std::string_view first, const Texts&... rest) {
  size_t hash = hash_text(first);
  ((hash = combine_hash(hash, std::hash<std::string_view>{}(rest))), ...);
  return hash;
}

}  // namespace culvert::state
