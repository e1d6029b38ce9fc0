#pragma once

#include "common/http/message.h"
#include "common/net/address.h"
#include "common/state/identity.h"
#include "waypoint/model/path_template.h"
#include "waypoint/model/string_match.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

// Authorization as the data path sees it: conditions on a request or connection, in filters that
// allow or deny. Every front end compiles its own form of policy into this one. Pure and immutable;
// any thread.
namespace culvert::waypoint {

// What conditions may look at.
struct AuthzFacts {
  std::string_view principal;  // URI of the peer's certificate, "spiffe://…"; empty: none
  const state::Identity* identity =
      nullptr;               // the same, parsed; nullptr if it is not of that shape
  net::IpAddress source_ip;  // of the client pod: the peer of the CONNECT
  net::IpAddress
      remote_ip;  // by x-forwarded-for (remote_address, forwarded.h); source_ip if not HTTP
  net::SocketAddress destination;  // the service's VIP and port, as dialled
  std::string_view sni;
  const http::RequestHead* request = nullptr;  // path already normalised; nullptr: not HTTP
};

// ---- leaves. Text is matched byte by byte; what is absent matches nothing.
struct PrincipalCondition {  // the whole URI
  StringMatch match;
};
struct NamespaceCondition {  // of the identity
  StringMatch match;
};
struct ServiceAccountCondition {  // of the identity, whatever its trust domain
  std::string namespace_, name;
};
enum class AddressFact : uint8_t { kSource, kRemote, kDestination };
struct AddressCondition {
  AddressFact which = AddressFact::kSource;
  net::Cidr range;
};
struct PortCondition {  // of the destination
  uint16_t port = 0;
};
struct SniCondition {
  StringMatch match;
};
struct HostCondition {  // the authority with its port, in any case: "a:80" is not "a", as in Envoy
  StringMatch match;    // ignore_case is set by whoever compiles
};
struct MethodCondition {  // case-sensitive: HTTP methods are
  StringMatch match;
};
struct PathCondition {  // without query
  std::variant<StringMatch, PathTemplate> match;
};
// A field that is sent several times is ambiguous: applications read the first, the last, or all of
// them joined. Where a match would deny, any single value or the joined one suffices; where it
// would allow, every one of them must match.
struct HeaderCondition {
  std::string name;  // lower case
  StringMatch match;
};
using AuthzLeaf = std::variant<PrincipalCondition, NamespaceCondition, ServiceAccountCondition,
                               AddressCondition, PortCondition, SniCondition, HostCondition,
                               MethodCondition, PathCondition, HeaderCondition>;

// Whether the leaf can only be evaluated on a request.
[[nodiscard]] bool is_http_only(const AuthzLeaf& leaf);

struct AuthzCondition {
  enum class Kind : uint8_t {
    kAll,  // true without children
    kAny,  // false without children
    kNot,  // of its one child
    kLeaf,
  };
  Kind kind = Kind::kAll;
  std::vector<AuthzCondition> children;
  std::optional<AuthzLeaf> leaf;

  static AuthzCondition all(std::vector<AuthzCondition> of) {
    return {Kind::kAll, std::move(of), {}};
  }
  static AuthzCondition any(std::vector<AuthzCondition> of) {
    return {Kind::kAny, std::move(of), {}};
  }
  static AuthzCondition negate(AuthzCondition of);
  static AuthzCondition of(AuthzLeaf leaf) { return {Kind::kLeaf, {}, std::move(leaf)}; }
};

struct AuthzRule {
  std::string name;  // "ns[demo]-policy[l7-allow]-rule[0]"
  AuthzCondition condition;
};

enum class AuthzAction : uint8_t { kAllow, kDeny };

// kDeny: a rule that matches refuses. kAllow: refuses unless a rule matches, so that one without
// rules refuses everything.
struct AuthzFilter {
  AuthzAction action = AuthzAction::kAllow;
  std::vector<AuthzRule> rules;
};

inline constexpr int kDeniedStatus = 403;
inline constexpr std::string_view kDeniedBody = "RBAC: access denied";

struct AuthzDecision {
  bool allowed = true;
  std::string rule;  // what refused; "none" if no ALLOW rule matched; empty when allowed

  // For the access log: "rbac_access_denied_matched_policy[<rule>]"; empty when allowed. On TCP it
  // is the reason for which the connection ended.
  [[nodiscard]] std::string detail() const;
};

// One filter.
[[nodiscard]] AuthzDecision evaluate(const AuthzFilter& filter, const AuthzFacts& facts);

// Whether a condition holds. `doubt`: the answer where the facts allow two, that is, for repeated
// header fields and for HTTP conditions without a request; callers pass the one that refuses.
[[nodiscard]] bool holds(const AuthzCondition& condition, const AuthzFacts& facts, bool doubt);

}  // namespace culvert::waypoint
