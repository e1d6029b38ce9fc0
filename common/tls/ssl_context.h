#pragma once

#include "common/base/result.h"
#include "common/tls/context.h"

#include <openssl/base.h>

#include <cstdint>
#include <vector>

// What both sides of the mesh agree to speak. For common/tls only.
namespace culvert::tls {

enum class Role : uint8_t { kClient, kServer };

struct OwnCertificate {
  const std::vector<bssl::UniquePtr<CRYPTO_BUFFER>>& chain;  // leaf first, without root
  EVP_PKEY& key;
  CRYPTO_BUFFER_POOL& pool;  // keeps each peer certificate once, however many connections show it
};

// Versions, suites, groups, signature algorithms, ALPN "h2", our certificate; no resumption, no
// tickets; the peer's certificate is demanded and given to `verify`, the only judge. May be used by
// any thread.
//
// TLS 1.3 suites are AES-256-GCM-SHA384, then AES-128-GCM-SHA256, and never ChaCha20: a client
// offers them in this order; a server takes the client's favourite of the two, as rustls does by
// default. (The library's default would order them by what the CPU is good at and add ChaCha20.)
// Likewise a server follows the client's order of key exchange groups, and a client sends a share
// for its first group only.
Result<bssl::UniquePtr<SSL_CTX>> make_ssl_context(Role role, const Options& options,
                                                  const OwnCertificate& own,
                                                  ssl_verify_result_t (*verify)(SSL*, uint8_t*));

// A connection on that context, not started.
[[nodiscard]] bssl::UniquePtr<SSL> make_ssl(SSL_CTX& context, Role role, const Options& options);

}  // namespace culvert::tls
