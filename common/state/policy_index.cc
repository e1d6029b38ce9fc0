#include "common/state/policy_index.h"

#include <algorithm>
#include <memory>
#include <utility>

namespace culvert::state {

bool PolicyIndex::upsert(Policy policy) {
  const std::string text = policy.key();
  const PolicyKey key{text};
  const PolicyPtr* known = by_key_.find(key);
  const bool was_there = known != nullptr;
  if (was_there && **known == policy) return true;
  remove(text);
  auto inserted = std::make_shared<const Policy>(std::move(policy));
  by_key_.insert(key, inserted);
  empty_ = false;
  changed_ = true;
  // Selector policies are found through the workloads that name them.
  if (inserted->scope == Policy::Scope::kWorkloadSelector) return was_there;
  const bool global = inserted->scope == Policy::Scope::kGlobal;
  const PolicyScopeKey scope{global ? std::string_view() : inserted->namespace_};
  if (PolicyList* list = scopes_.edit(scope)) {
    const auto at =
        std::lower_bound(list->begin(), list->end(), text,
                         [](const PolicyPtr& a, const std::string& b) { return a->key() < b; });
    list->insert(at, inserted);
  } else {
    scopes_.insert(scope, PolicyList{inserted});
  }
  return was_there;
}

bool PolicyIndex::remove(std::string_view key) {
  const PolicyPtr* found = by_key_.find(PolicyKey{key});
  if (found == nullptr) return false;
  const PolicyPtr policy = *found;
  by_key_.erase(PolicyKey{key});
  changed_ = true;
  const bool global = policy->scope == Policy::Scope::kGlobal;
  const PolicyScopeKey scope{global ? std::string_view() : policy->namespace_};
  if (policy->scope == Policy::Scope::kWorkloadSelector) return true;
  if (PolicyList* list = scopes_.edit(scope)) {
    if (list->size() == 1) {
      scopes_.erase(scope);
    } else {
      std::erase(*list, policy);
    }
  }
  return true;
}

void PolicyIndex::clear() {
  changed_ = changed_ || !empty_;
  empty_ = true;
  by_key_ = {};
  scopes_ = {};
}

void PolicyIndex::replace_by(PolicyIndex& other) {
  clear();
  std::swap(by_key_, other.by_key_);
  std::swap(scopes_, other.scopes_);
  std::swap(empty_, other.empty_);
  changed_ = changed_ || !empty_;
}

void PolicyIndex::freeze_into(Tables& tables) {
  if (changed_) ++version_;
  changed_ = false;
  tables.policies = by_key_.freeze();
  tables.policy_scopes = scopes_.freeze();
  tables.policy_version = version_;
}

}  // namespace culvert::state
