#include "common/state/snapshot.h"

#include "common/state/tables.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace culvert::state {
namespace {

template <class Entry>
std::vector<Entry> all_of(const Table<Entry>& table) {
  std::vector<Entry> all;
  table.for_each([&](const Entry& entry) { all.push_back(entry); });
  return all;
}

}  // namespace

bool visible(const Service& service, std::optional<std::string_view> client_namespace) {
  return service.visibility == Visibility::kPublic || !client_namespace ||
         service.namespace_ == *client_namespace;
}

ServicePtr best_service(const std::vector<ServicePtr>& services,
                        std::optional<std::string_view> client_namespace,
                        std::optional<std::string_view> preferred_namespace) {
  const ServicePtr* first = nullptr;
  const ServicePtr* preferred = nullptr;
  const ServicePtr* canonical = nullptr;
  const ServicePtr* previous = nullptr;
  for (const ServicePtr& service : services) {
    if (!visible(*service, client_namespace)) continue;
    // Services of one namespace are neighbours.
    if (previous != nullptr && (*previous)->namespace_ == service->namespace_) continue;
    previous = &service;
    if (client_namespace && service->namespace_ == *client_namespace) return service;
    if (first == nullptr) first = &service;
    if (service->canonical) canonical = &service;
    if (preferred_namespace && service->namespace_ == *preferred_namespace) preferred = &service;
  }
  for (const ServicePtr* choice : {canonical, preferred, first}) {
    if (choice != nullptr) return *choice;
  }
  return nullptr;
}

Snapshot::Snapshot() {
  auto tables = std::make_shared<Tables>();
  tables->staged = std::make_shared<const StagedServices>();
  tables_ = std::move(tables);
}

WorkloadPtr Snapshot::workload_by_uid(std::string_view uid) const {
  const WorkloadPtr* found = tables_->workloads.find(UidKey{uid});
  return found == nullptr ? nullptr : *found;
}

const Workload* Snapshot::peek_workload(std::string_view uid) const {
  const WorkloadPtr* found = tables_->workloads.find(UidKey{uid});
  return found == nullptr ? nullptr : found->get();
}

WorkloadPtr Snapshot::workload_by_address(std::string_view network,
                                          const net::IpAddress& ip) const {
  const AddressEntry* found = tables_->workloads_by_address.find(AddressKey{network, ip});
  return found == nullptr ? nullptr : found->workloads.back();
}

WorkloadPtr Snapshot::local_workload(std::string_view name, std::string_view ns,
                                     std::string_view service_account) const {
  const WorkloadList* list = tables_->local_accounts.find(AccountKey{ns, service_account});
  if (list == nullptr) return nullptr;
  const auto after = std::upper_bound(
      list->begin(), list->end(), name,
      [](std::string_view wanted, const WorkloadPtr& workload) { return wanted < workload->name; });
  if (after == list->begin() || (*std::prev(after))->name != name) return nullptr;
  return *std::prev(after);
}

bool Snapshot::has_local_account(std::string_view ns, std::string_view service_account) const {
  return tables_->local_accounts.find(AccountKey{ns, service_account}) != nullptr;
}

ServicePtr Snapshot::service_by_vip(std::string_view network, const net::IpAddress& ip,
                                    std::optional<std::string_view> client_namespace) const {
  if (const VipEntry* exact = tables_->services_by_vip.find(AddressKey{network, ip})) {
    if (ServicePtr best = best_service(exact->services, client_namespace)) return best;
  }
  // One look-up per prefix length in use: few, however many CIDRs there are.
  ServicePtr best;
  std::tuple<bool, unsigned, bool> best_rank;
  for (const unsigned length : tables_->cidr_lengths[ip.is_v4() ? 0 : 1]) {
    const CidrKey key{network, clear_host_bits(ip, length), length};
    const CidrEntry* entry = tables_->services_by_cidr.find(key);
    if (entry == nullptr) continue;
    for (const ServicePtr& service : entry->services) {
      if (!visible(*service, client_namespace)) continue;
      const bool own = client_namespace && service->namespace_ == *client_namespace;
      const std::tuple rank(own, length, service->canonical);
      if (best && rank <= best_rank) continue;
      best = service;
      best_rank = rank;
    }
  }
  return best;
}

std::vector<ServicePtr> Snapshot::services_by_host(std::string_view hostname) const {
  const ServiceList* list = tables_->services_by_host.find(ServiceHostKey{hostname});
  return list == nullptr ? ServiceList{} : *list;
}

ServicePtr Snapshot::service_by_host(std::string_view hostname,
                                     std::optional<std::string_view> client_namespace) const {
  const ServiceList* list = tables_->services_by_host.find(ServiceHostKey{hostname});
  return list == nullptr ? nullptr : best_service(*list, client_namespace);
}

ServicePtr Snapshot::service_by_key(const NamespacedHostname& key) const {
  const ServiceList* list = tables_->services_by_host.find(ServiceHostKey{key.hostname});
  if (list == nullptr) return nullptr;
  for (const ServicePtr& service : *list) {
    if (service->namespace_ == key.namespace_) return service;
  }
  return nullptr;
}

AddressMatch Snapshot::find_address(std::string_view network, const net::IpAddress& ip,
                                    std::optional<std::string_view> client_namespace) const {
  if (WorkloadPtr workload = workload_by_address(network, ip)) return workload;
  if (ServicePtr service = service_by_vip(network, ip, client_namespace)) return service;
  return {};
}

AddressMatch Snapshot::find_hostname(const NamespacedHostname& name) const {
  if (ServicePtr service = service_by_key(name)) return service;
  const WorkloadList* list =
      tables_->workloads_by_host.find(WorkloadHostKey{name.namespace_, name.hostname});
  if (list != nullptr) return list->back();
  return {};
}

std::vector<PolicyPtr> Snapshot::policies_for(const Workload& destination,
                                              std::vector<std::string>* unknown) const {
  PolicyList result;
  const auto add_scope = [&](std::string_view ns) {
    const PolicyList* list = tables_->policy_scopes.find(PolicyScopeKey{ns});
    if (list != nullptr) result.insert(result.end(), list->begin(), list->end());
  };
  add_scope(destination.namespace_);
  if (!destination.namespace_.empty()) add_scope({});
  for (const std::string& key : destination.authorization_policies) {
    const PolicyPtr* policy = tables_->policies.find(PolicyKey{key});
    if (policy == nullptr) {
      if (unknown != nullptr) unknown->push_back(key);
    } else if (std::find(result.begin(), result.end(), *policy) == result.end()) {
      result.push_back(*policy);
    }
  }
  return result;
}

std::vector<WorkloadPtr> Snapshot::workloads() const {
  auto all = all_of(tables_->workloads);
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a->uid < b->uid; });
  return all;
}

std::vector<ServicePtr> Snapshot::services() const {
  auto lists = all_of(tables_->services_by_host);
  std::sort(lists.begin(), lists.end(), [](const ServiceList& a, const ServiceList& b) {
    return a.front()->hostname < b.front()->hostname;
  });
  ServiceList all;
  for (const ServiceList& list : lists) all.insert(all.end(), list.begin(), list.end());
  return all;
}

std::vector<PolicyPtr> Snapshot::policies() const {
  auto all = all_of(tables_->policies);
  std::sort(all.begin(), all.end(),
            [](const auto& a, const auto& b) { return a->key() < b->key(); });
  return all;
}

const std::map<std::string, std::map<std::string, Endpoint>>& Snapshot::staged_services() const {
  return *tables_->staged;
}

uint64_t Snapshot::version() const { return tables_->version; }
uint64_t Snapshot::policy_version() const { return tables_->policy_version; }

}  // namespace culvert::state
