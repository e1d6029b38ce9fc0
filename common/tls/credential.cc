#include "common/tls/credential.h"

#include "common/base/check.h"
#include "common/base/log.h"
#include "common/tls/certificate.h"
#include "common/tls/credential_impl.h"
#include "common/tls/errors.h"
#include "common/tls/library_error.h"
#include "common/tls/pem.h"
#include "common/tls/verify.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/pool.h>
#include <openssl/sha2.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <string_view>

namespace culvert::tls {
namespace {

const log::Target kLog{"tls::credential"};
constexpr size_t kMaxRoots = 1000;
constexpr size_t kMaxIntermediates = 16;

Error bad(std::string_view what, std::string_view why) {
  return {Errc::kBadCertificate, std::string(what) + ": " + std::string(why)};
}

struct Parsed {
  bssl::UniquePtr<CRYPTO_BUFFER> der;
  bssl::UniquePtr<X509> certificate;
};

Result<Parsed> parse(const std::vector<uint8_t>& der, CRYPTO_BUFFER_POOL* pool,
                     std::string_view what) {
  ERR_clear_error();
  Parsed parsed;
  parsed.der.reset(CRYPTO_BUFFER_new(der.data(), der.size(), pool));
  CULVERT_CHECK(parsed.der);
  parsed.certificate.reset(X509_parse_from_buffer(parsed.der.get()));
  if (!parsed.certificate) {
    return bad(what, "not an X.509 certificate: " + take_library_errors());
  }
  return parsed;
}

// The first certificate of `pem`.
Result<Parsed> parse_first(std::string_view pem, CRYPTO_BUFFER_POOL* pool, std::string_view what) {
  auto blocks = certificate_blocks(pem, what);
  if (!blocks) return blocks.error();
  if (blocks->empty()) return bad(what, "no certificate in the PEM text");
  return parse(blocks->front(), pool, what);
}

Result<> add_leaf(Credential::Impl& impl, const CredentialPem& pem) {
  auto leaf = parse_first(pem.leaf, impl.pool.get(), "leaf certificate");
  if (!leaf) return leaf.error();
  const X509& certificate = *leaf->certificate;
  if (auto fit = check_key(certificate); !fit) {
    return bad("leaf certificate", fit.error().context);
  }
  const auto times = validity(certificate);
  if (!times) return bad("leaf certificate", "its validity does not parse");
  impl.not_before = times->not_before;
  impl.not_after = times->not_after;
  auto identities = spiffe_identities(certificate);
  if (!identities) return bad("leaf certificate", identities.error().context);
  if (!identities->empty()) impl.identity = std::move(identities->front());

  auto key = parse_private_key(pem.private_key, "private key");
  if (!key) return key.error();
  if (EVP_PKEY_cmp(X509_get0_pubkey(&certificate), key->get()) != 1) {
    return bad("private key", "it does not belong to the leaf certificate");
  }
  impl.key = std::move(*key);
  impl.chain_info.push_back(describe(certificate));
  impl.chain.push_back(std::move(leaf->der));
  return {};
}

Result<> add_intermediates(Credential::Impl& impl, const CredentialPem& pem) {
  if (pem.intermediates.size() > kMaxIntermediates) {
    return bad("intermediate certificates", "more than 16");
  }
  for (const std::string& text : pem.intermediates) {
    auto intermediate = parse_first(text, impl.pool.get(), "intermediate certificate");
    if (!intermediate) return intermediate.error();
    impl.chain_info.push_back(describe(*intermediate->certificate));
    impl.chain.push_back(std::move(intermediate->der));
  }
  return {};
}

// A root that does not parse is skipped, as in Istio's ztunnel: the other roots still tell friend
// from foe.
Result<> add_roots(Credential::Impl& impl, const CredentialPem& pem) {
  auto blocks = certificate_blocks(pem.roots, "root certificates");
  if (!blocks) return blocks.error();
  if (blocks->size() > kMaxRoots) return bad("root certificates", "more than 1000");
  impl.store.reset(X509_STORE_new());
  CULVERT_CHECK(impl.store);
  SHA256_CTX hash;
  SHA256_Init(&hash);
  for (const auto& der : *blocks) {
    auto root = parse(der, impl.pool.get(), "root certificate");
    if (!root) {
      kLog.warn("skipping a trust root that does not parse: {}", root.error().message());
      continue;
    }
    CULVERT_CHECK(X509_STORE_add_cert(impl.store.get(), root->certificate.get()) == 1);
    const uint64_t size = der.size();
    SHA256_Update(&hash, &size, sizeof(size));
    SHA256_Update(&hash, der.data(), der.size());
    impl.root_info.push_back(describe(*root->certificate));
    impl.trust_anchors.push_back(std::move(root->certificate));
  }
  SHA256_Final(impl.roots_id.data(), &hash);
  if (impl.trust_anchors.empty()) return bad("root certificates", "no usable trust root");
  return {};
}

}  // namespace

Credential::Impl::Slot& Credential::Impl::slot(Role role, const Options& options) const {
  const size_t index = (role == Role::kServer ? 1U : 0U) | (options.allow_tls12 ? 2U : 0U) |
                       (options.pqc_only ? 4U : 0U);
  Slot& found = slots_[index];
  std::call_once(found.once, [&] {
    auto made = make_ssl_context(role, options, {chain, *key, *pool}, verify_callback);
    if (made) {
      found.context = std::move(*made);
    } else {
      found.error = made.error();
    }
  });
  return found;
}

Result<> Credential::Impl::prepare(Role role, const Options& options) const {
  const Slot& made = slot(role, options);
  if (!made.context) return made.error;
  return {};
}

SSL_CTX& Credential::Impl::ssl_context(Role role, const Options& options) const {
  const Slot& made = slot(role, options);
  // What can fail depends on the certificate only, and make() tried that.
  CULVERT_CHECK(made.context);
  return *made.context;
}

Credential::Credential(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Credential::~Credential() = default;

Result<std::shared_ptr<const Credential>> Credential::make(const CredentialPem& pem) {
  auto impl = std::make_unique<Impl>();
  impl->pool.reset(CRYPTO_BUFFER_POOL_new());
  CULVERT_CHECK(impl->pool);
  if (auto done = add_leaf(*impl, pem); !done) return done.error();
  if (auto done = add_intermediates(*impl, pem); !done) return done.error();
  if (auto done = add_roots(*impl, pem); !done) return done.error();
  if (auto done = impl->prepare(Role::kServer, Options{}); !done) return done.error();
  return std::shared_ptr<const Credential>(new Credential(std::move(impl)));
}

const std::optional<state::Identity>& Credential::identity() const { return impl_->identity; }
WallTime Credential::not_before() const { return impl_->not_before; }
WallTime Credential::not_after() const { return impl_->not_after; }
const std::vector<CertificateInfo>& Credential::chain() const { return impl_->chain_info; }
const std::vector<CertificateInfo>& Credential::roots() const { return impl_->root_info; }

}  // namespace culvert::tls
