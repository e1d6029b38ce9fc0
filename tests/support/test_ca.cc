#include "tests/support/test_ca.h"

#include "common/tls/pem.h"

#include <openssl/asn1.h>
#include <openssl/bn.h>
#include <openssl/bytestring.h>
#include <openssl/curve25519.h>
#include <openssl/digest.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <stdexcept>

namespace culvert::test {
namespace {

void must(bool ok, const char* what) {
  if (!ok) throw std::runtime_error(std::string("test CA: ") + what);
}

bssl::UniquePtr<EVP_PKEY> make_ec(int curve) {
  bssl::UniquePtr<EC_KEY> ec(EC_KEY_new_by_curve_name(curve));
  bssl::UniquePtr<EVP_PKEY> key(EVP_PKEY_new());
  must(EC_KEY_generate_key(ec.get()) == 1 && EVP_PKEY_set1_EC_KEY(key.get(), ec.get()) == 1, "EC");
  return key;
}

bssl::UniquePtr<EVP_PKEY> make_rsa(int bits) {
  bssl::UniquePtr<RSA> rsa(RSA_new());
  bssl::UniquePtr<BIGNUM> exponent(BN_new());
  bssl::UniquePtr<EVP_PKEY> key(EVP_PKEY_new());
  must(BN_set_word(exponent.get(), RSA_F4) == 1 &&
           RSA_generate_key_ex(rsa.get(), bits, exponent.get(), nullptr) == 1 &&
           EVP_PKEY_set1_RSA(key.get(), rsa.get()) == 1,
       "RSA");
  return key;
}

bssl::UniquePtr<EVP_PKEY> make_key(CertSpec::Key kind) {
  switch (kind) {
    case CertSpec::Key::kP256:
      return make_ec(NID_X9_62_prime256v1);
    case CertSpec::Key::kP384:
      return make_ec(NID_secp384r1);
    case CertSpec::Key::kRsa1024:
      return make_rsa(1024);
    case CertSpec::Key::kRsa2048:
      return make_rsa(2048);
    case CertSpec::Key::kEd25519: {
      uint8_t seed[32];
      RAND_bytes(seed, sizeof(seed));
      return bssl::UniquePtr<EVP_PKEY>(
          EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed, sizeof(seed)));
    }
  }
  throw std::logic_error("key kind");
}

void add(X509* certificate, int nid, void* value, bool critical) {
  must(X509_add1_ext_i2d(certificate, nid, value, critical ? 1 : 0, 0) == 1, "extension");
}

void add_name(GENERAL_NAMES* names, int type, const std::string& text) {
  bssl::UniquePtr<GENERAL_NAME> name(GENERAL_NAME_new());
  ASN1_IA5STRING* value = ASN1_IA5STRING_new();
  must(ASN1_STRING_set(value, text.data(), static_cast<ossl_ssize_t>(text.size())) == 1, "name");
  GENERAL_NAME_set0_value(name.get(), type, value);
  must(bssl::PushToStack(names, std::move(name)), "name");
}

void add_san(X509* certificate, const CertSpec& spec) {
  if (spec.uris.empty() && spec.dns_names.empty()) return;
  bssl::UniquePtr<GENERAL_NAMES> names(GENERAL_NAMES_new());
  for (const auto& dns : spec.dns_names) add_name(names.get(), GEN_DNS, dns);
  for (const auto& uri : spec.uris) add_name(names.get(), GEN_URI, uri);
  add(certificate, NID_subject_alt_name, names.get(), spec.organization.empty());
}

void add_usages(X509* certificate, const CertSpec& spec) {
  if (!spec.usages) return;
  bssl::UniquePtr<EXTENDED_KEY_USAGE> usages(sk_ASN1_OBJECT_new_null());
  for (const auto usage : *spec.usages) {
    const int nid = usage == CertSpec::Usage::kClient   ? NID_client_auth
                    : usage == CertSpec::Usage::kServer ? NID_server_auth
                                                        : NID_code_sign;
    must(bssl::PushToStack(usages.get(), bssl::UniquePtr<ASN1_OBJECT>(OBJ_nid2obj(nid))), "EKU");
  }
  add(certificate, NID_ext_key_usage, usages.get(), false);
}

void add_name_constraint(X509* certificate, const std::string& host) {
  if (host.empty()) return;
  bssl::UniquePtr<NAME_CONSTRAINTS> constraints(NAME_CONSTRAINTS_new());
  GENERAL_SUBTREE* subtree = GENERAL_SUBTREE_new();
  ASN1_IA5STRING* value = ASN1_IA5STRING_new();
  must(ASN1_STRING_set(value, host.data(), static_cast<ossl_ssize_t>(host.size())) == 1, "host");
  GENERAL_NAME_set0_value(subtree->base, GEN_URI, value);
  constraints->permittedSubtrees = sk_GENERAL_SUBTREE_new_null();
  must(sk_GENERAL_SUBTREE_push(constraints->permittedSubtrees, subtree) > 0, "subtree");
  add(certificate, NID_name_constraints, constraints.get(), true);
}

bssl::UniquePtr<ASN1_OCTET_STRING> key_id(const X509* certificate) {
  uint8_t digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  must(X509_pubkey_digest(certificate, EVP_sha256(), digest, &size) == 1, "key id");
  bssl::UniquePtr<ASN1_OCTET_STRING> id(ASN1_OCTET_STRING_new());
  must(ASN1_OCTET_STRING_set(id.get(), digest, 20) == 1, "key id");
  return id;
}

void add_ca_and_ids(X509* certificate, const CertSpec& spec, const X509* issuer) {
  bssl::UniquePtr<BASIC_CONSTRAINTS> constraints(BASIC_CONSTRAINTS_new());
  constraints->ca = spec.ca ? ASN1_BOOLEAN_TRUE : ASN1_BOOLEAN_FALSE;
  add(certificate, NID_basic_constraints, constraints.get(), true);
  if (!spec.key_ids) return;
  add(certificate, NID_subject_key_identifier, key_id(certificate).get(), false);
  if (issuer == nullptr) return;
  bssl::UniquePtr<AUTHORITY_KEYID> authority(AUTHORITY_KEYID_new());
  authority->keyid = key_id(issuer).release();
  add(certificate, NID_authority_key_identifier, authority.get(), false);
}

void set_frame(X509* certificate, const CertSpec& spec, EVP_PKEY* key) {
  must(X509_set_version(certificate, X509_VERSION_3) == 1 && X509_set_pubkey(certificate, key) == 1,
       "frame");
  uint8_t serial[8];
  RAND_bytes(serial, sizeof(serial));
  bssl::UniquePtr<BIGNUM> number(BN_bin2bn(serial, sizeof(serial), nullptr));
  bssl::UniquePtr<ASN1_INTEGER> integer(BN_to_ASN1_INTEGER(number.get(), nullptr));
  bssl::UniquePtr<ASN1_TIME> from(
      ASN1_TIME_set_posix(nullptr, WallClock::to_time_t(spec.not_before)));
  bssl::UniquePtr<ASN1_TIME> to(ASN1_TIME_set_posix(nullptr, WallClock::to_time_t(spec.not_after)));
  must(X509_set_serialNumber(certificate, integer.get()) == 1 &&
           X509_set1_notBefore(certificate, from.get()) == 1 &&
           X509_set1_notAfter(certificate, to.get()) == 1,
       "serial and times");
  if (spec.organization.empty()) return;
  must(X509_NAME_add_entry_by_NID(X509_get_subject_name(certificate), NID_organizationName,
                                  MBSTRING_UTF8,
                                  reinterpret_cast<const uint8_t*>(spec.organization.data()),
                                  static_cast<ossl_ssize_t>(spec.organization.size()), -1, 0) == 1,
       "subject");
}

struct Pair {
  bssl::UniquePtr<X509> certificate;
  bssl::UniquePtr<EVP_PKEY> key;
};

// Signed by `issuer`, or by itself.
Pair build(const CertSpec& spec, const Pair* issuer) {
  Pair made{bssl::UniquePtr<X509>(X509_new()), make_key(spec.key)};
  X509* certificate = made.certificate.get();
  set_frame(certificate, spec, made.key.get());
  add_san(certificate, spec);
  if (!spec.ca) add_usages(certificate, spec);
  add_name_constraint(certificate, spec.permitted_uri_host);
  add_ca_and_ids(certificate, spec, issuer != nullptr ? issuer->certificate.get() : nullptr);
  const Pair& signer = issuer != nullptr ? *issuer : made;
  const EVP_MD* digest = spec.sha1 ? EVP_sha1() : EVP_sha256();
  if (EVP_PKEY_id(signer.key.get()) == EVP_PKEY_ED25519) digest = nullptr;
  must(X509_set_issuer_name(certificate, X509_get_subject_name(signer.certificate.get())) == 1 &&
           X509_sign(certificate, signer.key.get(), digest) > 0,
       "signature");
  return made;
}

Minted to_minted(const Pair& pair) {
  return {tls::to_pem(*pair.certificate), tls::to_pem(*pair.key)};
}

}  // namespace

struct TestCa::State {
  Pair own;
  std::string pem;
  std::shared_ptr<const State> parent;
};

TestCa::TestCa(std::shared_ptr<const State> state) : state_(std::move(state)) {}

TestCa::TestCa(const std::string& organization, CertSpec spec) {
  spec.ca = true;
  spec.organization = organization;
  auto state = std::make_shared<State>();
  state->own = build(spec, nullptr);
  state->pem = tls::to_pem(*state->own.certificate);
  state_ = state;
}

TestCa TestCa::intermediate(const std::string& organization, CertSpec spec) const {
  spec.ca = true;
  spec.organization = organization;
  auto state = std::make_shared<State>();
  state->own = build(spec, &state_->own);
  state->pem = tls::to_pem(*state->own.certificate);
  state->parent = state_;
  return TestCa(std::move(state));
}

Minted TestCa::mint(const CertSpec& spec) const { return to_minted(build(spec, &state_->own)); }
Minted TestCa::self_signed(const CertSpec& spec) { return to_minted(build(spec, nullptr)); }

const std::string& TestCa::pem() const { return state_->pem; }

std::vector<std::string> TestCa::path() const {
  std::vector<std::string> list;
  for (auto at = state_; at->parent; at = at->parent) list.push_back(at->pem);
  return list;
}

const std::string& TestCa::root_pem() const {
  const State* at = state_.get();
  while (at->parent) at = at->parent.get();
  return at->pem;
}

tls::CredentialPem TestCa::credential_pem(const CertSpec& spec,
                                          std::optional<std::string> roots) const {
  Minted minted = mint(spec);
  tls::CredentialPem pem;
  pem.leaf = std::move(minted.pem);
  pem.private_key = std::move(minted.key_pem);
  pem.intermediates = path();
  pem.roots = roots ? *roots : root_pem();
  return pem;
}

tls::CredentialPtr TestCa::credential(const CertSpec& spec,
                                      std::optional<std::string> roots) const {
  return tls::Credential::make(credential_pem(spec, std::move(roots))).value();
}

tls::CredentialPtr TestCa::credential(const std::string& spiffe_id) const {
  CertSpec spec;
  spec.uris = {spiffe_id};
  return credential(spec);
}

std::string spiffe(const std::string& ns, const std::string& account,
                   const std::string& trust_domain) {
  return "spiffe://" + trust_domain + "/ns/" + ns + "/sa/" + account;
}

state::Identity identity(const std::string& ns, const std::string& account,
                         const std::string& trust_domain) {
  return {trust_domain, ns, account};
}

}  // namespace culvert::test
