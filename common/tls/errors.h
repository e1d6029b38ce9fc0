#pragma once

#include <system_error>

namespace culvert::tls {

enum class Errc {
  kHandshake = 1,   // tls handshake error: <what the library says>
  kRecord,          // a record that does not open, or breaks a limit
  kAlert,           // the peer sent a fatal alert: <name>
  kIdentity,        // identity verification error: peer did not present the expected SAN (…), got …
  kTrustDomain,     // identity verification error: peer's trust domain is not ours
  kUntrusted,       // the chain does not lead to a trusted root, is expired, or has the wrong usage
  kNoCertificate,   // the client presented none
  kBadCertificate,  // PEM or key material that does not parse or does not belong together
};
std::error_code make_error_code(Errc value);

}  // namespace culvert::tls

template <>
struct std::is_error_code_enum<culvert::tls::Errc> : std::true_type {};
