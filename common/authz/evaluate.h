#pragma once

#include "common/state/snapshot.h"

#include <optional>
#include <string>
#include <vector>

// Istio's L4 authorization at the destination: (policies, connection facts) -> decision. Pure; any
// thread.
namespace culvert::authz {

// What a policy may look at.
struct Connection {
  std::optional<state::Identity> source_identity;  // the TLS peer's; absent for plaintext
  net::SocketAddress source;                       // the TCP peer
  net::SocketAddress destination;                  // what will be dialled

  // To select the policies by.
  [[nodiscard]] state::PolicyQuery query() const {
    return {source_identity ? &*source_identity : nullptr, destination.port};
  }
};

struct Decision {
  enum class Outcome : uint8_t {
    kAllowed,           // an ALLOW policy matched, or there is none enforced
    kExplicitlyDenied,  // a DENY policy matched: `policy` names it
    kNotAllowed,        // ALLOW policies exist, but none allowed
  };
  Outcome outcome = Outcome::kAllowed;
  std::string policy;  // "namespace/name" of the one that denied or allowed; "" when none did

  [[nodiscard]] bool allowed() const { return outcome == Outcome::kAllowed; }
  // "explicitly denied by: ns/name" or "allow policies exist, but none allowed"; "" when allowed.
  [[nodiscard]] std::string reason() const;
};

// Whether one policy's rules match, whatever its action. No rules: false. A rule without clauses,
// and a clause without matches: true. An entirely empty match: false.
bool matches(const state::Policy& policy, const Connection& connection);

// Enforced DENY first, then ALLOW; dry-run policies never decide. `dry_run_notes` (may be null)
// receives what dry-run policies would have done: "dry-run: deny policy match", "dry-run: allow
// policy match" with the policy's key, or "dry-run: no allow policies match" with none. After an
// enforced DENY, dry-run ALLOW is not tried.
struct DryRunNote {
  std::string message;
  std::string policy;
};
Decision evaluate(const state::PolicySelection& selection, const Connection& connection,
                  std::vector<DryRunNote>* dry_run_notes);

}  // namespace culvert::authz
