#pragma once

#include "common/state/identity.h"
#include "common/state/policy.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace culvert::state {

// A connection, as policies that may match it are found.
class PolicyQuery {
 public:
  // `source`: the TLS peer's; null for plaintext.
  PolicyQuery(const Identity* source, uint16_t destination_port);
  [[nodiscard]] const std::array<uint64_t, 4>& keys() const { return keys_; }

 private:
  std::array<uint64_t, 4> keys_;  // see policy_scope.cc
};

// Policies to decide about one connection by (authz::evaluate); valid as long as the snapshot.
struct PolicySelection {
  // Those that may match it, in their order. Others that apply to its destination are left out.
  std::vector<const Policy*> policies;
  // Whether there are enforced, or dry-run, ALLOW policies; those that were left out count.
  bool has_allow = false;
  bool has_dry_run_allow = false;

  void note_action(const Policy& policy);
};

// The policies of one namespace, or the global ones, compiled so that finding those that may match
// a connection costs nothing for those that want another principal, service account, namespace or
// port. Immutable; any thread.
class PolicyScope {
 public:
  // `policies`: in their order.
  PolicyScope(std::string name, std::vector<PolicyPtr> policies);

  [[nodiscard]] std::string_view name() const { return name_; }
  void select(const PolicyQuery& query, PolicySelection& into) const;

 private:
  std::string name_;
  std::vector<PolicyPtr> policies_;
  std::vector<uint32_t> always_;                         // positions of those without keys
  std::vector<std::pair<uint64_t, uint32_t>> with_key_;  // sorted: key, position
  PolicySelection actions_;                              // without policies
};
using PolicyScopePtr = std::shared_ptr<const PolicyScope>;

}  // namespace culvert::state
