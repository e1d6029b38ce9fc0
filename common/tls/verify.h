#pragma once

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/state/identity.h"
#include "common/tls/chain_cache.h"
#include "common/tls/credential.h"
#include "common/tls/ssl_context.h"

#include <openssl/pool.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

// Who may talk to us. For common/tls only.
//
// 1. The chain: a path from the leaf to one of our credential's roots, at most 6 intermediates,
// everything on
//    it valid now, name constraints kept, serverAuth (we are the client) or clientAuth (we are the
//    server) allowed by every extended key usage on the path, no weak key or signature, the leaf
//    not a CA.
// 2. The identity: the server wants one SPIFFE id in its own trust domain (any, if its own
// certificate has no
//    SPIFFE id); the client wants one of `expected`, or any of the trust domain it names.
// Names of other kinds do not count.
//
// Step 1 is remembered in the cache; step 2 is done each time.
namespace culvert::tls {

struct Refusal {
  Error error;
  uint8_t alert = 0;  // what the peer is told (RFC 8446 section 6.2)
};

struct PeerCheck {
  ChainCache& cache;
  const Credential::Impl& own;
  Role role;                                  // ours
  std::span<const state::Identity> expected;  // client only
  WallTime now;
  // Client only: any identity of this trust domain will do as well; empty: none.
  std::string_view trust_domain = {};
};

// `presented` is what the peer sent, leaf first. Sets `identity` to the leaf's first SPIFFE id if
// it passes.
[[nodiscard]] std::optional<Refusal> verify_peer(const PeerCheck& check,
                                                 const STACK_OF(CRYPTO_BUFFER) * presented,
                                                 std::optional<state::Identity>& identity);

// What an engine leaves with its SSL (as application data) for the library's callback.
class PeerJudge {
 public:
  virtual ~PeerJudge() = default;
  // The alert to send, or nothing to go on.
  virtual std::optional<uint8_t> judge(const STACK_OF(CRYPTO_BUFFER) * presented) = 0;
};
ssl_verify_result_t verify_callback(SSL* ssl, uint8_t* alert);

}  // namespace culvert::tls
