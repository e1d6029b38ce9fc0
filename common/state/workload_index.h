#pragma once

#include "common/state/interner.h"
#include "common/state/tables.h"

#include <string>
#include <string_view>
#include <utility>

namespace culvert::state {

// The Store's workloads and the indexes over them. Control thread only; private to common/state.
class WorkloadIndex {
 public:
  explicit WorkloadIndex(std::string local_node) : local_node_(std::move(local_node)) {}

  [[nodiscard]] WorkloadPtr find(std::string_view uid) const;
  // Puts it in the place of one with the same uid, which is returned; nullptr: there was none. One
  // that says nothing new stays: then `before` == `now`.
  struct Upserted {
    WorkloadPtr before, now;
  };
  Upserted upsert(const WorkloadSpec& spec, const ServicePorts& service_ports);
  void remove(const WorkloadPtr& workload);
  void freeze_into(Tables& tables);

 private:
  [[nodiscard]] bool is_local(const Workload& workload) const;
  void insert(const WorkloadPtr& workload);
  void remove_from_indexes(const Workload& workload);

  std::string local_node_;
  Interner interner_;
  TableEditor<WorkloadPtr> by_uid_;
  TableEditor<WorkloadList> by_address_;
  TableEditor<WorkloadList> local_accounts_;
  TableEditor<WorkloadList> by_host_;
};

}  // namespace culvert::state
