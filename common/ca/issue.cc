#include "common/ca/issue.h"

#include "common/base/check.h"

#include <openssl/asn1.h>
#include <openssl/bn.h>
#include <openssl/digest.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>

namespace culvert::ca {
namespace {

constexpr size_t kMaxIdBytes = 2048;

void add(X509* certificate, int nid, void* value, bool critical) {
  CULVERT_CHECK(X509_add1_ext_i2d(certificate, nid, value, critical ? 1 : 0, 0) == 1);
}

// Random and positive: 127 bits (the CA/Browser Forum asks for 64, RFC 5280 for at most 20 bytes).
void set_random_serial(X509* certificate) {
  std::array<uint8_t, 16> bytes{};
  RAND_bytes(bytes.data(), bytes.size());
  bytes[0] &= 0x7f;
  const bssl::UniquePtr<BIGNUM> number(BN_bin2bn(bytes.data(), bytes.size(), nullptr));
  const bssl::UniquePtr<ASN1_INTEGER> serial(BN_to_ASN1_INTEGER(number.get(), nullptr));
  CULVERT_CHECK(X509_set_serialNumber(certificate, serial.get()) == 1);
}

void set_window(X509* certificate, Window window) {
  const bssl::UniquePtr<ASN1_TIME> from(
      ASN1_TIME_set_posix(nullptr, WallClock::to_time_t(window.not_before)));
  const bssl::UniquePtr<ASN1_TIME> to(
      ASN1_TIME_set_posix(nullptr, WallClock::to_time_t(window.not_after)));
  CULVERT_CHECK(X509_set1_notBefore(certificate, from.get()) == 1 &&
                X509_set1_notAfter(certificate, to.get()) == 1);
}

void set_organization(X509_NAME* name, std::string_view organization) {
  CULVERT_CHECK(X509_NAME_add_entry_by_NID(name, NID_organizationName, MBSTRING_UTF8,
                                           reinterpret_cast<const uint8_t*>(organization.data()),
                                           static_cast<ossl_ssize_t>(organization.size()), -1,
                                           0) == 1);
}

void add_key_usage(X509* certificate, std::initializer_list<int> bits) {
  const bssl::UniquePtr<ASN1_BIT_STRING> usage(ASN1_BIT_STRING_new());
  for (const int bit : bits) CULVERT_CHECK(ASN1_BIT_STRING_set_bit(usage.get(), bit, 1) == 1);
  add(certificate, NID_key_usage, usage.get(), true);
}

void add_basic_constraints(X509* certificate, bool ca) {
  const bssl::UniquePtr<BASIC_CONSTRAINTS> constraints(BASIC_CONSTRAINTS_new());
  constraints->ca = ca ? ASN1_BOOLEAN_TRUE : ASN1_BOOLEAN_FALSE;
  add(certificate, NID_basic_constraints, constraints.get(), true);
}

// Key identifiers let a verifier tell two CAs of one name apart (RFC 5280 section 4.2.1.1).
bssl::UniquePtr<ASN1_OCTET_STRING> key_id(const X509& certificate) {
  std::array<uint8_t, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  CULVERT_CHECK(X509_pubkey_digest(&certificate, EVP_sha256(), digest.data(), &size) == 1);
  bssl::UniquePtr<ASN1_OCTET_STRING> id(ASN1_OCTET_STRING_new());
  CULVERT_CHECK(ASN1_OCTET_STRING_set(id.get(), digest.data(), 20) == 1);
  return id;
}

void add_key_ids(X509* certificate, const X509* issuer) {
  add(certificate, NID_subject_key_identifier, key_id(*certificate).get(), false);
  if (issuer == nullptr) return;
  const bssl::UniquePtr<AUTHORITY_KEYID> authority(AUTHORITY_KEYID_new());
  const ASN1_OCTET_STRING* theirs = X509_get0_subject_key_id(issuer);
  authority->keyid = theirs != nullptr ? ASN1_OCTET_STRING_dup(theirs) : key_id(*issuer).release();
  add(certificate, NID_authority_key_identifier, authority.get(), false);
}

bssl::UniquePtr<X509> blank(EVP_PKEY& key, Window window) {
  bssl::UniquePtr<X509> certificate(X509_new());
  CULVERT_CHECK(certificate && X509_set_version(certificate.get(), X509_VERSION_3) == 1 &&
                X509_set_pubkey(certificate.get(), &key) == 1);
  set_random_serial(certificate.get());
  set_window(certificate.get(), window);
  return certificate;
}

void sign(X509* certificate, const X509* issuer, EVP_PKEY& key) {
  CULVERT_CHECK(X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) == 1 &&
                X509_sign(certificate, &key, EVP_sha256()) > 0);
}

}  // namespace

bssl::UniquePtr<EVP_PKEY> generate_key() {
  bssl::UniquePtr<EC_KEY> ec(EC_KEY_new_by_curve_name(NID_X9_62_prime256v1));
  bssl::UniquePtr<EVP_PKEY> key(EVP_PKEY_new());
  CULVERT_CHECK(ec && key && EC_KEY_generate_key(ec.get()) == 1 &&
                EVP_PKEY_set1_EC_KEY(key.get(), ec.get()) == 1);
  return key;
}

bssl::UniquePtr<X509> make_ca(std::string_view organization, EVP_PKEY& key, const Issuer* issuer,
                              Window window) {
  auto certificate = blank(key, window);
  set_organization(X509_get_subject_name(certificate.get()), organization);
  add_basic_constraints(certificate.get(), true);
  add_key_usage(certificate.get(), {5 /* keyCertSign */, 6 /* cRLSign */});
  add_key_ids(certificate.get(), issuer != nullptr ? &issuer->certificate : nullptr);
  sign(certificate.get(), issuer != nullptr ? &issuer->certificate : certificate.get(),
       issuer != nullptr ? issuer->key : key);
  return certificate;
}

Result<bssl::UniquePtr<X509>> make_leaf(const state::Identity& identity, EVP_PKEY& key,
                                        const Issuer& issuer, Window window) {
  auto san = san_of(identity);
  if (!san) return san.error();
  auto certificate = blank(key, window);
  // RFC 5280 section 4.1.2.6: with an empty subject the SAN must be critical.
  add(certificate.get(), NID_subject_alt_name, san->get(), true);
  add_basic_constraints(certificate.get(), false);
  add_key_usage(certificate.get(), {0 /* digitalSignature */});
  const bssl::UniquePtr<EXTENDED_KEY_USAGE> usage(sk_ASN1_OBJECT_new_null());
  for (const int nid : {NID_server_auth, NID_client_auth}) {
    bssl::PushToStack(usage.get(), bssl::UniquePtr<ASN1_OBJECT>(OBJ_nid2obj(nid)));
  }
  add(certificate.get(), NID_ext_key_usage, usage.get(), false);
  add_key_ids(certificate.get(), &issuer.certificate);
  sign(certificate.get(), &issuer.certificate, issuer.key);
  return certificate;
}

Result<bssl::UniquePtr<GENERAL_NAMES>> san_of(const state::Identity& identity) {
  const std::string uri = identity.to_string();
  const bool fits = uri.size() <= kMaxIdBytes && std::all_of(uri.begin(), uri.end(), [](char c) {
                      return c > 0x20 && c < 0x7f;
                    });
  if (!fits) {
    return invalid("identity of " + std::to_string(uri.size()) +
                   " bytes does not fit a certificate: at most 2048 bytes of visible ASCII");
  }
  bssl::UniquePtr<GENERAL_NAME> name(GENERAL_NAME_new());
  ASN1_IA5STRING* text = ASN1_IA5STRING_new();
  CULVERT_CHECK(name && text != nullptr &&
                ASN1_STRING_set(text, uri.data(), static_cast<ossl_ssize_t>(uri.size())) == 1);
  GENERAL_NAME_set0_value(name.get(), GEN_URI, text);
  bssl::UniquePtr<GENERAL_NAMES> names(GENERAL_NAMES_new());
  CULVERT_CHECK(names && bssl::PushToStack(names.get(), std::move(name)));
  return names;
}

}  // namespace culvert::ca
