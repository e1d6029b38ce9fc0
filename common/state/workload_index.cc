#include "common/state/workload_index.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace culvert::state {
namespace {

// Which of several workloads with one address is meant: a pod rather than, say, a ServiceEntry that
// names its IP, and one in the mesh rather than one outside.
int rank(const Workload& workload) {
  const bool hbone = workload.protocol() == Protocol::kHbone;
  if (workload.profile().is_pod()) return hbone ? 3 : 2;
  return hbone ? 1 : 0;
}

bool by_rank(const Workload& a, const Workload& b) { return rank(a) < rank(b); }

bool by_name(const Workload& a, const Workload& b) {
  const auto order = a.compare_name(b.name());
  return order != 0 ? order < 0 : by_rank(a, b);
}

template <class Key, class Less>
void insert_into(TableEditor<WorkloadList>& table, const Key& key, const Workload& workload,
                 Less less) {
  WorkloadList* list = table.edit(key);
  if (list == nullptr) {
    table.insert(key, WorkloadList(&workload));
    return;
  }
  const auto all = list->all();
  const auto at =
      std::upper_bound(all.begin(), all.end(), &workload,
                       [&](const Workload* a, const Workload* b) { return less(*a, *b); });
  list->insert(static_cast<size_t>(at - all.begin()), &workload);
}

// An address named twice counts once.
std::vector<net::IpAddress> indexed_ips(const Workload& workload) {
  // The node's own address belongs to many pods: it cannot say which one is meant.
  if (workload.network_mode() == NetworkMode::kHostNetwork) return {};
  std::vector<net::IpAddress> ips(workload.ips().begin(), workload.ips().end());
  std::sort(ips.begin(), ips.end());
  ips.erase(std::unique(ips.begin(), ips.end()), ips.end());
  return ips;
}

}  // namespace

bool WorkloadIndex::is_local(const Workload& workload) const {
  return local_node_.empty() || workload.node() == local_node_;
}

WorkloadPtr WorkloadIndex::find(std::string_view uid) const {
  const WorkloadPtr* found = by_uid_.find(UidKey{uid});
  return found == nullptr ? nullptr : *found;
}

WorkloadIndex::Upserted WorkloadIndex::upsert(const WorkloadSpec& spec,
                                              const ServicePorts& service_ports) {
  const ProfileParts parts(spec, service_ports);
  const auto placement = Placement::texts_of(spec);
  const UidKey key{spec.uid};
  WorkloadPtr before = find(spec.uid);
  if (before == nullptr) {
    WorkloadPtr now = interner_.make(parts, placement);
    by_uid_.insert(key, now);
    insert(now);
    return {nullptr, std::move(now)};
  }
  // Also one that says nothing new becomes the last inserted of its rank.
  remove_from_indexes(*before);
  if (before->is(parts, placement)) {
    insert(before);
    return {before, before};
  }
  WorkloadPtr now = interner_.make(parts, placement);
  interner_.let_go();
  *by_uid_.edit(key) = now;
  insert(now);
  return {std::move(before), std::move(now)};
}

void WorkloadIndex::insert(const WorkloadPtr& workload) {
  for (const net::IpAddress& ip : indexed_ips(*workload)) {
    insert_into(by_address_, AddressKey{workload->network(), ip}, *workload, by_rank);
  }
  if (is_local(*workload)) {
    insert_into(local_accounts_, AccountKey{workload->ns(), workload->service_account()}, *workload,
                by_name);
  }
  if (!workload->hostname().empty()) {
    insert_into(by_host_, WorkloadHostKey{workload->ns(), workload->hostname()}, *workload,
                by_rank);
  }
}

void WorkloadIndex::remove_from_indexes(const Workload& workload) {
  for (const net::IpAddress& ip : indexed_ips(workload)) {
    erase_from(by_address_, AddressKey{workload.network(), ip}, workload);
  }
  if (is_local(workload)) {
    erase_from(local_accounts_, AccountKey{workload.ns(), workload.service_account()}, workload);
  }
  if (!workload.hostname().empty()) {
    erase_from(by_host_, WorkloadHostKey{workload.ns(), workload.hostname()}, workload);
  }
}

void WorkloadIndex::remove(const WorkloadPtr& workload) {
  remove_from_indexes(*workload);
  const std::string uid = workload->uid();
  by_uid_.erase(UidKey{uid});
  interner_.let_go();
}

void WorkloadIndex::freeze_into(Tables& tables) {
  tables.workloads = by_uid_.freeze();
  tables.workloads_by_address = by_address_.freeze();
  tables.local_accounts = local_accounts_.freeze();
  tables.workloads_by_host = by_host_.freeze();
  interner_.sweep();
}

}  // namespace culvert::state
