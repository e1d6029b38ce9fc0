#pragma once

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/state/identity.h"
#include "common/tls/credential.h"

#include <openssl/base.h>

#include <optional>
#include <vector>

// What we read from an X.509 certificate. For common/tls and common/ca only.
namespace culvert::tls {

struct Validity {
  WallTime not_before, not_after;
};

// Times beyond what WallTime can hold (the year 2262) are clamped. Nothing if a time does not
// parse.
[[nodiscard]] std::optional<Validity> validity(const X509& certificate);

// The URI subject alternative names that parse as SPIFFE ids, in order; other names are left out
// (unparsable URIs with a warning in the log). Errors (Errc::kUntrusted): a subjectAltName
// extension that does not parse or appears twice, a URI with an embedded NUL, which other readers
// may cut short there.
Result<std::vector<state::Identity>> spiffe_identities(const X509& certificate);

// Errors (Errc::kUntrusted) for a public key that we do not accept from anyone: RSA outside of 2048
// to 8192 bits, curves other than P-256, P-384, P-521 and Ed25519.
Result<> check_key(const X509& certificate);

// Errors (Errc::kUntrusted) for a signature over SHA-1 or older.
Result<> check_signature_algorithm(const X509& certificate);

[[nodiscard]] CertificateInfo describe(const X509& certificate);

// "O=cluster.local", for messages.
[[nodiscard]] std::string subject_text(const X509& certificate);

}  // namespace culvert::tls
