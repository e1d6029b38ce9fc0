#pragma once

#include "common/state/tables.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace culvert::state {

// The Store's workloads and the indexes over them. Control thread only; private to common/state.
class WorkloadIndex {
 public:
  explicit WorkloadIndex(std::string local_node) : local_node_(std::move(local_node)) {}

  [[nodiscard]] WorkloadPtr find(std::string_view uid) const;
  // No workload of this uid may be there.
  void insert(WorkloadPtr workload);
  void remove(const WorkloadPtr& workload);
  void freeze_into(Tables& tables);

 private:
  [[nodiscard]] bool is_local(const Workload& workload) const;

  std::string local_node_;
  TableEditor<WorkloadPtr> by_uid_;
  TableEditor<AddressEntry> by_address_;
  TableEditor<WorkloadList> local_accounts_;
  TableEditor<WorkloadList> by_host_;
};

}  // namespace culvert::state
