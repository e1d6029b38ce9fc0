#pragma once

#include "common/state/tables.h"

#include <map>
#include <set>
#include <string>
#include <string_view>

namespace culvert::state {

// The Store's policies by key and by scope. Control thread only; private to common/state. A scope
// that has changed is compiled at the next freeze.
class PolicyIndex {
 public:
  bool upsert(Policy policy);  // whether one of its key was there
  bool remove(std::string_view key);
  void clear();
  // All out, those of `other` in; the version is this one's.
  void replace_by(PolicyIndex& other);
  // Also sets policy_version: that of the last change.
  void freeze_into(Tables& tables);

 private:
  void compile(const std::string& scope);

  TableEditor<PolicyPtr> by_key_;
  std::map<std::string, std::map<std::string, PolicyPtr>> scopes_;  // see PolicyScopeKey; by key
  std::set<std::string> changed_scopes_;
  TableEditor<PolicyScopePtr> compiled_;
  bool empty_ = true;  // never written since the last clear()
  bool changed_ = false;
  uint64_t version_ = 0;
};

}  // namespace culvert::state
