#include "common/state/policy_index.h"

#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace culvert::state {
namespace {

// nullopt: selector policies are found through the workloads that name them.
std::optional<std::string> scope_of(const Policy& policy) {
  if (policy.scope == Policy::Scope::kWorkloadSelector) return std::nullopt;
  return policy.scope == Policy::Scope::kGlobal ? std::string() : policy.namespace_;
}

}  // namespace

bool PolicyIndex::upsert(Policy policy) {
  const std::string key = policy.key();
  const PolicyPtr* known = by_key_.find(PolicyKey{key});
  const bool was_there = known != nullptr;
  if (was_there && **known == policy) return true;
  remove(key);
  const auto inserted = std::make_shared<const Policy>(std::move(policy));
  by_key_.insert(PolicyKey{key}, inserted);
  empty_ = false;
  changed_ = true;
  if (const auto scope = scope_of(*inserted)) {
    scopes_[*scope].emplace(key, inserted);
    changed_scopes_.insert(*scope);
  }
  return was_there;
}

bool PolicyIndex::remove(std::string_view key) {
  const PolicyPtr* found = by_key_.find(PolicyKey{key});
  if (found == nullptr) return false;
  const auto scope = scope_of(**found);
  by_key_.erase(PolicyKey{key});
  changed_ = true;
  if (scope) {
    scopes_[*scope].erase(std::string(key));
    changed_scopes_.insert(*scope);
  }
  return true;
}

void PolicyIndex::clear() {
  changed_ = changed_ || !empty_;
  empty_ = true;
  by_key_ = {};
  scopes_ = {};
  changed_scopes_ = {};
  compiled_ = {};
}

void PolicyIndex::replace_by(PolicyIndex& other) {
  clear();
  std::swap(by_key_, other.by_key_);
  std::swap(scopes_, other.scopes_);
  std::swap(changed_scopes_, other.changed_scopes_);
  std::swap(compiled_, other.compiled_);
  std::swap(empty_, other.empty_);
  changed_ = changed_ || !empty_;
}

void PolicyIndex::compile(const std::string& scope) {
  compiled_.erase(PolicyScopeKey{scope});
  const auto found = scopes_.find(scope);
  if (found->second.empty()) {
    scopes_.erase(found);
    return;
  }
  std::vector<PolicyPtr> policies;
  policies.reserve(found->second.size());
  for (const auto& [key, policy] : found->second) policies.push_back(policy);
  compiled_.insert(PolicyScopeKey{scope},
                   std::make_shared<const PolicyScope>(scope, std::move(policies)));
}

void PolicyIndex::freeze_into(Tables& tables) {
  if (changed_) ++version_;
  changed_ = false;
  for (const std::string& scope : changed_scopes_) compile(scope);
  changed_scopes_ = {};
  tables.policies = by_key_.freeze();
  tables.policy_scopes = compiled_.freeze();
  tables.policy_version = version_;
}

}  // namespace culvert::state
