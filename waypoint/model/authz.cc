#include "waypoint/model/authz.h"

#include "common/base/check.h"
#include "waypoint/model/request_parts.h"

#include <fmt/format.h>

#include <algorithm>

namespace culvert::waypoint {
namespace {

// Evaluates leaves; `doubt` as in holds().
class Leaves {
 public:
  Leaves(const AuthzFacts& facts, bool doubt) : facts_(facts), doubt_(doubt) {}

  bool operator()(const PrincipalCondition& leaf) const {
    return !facts_.principal.empty() && leaf.match.matches(facts_.principal);
  }
  bool operator()(const NamespaceCondition& leaf) const {
    return facts_.identity != nullptr && leaf.match.matches(facts_.identity->namespace_);
  }
  bool operator()(const ServiceAccountCondition& leaf) const {
    return facts_.identity != nullptr && facts_.identity->namespace_ == leaf.namespace_ &&
           facts_.identity->service_account == leaf.name;
  }
  bool operator()(const AddressCondition& leaf) const {
    switch (leaf.which) {
      case AddressFact::kSource:
        return leaf.range.contains(facts_.source_ip);
      case AddressFact::kRemote:
        return leaf.range.contains(facts_.remote_ip);
      case AddressFact::kDestination:
        return leaf.range.contains(facts_.destination.ip);
    }
    return doubt_;
  }
  bool operator()(const PortCondition& leaf) const { return facts_.destination.port == leaf.port; }
  bool operator()(const SniCondition& leaf) const {
    return !facts_.sni.empty() && leaf.match.matches(facts_.sni);
  }
  bool operator()(const HostCondition& leaf) const {
    if (facts_.request == nullptr) return doubt_;
    return !facts_.request->authority.empty() && leaf.match.matches(facts_.request->authority);
  }
  bool operator()(const MethodCondition& leaf) const {
    if (facts_.request == nullptr) return doubt_;
    return leaf.match.matches(facts_.request->method);
  }
  bool operator()(const PathCondition& leaf) const {
    if (facts_.request == nullptr) return doubt_;
    const std::string_view path = path_without_query(facts_.request->path);
    // CONNECT has no path, so that a rule about paths cannot tell what it is for.
    if (path.empty()) return doubt_;
    return std::visit([path](const auto& match) { return match.matches(path); }, leaf.match);
  }
  bool operator()(const HeaderCondition& leaf) const {
    if (facts_.request == nullptr) return doubt_;
    const http::Headers& headers = facts_.request->headers;
    const size_t count = headers.count(leaf.name);
    if (count == 0) return false;
    // "present" asks for the field, whatever it holds.
    if (leaf.match.kind == StringMatch::Kind::kPresent) return true;
    bool any = leaf.match.matches(headers.joined(leaf.name));
    bool every = any;
    headers.for_each(leaf.name, [&](std::string_view value) {
      const bool matched = leaf.match.matches(value);
      any = any || matched;
      every = every && matched;
    });
    return doubt_ ? any : every;
  }

 private:
  const AuthzFacts& facts_;
  bool doubt_;
};

}  // namespace

bool is_http_only(const AuthzLeaf& leaf) {
  return std::holds_alternative<HostCondition>(leaf) ||
         std::holds_alternative<MethodCondition>(leaf) ||
         std::holds_alternative<PathCondition>(leaf) ||
         std::holds_alternative<HeaderCondition>(leaf);
}

AuthzCondition AuthzCondition::negate(AuthzCondition of) {
  AuthzCondition out{Kind::kNot, {}, {}};
  out.children.push_back(std::move(of));
  return out;
}

bool holds(const AuthzCondition& condition, const AuthzFacts& facts, bool doubt) {
  const auto child_holds = [&](const AuthzCondition& child) { return holds(child, facts, doubt); };
  switch (condition.kind) {
    case AuthzCondition::Kind::kAll:
      return std::all_of(condition.children.begin(), condition.children.end(), child_holds);
    case AuthzCondition::Kind::kAny:
      return std::any_of(condition.children.begin(), condition.children.end(), child_holds);
    case AuthzCondition::Kind::kNot:
      CULVERT_CHECK(condition.children.size() == 1);
      return !holds(condition.children.front(), facts, !doubt);
    case AuthzCondition::Kind::kLeaf:
      CULVERT_CHECK(condition.leaf);
      return std::visit(Leaves(facts, doubt), *condition.leaf);
  }
  return doubt;
}

AuthzDecision evaluate(const AuthzFilter& filter, const AuthzFacts& facts) {
  const bool denies = filter.action == AuthzAction::kDeny;
  for (const AuthzRule& rule : filter.rules) {
    if (!holds(rule.condition, facts, denies)) continue;
    return denies ? AuthzDecision{false, rule.name} : AuthzDecision{};
  }
  return denies ? AuthzDecision{} : AuthzDecision{false, "none"};
}

std::string AuthzDecision::detail() const {
  return allowed ? std::string() : fmt::format("rbac_access_denied_matched_policy[{}]", rule);
}

}  // namespace culvert::waypoint
