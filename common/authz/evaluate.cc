#include "common/authz/evaluate.h"

#include <algorithm>
#include <string_view>

namespace culvert::authz {
namespace {

using state::Policy;
using state::PolicyMatch;
using state::PolicySelection;
using state::StringMatch;

// A connection in the form that matches compare with, made once per decision.
struct Facts {
  explicit Facts(const Connection& from) : connection(from) {
    if (from.source_identity) principal = from.source_identity->principal();
  }
  const Connection& connection;
  std::string principal;  // "<trust domain>/ns/…/sa/…": policies leave out the scheme
};

bool matches_text(const StringMatch& match, std::string_view text) {
  switch (match.kind) {
    case StringMatch::Kind::kExact:
      return text == match.value;
    case StringMatch::Kind::kPrefix:
      return text.starts_with(match.value);
    case StringMatch::Kind::kSuffix:
      return text.ends_with(match.value);
    case StringMatch::Kind::kPresence:
      return !text.empty();
  }
  return false;
}

template <class Item, class Predicate>
bool field_matches(const std::vector<Item>& any, const std::vector<Item>& none,
                   Predicate&& predicate) {
  return (any.empty() || std::any_of(any.begin(), any.end(), predicate)) &&
         std::none_of(none.begin(), none.end(), predicate);
}

bool match_matches(const PolicyMatch& match, const Facts& facts) {
  // Nothing to compare with is most likely what this version could not understand: never a match.
  if (match.empty()) return false;
  const Connection& connection = facts.connection;
  const auto& identity = connection.source_identity;
  return field_matches(
             match.destination_ips, match.not_destination_ips,
             [&](const net::Cidr& cidr) { return cidr.contains(connection.destination.ip); }) &&
         field_matches(
             match.source_ips, match.not_source_ips,
             [&](const net::Cidr& cidr) { return cidr.contains(connection.source.ip); }) &&
         field_matches(match.destination_ports, match.not_destination_ports,
                       [&](uint16_t port) { return port == connection.destination.port; }) &&
         field_matches(match.service_accounts, match.not_service_accounts,
                       [&](const state::ServiceAccountMatch& account) {
                         return identity && identity->namespace_ == account.namespace_ &&
                                identity->service_account == account.service_account;
                       }) &&
         field_matches(match.principals, match.not_principals,
                       [&](const StringMatch& text) {
                         return identity && matches_text(text, facts.principal);
                       }) &&
         field_matches(match.namespaces, match.not_namespaces, [&](const StringMatch& text) {
           return matches_text(text, identity ? std::string_view(identity->namespace_) : "");
         });
}

bool clause_matches(const state::PolicyClause& clause, const Facts& facts) {
  return clause.empty() || std::any_of(clause.begin(), clause.end(), [&](const PolicyMatch& match) {
           return match_matches(match, facts);
         });
}

bool policy_matches(const Policy& policy, const Facts& facts) {
  return std::any_of(policy.rules.begin(), policy.rules.end(), [&](const state::PolicyRule& rule) {
    return std::all_of(rule.begin(), rule.end(), [&](const state::PolicyClause& clause) {
      return clause_matches(clause, facts);
    });
  });
}

// Runs `visit` on the policies of one action and dryness until it returns true; whether it did.
template <class Visit>
bool any_policy(const std::vector<const Policy*>& policies, Policy::Action action, bool dry_run,
                Visit&& visit) {
  return std::any_of(policies.begin(), policies.end(), [&](const Policy* policy) {
    return policy->action == action && policy->dry_run == dry_run && visit(*policy);
  });
}

void note(std::vector<DryRunNote>* notes, std::string_view message, std::string policy) {
  notes->push_back({std::string(message), std::move(policy)});
}

}  // namespace

std::string Decision::reason() const {
  switch (outcome) {
    case Outcome::kAllowed:
      return "";
    case Outcome::kExplicitlyDenied:
      return "explicitly denied by: " + policy;
    case Outcome::kNotAllowed:
      return "allow policies exist, but none allowed";
  }
  return "";
}

bool matches(const Policy& policy, const Connection& connection) {
  return policy_matches(policy, Facts(connection));
}

Decision evaluate(const PolicySelection& selection, const Connection& connection,
                  std::vector<DryRunNote>* dry_run_notes) {
  using Action = Policy::Action;
  using Outcome = Decision::Outcome;
  const auto& policies = selection.policies;
  const Facts facts(connection);
  Decision decision;

  if (dry_run_notes != nullptr) {
    any_policy(policies, Action::kDeny, true, [&](const Policy& policy) {
      if (policy_matches(policy, facts)) {
        note(dry_run_notes, "dry-run: deny policy match", policy.key());
      }
      return false;
    });
  }
  const bool denied = any_policy(policies, Action::kDeny, false, [&](const Policy& policy) {
    if (!policy_matches(policy, facts)) return false;
    decision = {Outcome::kExplicitlyDenied, policy.key()};
    return true;
  });
  if (denied) return decision;

  if (dry_run_notes != nullptr) {
    bool matched = false;
    any_policy(policies, Action::kAllow, true, [&](const Policy& policy) {
      if (policy_matches(policy, facts)) {
        matched = true;
        note(dry_run_notes, "dry-run: allow policy match", policy.key());
      }
      return false;
    });
    if (selection.has_dry_run_allow && !matched && !selection.has_allow) {
      note(dry_run_notes, "dry-run: no allow policies match", "");
    }
  }

  if (!selection.has_allow) return decision;
  const bool allowed = any_policy(policies, Action::kAllow, false, [&](const Policy& policy) {
    if (!policy_matches(policy, facts)) return false;
    decision.policy = policy.key();
    return true;
  });
  if (!allowed) decision.outcome = Outcome::kNotAllowed;
  return decision;
}

}  // namespace culvert::authz
