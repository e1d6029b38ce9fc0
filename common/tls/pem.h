#pragma once

#include "common/base/bytes.h"
#include "common/base/result.h"

#include <openssl/base.h>

#include <string>
#include <string_view>
#include <vector>

// PEM in and out. For common/tls and common/ca only. Errors are Errc::kBadCertificate; `what` names
// the text in them ("leaf certificate").
namespace culvert::tls {

// The DER of every "CERTIFICATE" block of `pem` in order; other blocks are skipped. No block at all
// gives an empty list; broken PEM (bad base64, no end line) is an error.
Result<std::vector<std::vector<uint8_t>>> certificate_blocks(std::string_view pem,
                                                             std::string_view what);

// A PKCS#8 key ("PRIVATE KEY", not encrypted), the first block of `pem`.
Result<bssl::UniquePtr<EVP_PKEY>> parse_private_key(std::string_view pem, std::string_view what);

[[nodiscard]] std::string to_pem(const X509& certificate);
// PKCS#8. The caller wipes the text (wipe below) when it is done with it.
[[nodiscard]] std::string to_pem(const EVP_PKEY& private_key);

// Overwrites `secret` so that the compiler may not leave it out, and empties it.
void wipe(std::string& secret);

}  // namespace culvert::tls
