#pragma once

#include "common/base/result.h"
#include "common/state/identity.h"

#include <string>

namespace culvert::ca {

// A fresh key and the request for a certificate over it. The key is wiped on destruction; whoever
// copies it wipes the copy.
struct CertificateRequest {
  CertificateRequest() = default;
  CertificateRequest(CertificateRequest&&) = default;
  CertificateRequest& operator=(CertificateRequest&&) = default;
  ~CertificateRequest();

  std::string csr_pem;
  std::string private_key_pem;  // PKCS#8
};

// EC P-256, signed with SHA-256; empty subject; the only extension is a critical subjectAltName
// with the identity as its single URI, which is what istiod and other Istio CAs expect. Errors: an
// identity that does not fit a certificate. Any thread.
Result<CertificateRequest> make_request(const state::Identity& identity);

}  // namespace culvert::ca
