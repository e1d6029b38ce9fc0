#include "common/state/workload_index.h"

#include <algorithm>
#include <utility>

namespace culvert::state {
namespace {

// Which of several workloads with one address is meant: a pod rather than, say, a ServiceEntry that
// names its IP, and one in the mesh rather than one outside.
int rank(const Workload& workload) {
  const bool pod = workload.uid.find("//Pod/") != std::string::npos;
  const bool hbone = workload.protocol == Protocol::kHbone;
  if (pod) return hbone ? 3 : 2;
  return hbone ? 1 : 0;
}

bool by_rank(const WorkloadPtr& a, const WorkloadPtr& b) { return rank(*a) < rank(*b); }

bool by_name(const WorkloadPtr& a, const WorkloadPtr& b) {
  const int order = a->name.compare(b->name);
  return order != 0 ? order < 0 : by_rank(a, b);
}

template <class Less>
void insert_sorted(WorkloadList& list, const WorkloadPtr& workload, Less less) {
  list.insert(std::upper_bound(list.begin(), list.end(), workload, less), workload);
}

template <class Key>
void remove_from(TableEditor<WorkloadList>& table, const Key& key, const WorkloadPtr& workload) {
  WorkloadList* list = table.edit(key);
  if (list == nullptr) return;
  if (list->size() == 1 && list->front() == workload) return table.erase(key);
  std::erase(*list, workload);
}

template <class Key, class Less>
void insert_into(TableEditor<WorkloadList>& table, const Key& key, const WorkloadPtr& workload,
                 Less less) {
  if (WorkloadList* list = table.edit(key)) {
    insert_sorted(*list, workload, less);
  } else {
    table.insert(key, WorkloadList{workload});
  }
}

// An address named twice counts once.
std::vector<net::IpAddress> indexed_ips(const Workload& workload) {
  // The node's own address belongs to many pods: it cannot say which one is meant.
  if (workload.network_mode == NetworkMode::kHostNetwork) return {};
  std::vector<net::IpAddress> ips = workload.ips;
  std::sort(ips.begin(), ips.end());
  ips.erase(std::unique(ips.begin(), ips.end()), ips.end());
  return ips;
}

}  // namespace

bool WorkloadIndex::is_local(const Workload& workload) const {
  return local_node_.empty() || workload.node == local_node_;
}

WorkloadPtr WorkloadIndex::find(std::string_view uid) const {
  const WorkloadPtr* found = by_uid_.find(UidKey{uid});
  return found == nullptr ? nullptr : *found;
}

void WorkloadIndex::insert(WorkloadPtr workload) {
  for (const net::IpAddress& ip : indexed_ips(*workload)) {
    const AddressKey key{workload->network, ip};
    if (AddressEntry* entry = by_address_.edit(key)) {
      insert_sorted(entry->workloads, workload, by_rank);
    } else {
      by_address_.insert(key, AddressEntry{{workload->network, ip}, {workload}});
    }
  }
  if (is_local(*workload)) {
    insert_into(local_accounts_, AccountKey{workload->namespace_, workload->service_account},
                workload, by_name);
  }
  if (!workload->hostname.empty()) {
    insert_into(by_host_, WorkloadHostKey{workload->namespace_, workload->hostname}, workload,
                by_rank);
  }
  const UidKey key{workload->uid};
  by_uid_.insert(key, std::move(workload));
}

void WorkloadIndex::remove(const WorkloadPtr& workload) {
  for (const net::IpAddress& ip : indexed_ips(*workload)) {
    const AddressKey key{workload->network, ip};
    AddressEntry* entry = by_address_.edit(key);
    if (entry == nullptr) continue;
    std::erase(entry->workloads, workload);
    if (entry->workloads.empty()) by_address_.erase(key);
  }
  if (is_local(*workload)) {
    remove_from(local_accounts_, AccountKey{workload->namespace_, workload->service_account},
                workload);
  }
  if (!workload->hostname.empty()) {
    remove_from(by_host_, WorkloadHostKey{workload->namespace_, workload->hostname}, workload);
  }
  by_uid_.erase(UidKey{workload->uid});
}

void WorkloadIndex::freeze_into(Tables& tables) {
  tables.workloads = by_uid_.freeze();
  tables.workloads_by_address = by_address_.freeze();
  tables.local_accounts = local_accounts_.freeze();
  tables.workloads_by_host = by_host_.freeze();
}

}  // namespace culvert::state
