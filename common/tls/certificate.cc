#include "common/tls/certificate.h"

#include "common/base/log.h"
#include "common/tls/errors.h"
#include "common/tls/pem.h"

#include <openssl/asn1.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <string>
#include <string_view>

namespace culvert::tls {
namespace {

const log::Target kLog{"tls::certificate"};
constexpr unsigned kMinRsaBits = 2048, kMaxRsaBits = 8192;

std::optional<WallTime> to_wall(const ASN1_TIME* time) {
  int64_t seconds = 0;
  if (ASN1_TIME_to_posix(time, &seconds) != 1) return std::nullopt;
  const auto highest = std::chrono::floor<std::chrono::seconds>(WallTime::max().time_since_epoch());
  const auto lowest = std::chrono::ceil<std::chrono::seconds>(WallTime::min().time_since_epoch());
  return WallTime(std::clamp(std::chrono::seconds(seconds), lowest, highest));
}

std::string_view uri_of(const GENERAL_NAME& name) {
  const ASN1_STRING* text = name.d.uniformResourceIdentifier;
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
          static_cast<size_t>(ASN1_STRING_length(text))};
}

// What may go into a log line and a policy decision: an URI is visible ASCII (RFC 3986 section 2).
bool is_visible_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

}  // namespace

std::optional<Validity> validity(const X509& certificate) {
  const auto from = to_wall(X509_get0_notBefore(&certificate));
  const auto to = to_wall(X509_get0_notAfter(&certificate));
  if (!from || !to) return std::nullopt;
  return Validity{*from, *to};
}

Result<std::vector<state::Identity>> spiffe_identities(const X509& certificate) {
  int critical = 0;
  const bssl::UniquePtr<GENERAL_NAMES> names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(&certificate, NID_subject_alt_name, &critical, nullptr)));
  // -1 says that there is no such extension; anything else without a value is a broken or doubled
  // one.
  if (!names && critical != -1) {
    return Error(Errc::kUntrusted, "the subjectAltName extension does not parse");
  }
  std::vector<state::Identity> identities;
  for (const GENERAL_NAME* name : names.get()) {
    if (name->type != GEN_URI) continue;
    const std::string_view uri = uri_of(*name);
    if (uri.find('\0') != std::string_view::npos) {
      return Error(Errc::kUntrusted, "a URI in the subjectAltName has an embedded NUL");
    }
    auto identity = is_visible_ascii(uri) ? state::Identity::parse(uri)
                                          : Result<state::Identity>(invalid("not a URI"));
    if (identity) {
      identities.push_back(std::move(*identity));
    } else {
      kLog.warn("ignoring a URI in a certificate's subjectAltName that is not a SPIFFE id: {}",
                is_visible_ascii(uri) ? uri : "(unprintable)");
    }
  }
  return identities;
}

Result<> check_key(const X509& certificate) {
  const EVP_PKEY* key = X509_get0_pubkey(&certificate);
  if (key == nullptr) return Error(Errc::kUntrusted, "the public key does not parse");
  switch (EVP_PKEY_id(key)) {
    case EVP_PKEY_ED25519:
      return {};
    case EVP_PKEY_RSA: {
      const auto bits = static_cast<unsigned>(EVP_PKEY_bits(key));
      if (bits >= kMinRsaBits && bits <= kMaxRsaBits) return {};
      return Error(Errc::kUntrusted,
                   "an RSA key of " + std::to_string(bits) + " bits, allowed are 2048 to 8192");
    }
    case EVP_PKEY_EC: {
      const int curve = EVP_PKEY_get_ec_curve_nid(key);
      if (curve == NID_X9_62_prime256v1 || curve == NID_secp384r1 || curve == NID_secp521r1) {
        return {};
      }
      return Error(Errc::kUntrusted, "an EC key on a curve that is not P-256, P-384 or P-521");
    }
    default:
      return Error(Errc::kUntrusted, "a key that is not EC, RSA or Ed25519");
  }
}

Result<> check_signature_algorithm(const X509& certificate) {
  switch (X509_get_signature_nid(&certificate)) {
    case NID_ecdsa_with_SHA256:
    case NID_ecdsa_with_SHA384:
    case NID_ecdsa_with_SHA512:
    case NID_sha256WithRSAEncryption:
    case NID_sha384WithRSAEncryption:
    case NID_sha512WithRSAEncryption:
    case NID_rsassaPss:
    case NID_ED25519:
      return {};
    default:
      return Error(Errc::kUntrusted,
                   "a signature algorithm that is not accepted (SHA-1 or unknown)");
  }
}

CertificateInfo describe(const X509& certificate) {
  CertificateInfo info;
  info.pem = to_pem(certificate);
  const bssl::UniquePtr<BIGNUM> serial(
      ASN1_INTEGER_to_BN(X509_get0_serialNumber(&certificate), nullptr));
  if (serial) {
    const bssl::UniquePtr<char> decimal(BN_bn2dec(serial.get()));
    if (decimal) info.serial_number = decimal.get();
  }
  if (const auto times = validity(certificate)) {
    info.valid_from = times->not_before;
    info.expiration = times->not_after;
  }
  return info;
}

std::string subject_text(const X509& certificate) {
  char text[256] = {};
  X509_NAME_oneline(X509_get_subject_name(&certificate), text, sizeof(text));
  return text[0] != '\0' ? text : "(empty)";
}

}  // namespace culvert::tls
