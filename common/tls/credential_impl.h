#pragma once

#include "common/tls/chain_cache.h"
#include "common/tls/credential.h"
#include "common/tls/ssl_context.h"

#include <openssl/base.h>

#include <array>
#include <mutex>
#include <vector>

namespace culvert::tls {

// All of it is written by Credential::make and only read afterwards, but for the contexts, which
// any thread may be the first to need.
struct Credential::Impl {
  bssl::UniquePtr<CRYPTO_BUFFER_POOL> pool;
  std::vector<bssl::UniquePtr<CRYPTO_BUFFER>> chain;
  bssl::UniquePtr<EVP_PKEY> key;
  std::vector<bssl::UniquePtr<X509>> trust_anchors;
  bssl::UniquePtr<X509_STORE> store;  // of trust_anchors
  Digest roots_id{};                  // of the trust anchors: equal bundles share verified chains

  std::optional<state::Identity> identity;
  WallTime not_before, not_after;
  std::vector<CertificateInfo> chain_info, root_info;

  // Built on first use and kept: one per role and options.
  [[nodiscard]] SSL_CTX& ssl_context(Role role, const Options& options) const;
  // The same, saying why it cannot be built.
  [[nodiscard]] Result<> prepare(Role role, const Options& options) const;

 private:
  struct Slot {
    std::once_flag once;
    bssl::UniquePtr<SSL_CTX> context;
    Error error;
  };
  Slot& slot(Role role, const Options& options) const;
  mutable std::array<Slot, 8> slots_;
};

}  // namespace culvert::tls
