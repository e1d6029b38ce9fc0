#pragma once

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/state/identity.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace culvert::tls {

// PEM material of one workload certificate, as a CA returns it.
struct CredentialPem {
  std::string leaf;                        // first certificate of this text is used
  std::vector<std::string> intermediates;  // first certificate of each
  std::string roots;        // may hold several; unparsable ones are skipped with a warning
  std::string private_key;  // PKCS#8
};

// What /config_dump shows of one certificate.
struct CertificateInfo {
  std::string pem;
  std::string serial_number;  // decimal: istioctl parses it base 10
  WallTime valid_from;
  WallTime expiration;
};

// One identity's certificate, key and trust roots, parsed once. Immutable: shared by all threads.
// The roots that came with our own certificate are the only trust bundle, as in Istio's ztunnel, so
// a root rotation takes effect with the next issuance.
class Credential {
 public:
  // Errors: unparsable PEM, key that does not belong to the leaf, no root.
  static Result<std::shared_ptr<const Credential>> make(const CredentialPem& pem);
  ~Credential();
  Credential(const Credential&) = delete;
  Credential& operator=(const Credential&) = delete;

  // The leaf's first URI SAN that parses as SPIFFE.
  [[nodiscard]] const std::optional<state::Identity>& identity() const;
  [[nodiscard]] WallTime not_before() const;
  [[nodiscard]] WallTime not_after() const;
  [[nodiscard]] const std::vector<CertificateInfo>& chain() const;  // leaf, then intermediates
  [[nodiscard]] const std::vector<CertificateInfo>& roots() const;

  // For common/tls only.
  struct Impl;
  [[nodiscard]] const Impl& impl() const { return *impl_; }

 private:
  explicit Credential(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

using CredentialPtr = std::shared_ptr<const Credential>;

}  // namespace culvert::tls
