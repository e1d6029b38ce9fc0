#pragma once

#include "common/base/clock.h"
#include "common/state/identity.h"
#include "common/tls/context.h"

#include <array>
#include <cstdint>
#include <cstring>
#include <list>
#include <unordered_map>
#include <vector>

namespace culvert::tls {

using Digest = std::array<uint8_t, 32>;  // SHA-256

// What verifying a chain of certificates found out, true while `not_before` <= now <= `not_after`.
struct VerifiedChain {
  WallTime not_before, not_after;           // the narrowest window of all certificates on the path
  std::vector<state::Identity> identities;  // of the leaf, in order
};

// Verified chains by a digest of all that the verdict depends on. At most kCapacity; the oldest
// goes first. Not thread-safe.
class ChainCache {
 public:
  static constexpr size_t kCapacity = 4096;

  // Null when unknown or not valid at `now`. The pointer lasts until the next insert.
  [[nodiscard]] const VerifiedChain* find(const Digest& key, WallTime now);
  // Replaces what is there under the same key.
  void insert(const Digest& key, VerifiedChain chain);

  [[nodiscard]] size_t size() const { return entries_.size(); }
  [[nodiscard]] const Context::CacheStats& stats() const { return stats_; }

 private:
  // The key is a cryptographic hash: any part of it is one as good.
  struct Hash {
    size_t operator()(const Digest& key) const {
      size_t value = 0;
      std::memcpy(&value, key.data(), sizeof(value));
      return value;
    }
  };
  struct Entry {
    VerifiedChain chain;
    std::list<Digest>::iterator age;
  };
  void erase(std::unordered_map<Digest, Entry, Hash>::iterator entry);

  std::unordered_map<Digest, Entry, Hash> entries_;
  std::list<Digest> by_age_;  // oldest first
  Context::CacheStats stats_;
};

}  // namespace culvert::tls
