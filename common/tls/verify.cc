#include "common/tls/verify.h"

#include "common/tls/certificate.h"
#include "common/tls/credential_impl.h"
#include "common/tls/errors.h"

#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/pool.h>
#include <openssl/sha2.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <algorithm>
#include <string>

namespace culvert::tls {
namespace {

constexpr size_t kMaxPresented = 16;        // certificates, needed or not
constexpr int kMaxIntermediatesOnPath = 6;  // as rustls' webpki
constexpr int kMaxNamesakes = 16;           // roots of one name that are tried one by one
constexpr size_t kMaxNamesInText = 8;

Refusal untrusted(std::string why, uint8_t alert) {
  return {Error(Errc::kUntrusted, std::move(why)), alert};
}

// Covers everything that step 1 looks at, but for the time.
Digest cache_key(const PeerCheck& check, const STACK_OF(CRYPTO_BUFFER) * presented) {
  SHA256_CTX hash;
  SHA256_Init(&hash);
  const auto role = static_cast<uint8_t>(check.role);
  SHA256_Update(&hash, &role, sizeof(role));
  SHA256_Update(&hash, check.own.roots_id.data(), check.own.roots_id.size());
  for (const CRYPTO_BUFFER* certificate : presented) {
    const uint64_t size = CRYPTO_BUFFER_len(certificate);
    SHA256_Update(&hash, &size, sizeof(size));
    SHA256_Update(&hash, CRYPTO_BUFFER_data(certificate), size);
  }
  Digest key;
  SHA256_Final(key.data(), &hash);
  return key;
}

uint8_t alert_for(int verify_error) {
  switch (verify_error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return SSL_AD_CERTIFICATE_EXPIRED;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_UNTRUSTED:
    case X509_V_ERR_CERT_CHAIN_TOO_LONG:
      return SSL_AD_UNKNOWN_CA;
    default:
      return SSL_AD_BAD_CERTIFICATE;
  }
}

struct Presented {
  bssl::UniquePtr<X509> leaf;
  bssl::UniquePtr<STACK_OF(X509)> others;
};

std::optional<Refusal> parse(const STACK_OF(CRYPTO_BUFFER) * presented, Presented& out) {
  if (sk_CRYPTO_BUFFER_num(presented) > kMaxPresented) {
    return untrusted("the peer presented more than 16 certificates", SSL_AD_BAD_CERTIFICATE);
  }
  out.others.reset(sk_X509_new_null());
  for (const CRYPTO_BUFFER* der : presented) {
    bssl::UniquePtr<X509> certificate(X509_parse_from_buffer(der));
    if (!certificate) {
      return untrusted("the peer presented a certificate that does not parse",
                       SSL_AD_BAD_CERTIFICATE);
    }
    if (!out.leaf) {
      out.leaf = std::move(certificate);
    } else {
      bssl::PushToStack(out.others.get(), std::move(certificate));
    }
  }
  return std::nullopt;
}

// One attempt to build and check a path. `only_root` narrows the trust roots to one.
int build_path(const PeerCheck& check, const Presented& peer, X509* only_root,
               bssl::UniquePtr<STACK_OF(X509)>& path) {
  bssl::UniquePtr<X509_STORE_CTX> work(X509_STORE_CTX_new());
  if (!work || X509_STORE_CTX_init(work.get(), check.own.store.get(), peer.leaf.get(),
                                   peer.others.get()) != 1) {
    return X509_V_ERR_OUT_OF_MEM;
  }
  bssl::UniquePtr<STACK_OF(X509)> narrowed;
  if (only_root != nullptr) {
    narrowed.reset(sk_X509_new_null());
    bssl::PushToStack(narrowed.get(), bssl::UpRef(only_root));
    X509_STORE_CTX_set0_trusted_stack(work.get(), narrowed.get());
  }
  X509_VERIFY_PARAM* rules = X509_STORE_CTX_get0_param(work.get());
  // A root need not be self-signed: the bundle says what we trust, whoever else vouches for it.
  X509_VERIFY_PARAM_set_flags(rules, X509_V_FLAG_PARTIAL_CHAIN);
  X509_VERIFY_PARAM_set_depth(rules, kMaxIntermediatesOnPath);
  X509_VERIFY_PARAM_set_time_posix(rules, WallClock::to_time_t(check.now));
  if (X509_verify_cert(work.get()) == 1) {
    path.reset(X509_STORE_CTX_get1_chain(work.get()));
    return X509_V_OK;
  }
  const int error = X509_STORE_CTX_get_error(work.get());
  return error != X509_V_OK ? error : X509_V_ERR_UNSPECIFIED;
}

// The library takes the first root that has the issuer's name. While a root is being rotated two of
// them often share it, so if the first one does not fit the others are tried.
int build_path(const PeerCheck& check, const Presented& peer,
               bssl::UniquePtr<STACK_OF(X509)>& path) {
  const int error = build_path(check, peer, nullptr, path);
  if (error == X509_V_OK || check.own.trust_anchors.size() < 2) return error;
  const auto issued_something = [&](const X509* root) {
    const X509_NAME* name = X509_get_subject_name(root);
    if (X509_NAME_cmp(X509_get_issuer_name(peer.leaf.get()), name) == 0) return true;
    for (const X509* other : peer.others.get()) {
      if (X509_NAME_cmp(X509_get_issuer_name(other), name) == 0) return true;
    }
    return false;
  };
  int tried = 0;
  for (const auto& root : check.own.trust_anchors) {
    if (!issued_something(root.get())) continue;
    if (++tried > kMaxNamesakes) break;
    if (build_path(check, peer, root.get(), path) == X509_V_OK) return X509_V_OK;
  }
  return error;
}

// What the library does not check, on a path that it built: leaf first, trust root last.
std::optional<Refusal> check_path(const PeerCheck& check, const STACK_OF(X509) * path) {
  const size_t count = sk_X509_num(path);
  if (count < 2 || (X509_get_extension_flags(sk_X509_value(path, 0)) & EXFLAG_CA) != 0) {
    return untrusted("a CA certificate where a workload's is expected", SSL_AD_BAD_CERTIFICATE);
  }
  const uint32_t usage = check.role == Role::kClient ? XKU_SSL_SERVER : XKU_SSL_CLIENT;
  for (size_t i = 0; i < count; ++i) {
    const X509* certificate = sk_X509_value(path, i);
    if (auto fit = check_key(*certificate); !fit) {
      return Refusal{fit.error(), SSL_AD_BAD_CERTIFICATE};
    }
    if (i + 1 == count)
      break;  // the root is trusted by choice: its usage and signature do not count
    if (auto fit = check_signature_algorithm(*certificate); !fit) {
      return Refusal{fit.error(), SSL_AD_BAD_CERTIFICATE};
    }
    // All bits are set when the certificate has no such extension.
    if ((X509_get_extended_key_usage(certificate) & usage) == 0) {
      return untrusted(check.role == Role::kClient
                           ? "its extended key usage does not allow serverAuth"
                           : "its extended key usage does not allow clientAuth",
                       SSL_AD_UNSUPPORTED_CERTIFICATE);
    }
  }
  return std::nullopt;
}

std::optional<Refusal> verify_chain(const PeerCheck& check,
                                    const STACK_OF(CRYPTO_BUFFER) * presented, VerifiedChain& out) {
  Presented peer;
  if (auto refused = parse(presented, peer)) return refused;
  bssl::UniquePtr<STACK_OF(X509)> path;
  if (const int error = build_path(check, peer, path); error != X509_V_OK) {
    return untrusted(X509_verify_cert_error_string(error), alert_for(error));
  }
  if (auto refused = check_path(check, path.get())) return refused;
  out.not_before = WallTime::min();
  out.not_after = WallTime::max();
  for (const X509* certificate : path.get()) {
    const auto times = validity(*certificate);
    if (!times) return untrusted("a validity that does not parse", SSL_AD_BAD_CERTIFICATE);
    out.not_before = std::max(out.not_before, times->not_before);
    out.not_after = std::min(out.not_after, times->not_after);
  }
  auto identities = spiffe_identities(*peer.leaf);
  if (!identities) return Refusal{identities.error(), SSL_AD_BAD_CERTIFICATE};
  out.identities = std::move(*identities);
  return std::nullopt;
}

std::string join(std::span<const state::Identity> identities) {
  std::string text;
  for (size_t i = 0; i < identities.size(); ++i) {
    if (i == kMaxNamesInText) {
      return text + ",… (" + std::to_string(identities.size()) + " in total)";
    }
    if (i > 0) text += ',';
    text += identities[i].to_string();
  }
  return text.empty() ? "none" : text;
}

std::optional<Refusal> check_trust_domain(std::string_view domain,
                                          const std::vector<state::Identity>& found) {
  const bool same = std::any_of(found.begin(), found.end(), [&](const state::Identity& identity) {
    return identity.trust_domain == domain;
  });
  if (same) return std::nullopt;
  return Refusal{
      Error(Errc::kTrustDomain, "peer did not present a SAN of the expected trust domain (" +
                                    std::string(domain) + "), got " + join(found)),
      SSL_AD_CERTIFICATE_UNKNOWN};
}

// Other implementations say certificate_unknown when the chain is good and the name is not; so do
// we.
std::optional<Refusal> check_identity(const PeerCheck& check,
                                      const std::vector<state::Identity>& found) {
  if (check.role == Role::kClient) {
    for (const auto& identity : found) {
      if (std::find(check.expected.begin(), check.expected.end(), identity) !=
          check.expected.end()) {
        return std::nullopt;
      }
    }
    if (!check.trust_domain.empty()) return check_trust_domain(check.trust_domain, found);
    return Refusal{Error(Errc::kIdentity, "peer did not present the expected SAN (" +
                                              join(check.expected) + "), got " + join(found)),
                   SSL_AD_CERTIFICATE_UNKNOWN};
  }
  if (!check.own.identity) return std::nullopt;
  return check_trust_domain(check.own.identity->trust_domain, found);
}

}  // namespace

std::optional<Refusal> verify_peer(const PeerCheck& check,
                                   const STACK_OF(CRYPTO_BUFFER) * presented,
                                   std::optional<state::Identity>& identity) {
  if (presented == nullptr || sk_CRYPTO_BUFFER_num(presented) == 0) {
    return Refusal{Error(Errc::kNoCertificate), SSL_AD_CERTIFICATE_REQUIRED};
  }
  const Digest key = cache_key(check, presented);
  VerifiedChain fresh;
  const VerifiedChain* chain = check.cache.find(key, check.now);
  if (chain == nullptr) {
    auto refused = verify_chain(check, presented, fresh);
    ERR_clear_error();
    if (refused) return refused;
    chain = &fresh;
  }
  auto refused = check_identity(check, chain->identities);
  if (!refused && !chain->identities.empty()) identity = chain->identities.front();
  if (chain == &fresh) check.cache.insert(key, std::move(fresh));
  return refused;
}

ssl_verify_result_t verify_callback(SSL* ssl, uint8_t* alert) {
  auto* judge = static_cast<PeerJudge*>(SSL_get_app_data(ssl));
  const auto refused = judge->judge(SSL_get0_peer_certificates(ssl));
  if (!refused) return ssl_verify_ok;
  *alert = *refused;
  return ssl_verify_invalid;
}

}  // namespace culvert::tls
