#pragma once

#include <cstdint>
#include <memory>

namespace culvert::tls {

struct Options {
  bool allow_tls12 = false;  // TLS12_ENABLED: also ECDHE-{ECDSA,RSA}-AES{256,128}-GCM
  bool pqc_only = false;     // COMPLIANCE_POLICY=pqc: key exchange X25519MLKEM768 only
};

// What engines of one worker share: options and the cache of verified chains. One per worker
// thread, outlives its engines; not thread-safe.
//
// A chain that verified is remembered by (hash of the presented chain, the trust roots, role) until
// the earliest expiry in it, so that a peer's second connection costs one signature check, not a
// path build. Bounded; the oldest entry goes first.
class Context {
 public:
  explicit Context(Options options);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  struct CacheStats {
    uint64_t hits = 0, misses = 0;
  };
  [[nodiscard]] CacheStats cache_stats() const;

  // For common/tls only.
  struct Impl;
  [[nodiscard]] Impl& impl() { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace culvert::tls
