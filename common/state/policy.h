#pragma once

#include "common/net/address.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

// Istio's L4 authorization policy (package istio.security), as data. Evaluating it is
// authz/evaluate.h.
namespace culvert::state {

struct StringMatch {
  enum class Kind : uint8_t { kExact, kPrefix, kSuffix, kPresence };
  Kind kind = Kind::kExact;
  std::string value;  // unused for kPresence
  bool operator==(const StringMatch&) const = default;
};

struct ServiceAccountMatch {
  std::string namespace_;
  std::string service_account;
  bool operator==(const ServiceAccountMatch&) const = default;
};

// Fields are ANDed. In a field the positive list is ANY (empty: no constraint), the not_ list NONE.
struct PolicyMatch {
  std::vector<StringMatch> namespaces, not_namespaces;
  std::vector<StringMatch> principals, not_principals;
  std::vector<ServiceAccountMatch> service_accounts, not_service_accounts;
  std::vector<net::Cidr> source_ips, not_source_ips;
  std::vector<net::Cidr> destination_ips, not_destination_ips;
  std::vector<uint16_t> destination_ports, not_destination_ports;
  [[nodiscard]] bool empty() const;
  bool operator==(const PolicyMatch&) const = default;
};

using PolicyClause = std::vector<PolicyMatch>;  // OR
using PolicyRule = std::vector<PolicyClause>;   // AND

struct Policy {
  enum class Scope : uint8_t { kGlobal, kNamespace, kWorkloadSelector };
  enum class Action : uint8_t { kAllow, kDeny };
  std::string name;
  std::string namespace_;
  Scope scope = Scope::kGlobal;
  Action action = Action::kAllow;
  std::vector<PolicyRule> rules;  // OR; none: never matches
  bool dry_run = false;

  [[nodiscard]] std::string key() const { return namespace_ + "/" + name; }
  bool operator==(const Policy&) const = default;
};
using PolicyPtr = std::shared_ptr<const Policy>;

}  // namespace culvert::state
