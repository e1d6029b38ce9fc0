#pragma once

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/state/identity.h"

#include <openssl/x509.h>

#include <string>
#include <string_view>

// Making keys and certificates. For common/ca only. What can fail here is the library running out
// of memory, which aborts, and an identity that does not fit a certificate.
namespace culvert::ca {

[[nodiscard]] bssl::UniquePtr<EVP_PKEY> generate_key();  // EC P-256

struct Issuer {
  X509& certificate;
  EVP_PKEY& key;
};

struct Window {
  WallTime not_before, not_after;
};

// A CA certificate with subject O=`organization`, by `issuer` or by itself if that is null.
[[nodiscard]] bssl::UniquePtr<X509> make_ca(std::string_view organization, EVP_PKEY& key,
                                            const Issuer* issuer, Window window);

// A workload's certificate, in the shape of istiod's: empty subject, the identity as the single,
// critical URI SAN, for TLS clients and servers.
Result<bssl::UniquePtr<X509>> make_leaf(const state::Identity& identity, EVP_PKEY& key,
                                        const Issuer& issuer, Window window);

// The SPIFFE id as a SAN extension. Errors: longer than 2048 bytes (SPIFFE-ID section 2.3), or
// bytes outside of visible ASCII, which an IA5String or its readers may not take.
Result<bssl::UniquePtr<GENERAL_NAMES>> san_of(const state::Identity& identity);

}  // namespace culvert::ca
