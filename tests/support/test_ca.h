#pragma once

#include "common/base/clock.h"
#include "common/state/identity.h"
#include "common/tls/credential.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace culvert::test {

// What a certificate of TestCa says. The defaults make a good workload certificate once `uris` is
// set.
struct CertSpec {
  enum class Key { kP256, kP384, kEd25519, kRsa1024, kRsa2048 };
  enum class Usage { kClient, kServer, kCodeSigning };

  std::vector<std::string> uris;  // raw bytes: may hold a NUL, or no SPIFFE id
  std::vector<std::string> dns_names;
  WallTime not_before = WallClock::now() - std::chrono::hours(1);
  WallTime not_after = WallClock::now() + std::chrono::hours(1);
  Key key = Key::kP256;
  std::optional<std::vector<Usage>> usages{
      {Usage::kClient, Usage::kServer}};  // none: no EKU extension
  bool ca = false;
  bool key_ids = true;                  // subject and authority key identifiers
  bool sha1 = false;                    // sign with SHA-1
  std::string organization;             // the subject; empty: an empty one
  std::string permitted_uri_host = "";  // name constraint, for a CA
};

struct Minted {
  std::string pem;
  std::string key_pem;  // PKCS#8
};

// A throw-away CA that mints good and bad certificates. Cheap to copy: copies are the same CA.
class TestCa {
 public:
  // Equal names make CAs that only their keys tell apart.
  explicit TestCa(const std::string& organization = "test root", CertSpec spec = {});
  // A CA below this one.
  [[nodiscard]] TestCa intermediate(const std::string& organization, CertSpec spec = {}) const;

  [[nodiscard]] Minted mint(const CertSpec& spec) const;
  // A certificate that is its own issuer.
  [[nodiscard]] static Minted self_signed(const CertSpec& spec);

  [[nodiscard]] const std::string& pem() const;
  // The intermediates from this CA up to, but without, its root; what a leaf of ours is presented
  // with.
  [[nodiscard]] std::vector<std::string> path() const;
  [[nodiscard]] const std::string& root_pem() const;

  // A credential of `spec` that trusts this CA's root, or `roots` if given.
  [[nodiscard]] tls::CredentialPem credential_pem(const CertSpec& spec,
                                                  std::optional<std::string> roots = {}) const;
  [[nodiscard]] tls::CredentialPtr credential(const CertSpec& spec,
                                              std::optional<std::string> roots = {}) const;
  [[nodiscard]] tls::CredentialPtr credential(const std::string& spiffe_id) const;

 private:
  struct State;
  explicit TestCa(std::shared_ptr<const State> state);
  std::shared_ptr<const State> state_;
};

// spiffe://cluster.local/ns/<namespace>/sa/<account>
std::string spiffe(const std::string& ns, const std::string& account,
                   const std::string& trust_domain = "cluster.local");
state::Identity identity(const std::string& ns, const std::string& account,
                         const std::string& trust_domain = "cluster.local");

}  // namespace culvert::test
