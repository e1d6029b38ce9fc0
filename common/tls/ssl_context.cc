#include "common/tls/ssl_context.h"

#include "common/base/check.h"
#include "common/tls/errors.h"
#include "common/tls/library_error.h"

#include <openssl/err.h>
#include <openssl/pool.h>
#include <openssl/ssl.h>

#include <array>
#include <span>
#include <string>

namespace culvert::tls {
namespace {

constexpr std::array<uint16_t, 2> kSuites{SSL_CIPHER_AES_256_GCM_SHA384,
                                          SSL_CIPHER_AES_128_GCM_SHA256};
constexpr std::array<uint32_t, 2> kClientDecides{SSL_CIPHER_FLAG_EQUAL_PREFERENCE_WITH_NEXT, 0};
constexpr char kSuitesTls12[] =
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256";
constexpr std::array<uint16_t, 4> kGroups{SSL_GROUP_X25519, SSL_GROUP_SECP256R1,
                                          SSL_GROUP_SECP384R1, SSL_GROUP_X25519_MLKEM768};
constexpr std::array<uint16_t, 1> kPostQuantumGroups{SSL_GROUP_X25519_MLKEM768};
constexpr auto kSignatures = std::to_array<uint16_t>(
    {SSL_SIGN_ECDSA_SECP256R1_SHA256, SSL_SIGN_ECDSA_SECP384R1_SHA384,
     SSL_SIGN_ECDSA_SECP521R1_SHA512, SSL_SIGN_ED25519, SSL_SIGN_RSA_PSS_RSAE_SHA256,
     SSL_SIGN_RSA_PSS_RSAE_SHA384, SSL_SIGN_RSA_PSS_RSAE_SHA512, SSL_SIGN_RSA_PKCS1_SHA256,
     SSL_SIGN_RSA_PKCS1_SHA384, SSL_SIGN_RSA_PKCS1_SHA512});
constexpr std::array<uint8_t, 3> kAlpn{2, 'h', '2'};
// What rustls accepts for one handshake message, so that no chain that Istio's ztunnel takes is
// refused here.
constexpr size_t kMaxCertificateBytes = size_t{64} * 1024;

// RFC 7301 section 3.2: a server that shares no protocol with a client that named some sends
// no_application_protocol. Not called for a client that named none.
int select_h2(SSL*, const uint8_t** out, uint8_t* out_size, const uint8_t* offered, unsigned size,
              void*) {
  const uint8_t* const end = offered + size;
  while (offered < end && offered + 1 + offered[0] <= end) {
    if (offered[0] == 2 && offered[1] == 'h' && offered[2] == '2') {
      *out = offered + 1;
      *out_size = 2;
      return SSL_TLSEXT_ERR_OK;
    }
    offered += 1 + offered[0];
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

bool set_protocol(SSL_CTX* context, const Options& options) {
  const auto& groups = options.pqc_only ? std::span<const uint16_t>(kPostQuantumGroups)
                                        : std::span<const uint16_t>(kGroups);
  const uint16_t lowest = options.allow_tls12 ? TLS1_2_VERSION : TLS1_3_VERSION;
  return SSL_CTX_set_min_proto_version(context, lowest) == 1 &&
         SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1 &&
         SSL_CTX_set1_tls13_ciphers(context, kSuites.data(), kClientDecides.data(),
                                    kSuites.size()) == 1 &&
         SSL_CTX_set_strict_cipher_list(context, kSuitesTls12) == 1 &&
         SSL_CTX_set1_group_ids(context, groups.data(), groups.size()) == 1 &&
         SSL_CTX_set_verify_algorithm_prefs(context, kSignatures.data(), kSignatures.size()) == 1;
}

bool set_certificate(SSL_CTX* context, const OwnCertificate& own) {
  std::vector<CRYPTO_BUFFER*> chain;
  chain.reserve(own.chain.size());
  for (const auto& certificate : own.chain) chain.push_back(certificate.get());
  return SSL_CTX_set_chain_and_key(context, chain.data(), chain.size(), &own.key, nullptr) == 1;
}

}  // namespace

Result<bssl::UniquePtr<SSL_CTX>> make_ssl_context(Role role, const Options& options,
                                                  const OwnCertificate& own,
                                                  ssl_verify_result_t (*verify)(SSL*, uint8_t*)) {
  ERR_clear_error();
  bssl::UniquePtr<SSL_CTX> context(SSL_CTX_new(TLS_with_buffers_method()));
  if (!context || !set_protocol(context.get(), options) || !set_certificate(context.get(), own)) {
    return Error(Errc::kBadCertificate,
                 "the TLS library does not take the certificate: " + take_library_errors());
  }
  SSL_CTX_set1_buffer_pool(context.get(), &own.pool);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_TICKET);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_max_cert_list(context.get(), kMaxCertificateBytes);
  SSL_CTX_set_custom_verify(context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                            verify);
  if (role == Role::kServer) {
    SSL_CTX_set_alpn_select_cb(context.get(), select_h2, nullptr);
  } else {
    // This one function returns zero on success.
    CULVERT_CHECK(SSL_CTX_set_alpn_protos(context.get(), kAlpn.data(), kAlpn.size()) == 0);
  }
  return context;
}

bssl::UniquePtr<SSL> make_ssl(SSL_CTX& context, Role role, const Options& options) {
  bssl::UniquePtr<SSL> ssl(SSL_new(&context));
  CULVERT_CHECK(ssl);
  SSL_set_shed_handshake_config(ssl.get(), 1);
  if (role == Role::kServer) {
    SSL_set_accept_state(ssl.get());
    return ssl;
  }
  SSL_set_connect_state(ssl.get());
  const uint16_t first = options.pqc_only ? kPostQuantumGroups[0] : kGroups[0];
  CULVERT_CHECK(SSL_set1_client_key_shares(ssl.get(), &first, 1) == 1);
  return ssl;
}

}  // namespace culvert::tls
