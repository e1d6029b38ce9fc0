#include "common/tls/chain_cache.h"

#include <gtest/gtest.h>

namespace culvert::tls {
namespace {

const WallTime kNow = WallClock::from_time_t(1'800'000'000);

Digest key(size_t number) {
  Digest digest{};
  std::memcpy(digest.data(), &number, sizeof(number));
  return digest;
}
VerifiedChain valid_for(std::chrono::seconds left) { return {kNow, kNow + left, {}}; }

TEST(ChainCache, FindsWhatWasInserted) {
  ChainCache cache;
  EXPECT_EQ(cache.find(key(1), kNow), nullptr);
  cache.insert(key(1), {kNow, kNow + std::chrono::hours(1), {{"td", "ns", "sa"}}});
  const VerifiedChain* found = cache.find(key(1), kNow);
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->identities.at(0).to_string(), "spiffe://td/ns/ns/sa/sa");
  EXPECT_EQ(cache.find(key(2), kNow), nullptr);
  EXPECT_EQ(cache.stats().hits, 1U);
  EXPECT_EQ(cache.stats().misses, 2U);
}

TEST(ChainCache, ForgetsWhatIsNotValidNow) {
  ChainCache cache;
  cache.insert(key(1), valid_for(std::chrono::seconds(10)));
  EXPECT_NE(cache.find(key(1), kNow + std::chrono::seconds(10)), nullptr);
  EXPECT_EQ(cache.find(key(1), kNow + std::chrono::seconds(11)), nullptr);
  EXPECT_EQ(cache.size(), 0U);
  cache.insert(key(1), valid_for(std::chrono::seconds(10)));
  EXPECT_EQ(cache.find(key(1), kNow - std::chrono::seconds(1)), nullptr);
}

TEST(ChainCache, DropsTheOldestAtItsCapacity) {
  ChainCache cache;
  for (size_t i = 0; i < ChainCache::kCapacity; ++i) {
    cache.insert(key(i), valid_for(std::chrono::hours(1)));
  }
  cache.insert(key(0), valid_for(std::chrono::hours(2)));  // renewed: no longer the oldest
  EXPECT_EQ(cache.size(), ChainCache::kCapacity);
  cache.insert(key(ChainCache::kCapacity), valid_for(std::chrono::hours(1)));
  EXPECT_EQ(cache.size(), ChainCache::kCapacity);
  EXPECT_EQ(cache.find(key(1), kNow), nullptr);
  EXPECT_NE(cache.find(key(0), kNow), nullptr);
  EXPECT_NE(cache.find(key(2), kNow), nullptr);
  EXPECT_NE(cache.find(key(ChainCache::kCapacity), kNow), nullptr);
}

}  // namespace
}  // namespace culvert::tls
