#include "common/tls/chain_cache.h"

#include <utility>

namespace culvert::tls {

const VerifiedChain* ChainCache::find(const Digest& key, WallTime now) {
  const auto found = entries_.find(key);
  if (found != entries_.end()) {
    const VerifiedChain& chain = found->second.chain;
    if (chain.not_before <= now && now <= chain.not_after) {
      ++stats_.hits;
      return &chain;
    }
    erase(found);
  }
  ++stats_.misses;
  return nullptr;
}

void ChainCache::insert(const Digest& key, VerifiedChain chain) {
  if (const auto found = entries_.find(key); found != entries_.end()) erase(found);
  if (entries_.size() >= kCapacity) erase(entries_.find(by_age_.front()));
  const auto age = by_age_.insert(by_age_.end(), key);
  entries_.emplace(key, Entry{std::move(chain), age});
}

void ChainCache::erase(std::unordered_map<Digest, Entry, Hash>::iterator entry) {
  by_age_.erase(entry->second.age);
  entries_.erase(entry);
}

}  // namespace culvert::tls
