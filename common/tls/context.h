#pragma once

#include <cstdint>
#include <memory>

namespace culvert::tls {

// Who protects the records of an established TLS 1.3 connection.
enum class RecordLayer : uint8_t {
  kOwn,      // our code (own_records.h), in place: what is fast
  kLibrary,  // the TLS library, as it does the handshake: to compare with, or to fall back on
};

struct Options {
  bool allow_tls12 = false;  // TLS12_ENABLED: also ECDHE-{ECDSA,RSA}-AES{256,128}-GCM
  bool pqc_only = false;     // COMPLIANCE_POLICY=pqc: key exchange X25519MLKEM768 only

  // TLS 1.2 connections are the library's in any case.
#ifdef CULVERT_LIBRARY_RECORDS
  RecordLayer record_layer = RecordLayer::kLibrary;
#else
  RecordLayer record_layer = RecordLayer::kOwn;
#endif
  // After so many records of ours the keys are updated. RFC 8446 section 5.5: at most 2^24.5 with
  // AES-GCM; other implementations stop at 2^24.
  uint64_t records_per_key = uint64_t{1} << 23;
};

// What engines of one worker share: options, the cache of verified chains, buffers. One per worker
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
