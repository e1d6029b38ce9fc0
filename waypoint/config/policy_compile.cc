#include "waypoint/config/document.h"

#include <fmt/format.h>

#include <algorithm>

namespace culvert::waypoint::config {
namespace {

// What a rule becomes on a connection that is not HTTP.
enum class Lost : uint8_t { kNothing, kAttribute };

AuthzCondition compile_constraint(const Constraint& constraint) {
  std::vector<AuthzCondition> leaves;
  leaves.reserve(constraint.any_of.size());
  for (const AuthzLeaf& leaf : constraint.any_of) leaves.push_back(AuthzCondition::of(leaf));
  AuthzCondition any = AuthzCondition::any(std::move(leaves));
  return constraint.negate ? AuthzCondition::negate(std::move(any)) : any;
}

// Attributes of requests are left out where there is none to look at; `lost` says that it happened.
AuthzCondition compile_all(const std::vector<Constraint>& constraints, bool http, Lost& lost) {
  std::vector<AuthzCondition> out;
  for (const Constraint& constraint : constraints) {
    const bool evaluable =
        http || std::none_of(constraint.any_of.begin(), constraint.any_of.end(), is_http_only);
    if (evaluable) {
      out.push_back(compile_constraint(constraint));
    } else {
      lost = Lost::kAttribute;
    }
  }
  return AuthzCondition::all(std::move(out));
}

AuthzCondition compile_any(const std::vector<std::vector<Constraint>>& groups, bool http,
                           Lost& lost) {
  std::vector<AuthzCondition> out;
  out.reserve(groups.size());
  for (const auto& group : groups) out.push_back(compile_all(group, http, lost));
  return AuthzCondition::any(std::move(out));
}

// nullopt: an ALLOW rule that cannot be evaluated completely allows nothing. A DENY rule keeps the
// part that can, and so denies more. Both as Istio does it.
std::optional<AuthzCondition> compile_rule(const PolicyRule& rule, bool http, AuthzAction action) {
  Lost lost = Lost::kNothing;
  std::vector<AuthzCondition> out;
  if (!rule.from.empty()) out.push_back(compile_any(rule.from, http, lost));
  if (!rule.to.empty()) out.push_back(compile_any(rule.to, http, lost));
  out.push_back(compile_all(rule.when, http, lost));
  if (lost == Lost::kAttribute && action == AuthzAction::kAllow) return std::nullopt;
  return AuthzCondition::all(std::move(out));
}

}  // namespace

std::vector<Filter> compile_policies(const std::vector<const Policy*>& policies, bool http) {
  std::vector<Filter> out;
  for (const AuthzAction action : {AuthzAction::kDeny, AuthzAction::kAllow}) {
    AuthzFilter filter{action, {}};
    bool wanted = false;
    for (const Policy* policy : policies) {
      if (policy->action != action) continue;
      // An ALLOW policy without rules still makes everything that no rule allows forbidden.
      wanted = true;
      for (size_t i = 0; i < policy->rules.size(); ++i) {
        auto condition = compile_rule(policy->rules[i], http, action);
        if (!condition) continue;
        filter.rules.push_back(
            {fmt::format("ns[{}]-policy[{}]-rule[{}]", policy->namespace_, policy->name, i),
             std::move(*condition)});
      }
    }
    if (wanted) out.emplace_back(std::move(filter));
  }
  return out;
}

}  // namespace culvert::waypoint::config
