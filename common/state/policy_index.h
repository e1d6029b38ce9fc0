#pragma once

#include "common/state/tables.h"

#include <string_view>

namespace culvert::state {

// The Store's policies by key and by scope. Control thread only; private to common/state.
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
  TableEditor<PolicyPtr> by_key_;
  TableEditor<PolicyList> scopes_;
  bool empty_ = true;  // never written since the last clear()
  bool changed_ = false;
  uint64_t version_ = 0;
};

}  // namespace culvert::state
