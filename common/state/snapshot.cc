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

// best_service(); `at(i)` is the i-th of `count` services.
template <class At>
const Service* best_of(size_t count, At&& at, std::optional<std::string_view> client_namespace,
                       std::optional<std::string_view> preferred_namespace = std::nullopt) {
  const Service* first = nullptr;
  const Service* preferred = nullptr;
  const Service* canonical = nullptr;
  const Service* previous = nullptr;
  for (size_t i = 0; i < count; ++i) {
    const Service& service = at(i);
    if (!visible(service, client_namespace)) continue;
    // Services of one namespace are neighbours.
    if (previous != nullptr && previous->ns() == service.ns()) continue;
    previous = &service;
    if (client_namespace && service.ns() == *client_namespace) return &service;
    if (first == nullptr) first = &service;
    if (service.canonical()) canonical = &service;
    if (preferred_namespace && service.ns() == *preferred_namespace) preferred = &service;
  }
  for (const Service* choice : {canonical, preferred, first}) {
    if (choice != nullptr) return choice;
  }
  return nullptr;
}

const Service* best_of(const ServiceList& list, std::optional<std::string_view> client_namespace) {
  const auto all = list.all();
  return best_of(all.size(), [&](size_t i) -> const Service& { return *all[i]; }, client_namespace);
}

// Whether it is a policy of the destination's namespace, or a global one.
bool applies_by_scope(const Policy& policy, const Workload& destination) {
  return policy.scope == Policy::Scope::kGlobal ||
         (policy.scope == Policy::Scope::kNamespace && policy.namespace_ == destination.ns());
}

}  // namespace

bool visible(const Service& service, std::optional<std::string_view> client_namespace) {
  return service.visibility() == Visibility::kPublic || !client_namespace ||
         service.ns() == *client_namespace;
}

ServicePtr best_service(std::span<const ServicePtr> services,
                        std::optional<std::string_view> client_namespace,
                        std::optional<std::string_view> preferred_namespace) {
  return best_of(
      services.size(), [&](size_t i) -> const Service& { return *services[i]; }, client_namespace,
      preferred_namespace);
}

Snapshot::Snapshot() : tables_(std::make_shared<const Tables>()) {}

WorkloadPtr Snapshot::workload_by_uid(std::string_view uid) const {
  const WorkloadPtr* found = tables_->workloads.find(UidKey{uid});
  return found == nullptr ? nullptr : *found;
}

WorkloadPtr Snapshot::workload_by_address(std::string_view network,
                                          const net::IpAddress& ip) const {
  const WorkloadList* found = tables_->workloads_by_address.find(AddressKey{network, ip});
  return found == nullptr ? nullptr : &found->back();
}

WorkloadPtr Snapshot::local_workload(std::string_view name, std::string_view ns,
                                     std::string_view service_account) const {
  const WorkloadList* list = tables_->local_accounts.find(AccountKey{ns, service_account});
  if (list == nullptr) return nullptr;
  const auto all = list->all();
  const auto after = std::upper_bound(all.begin(), all.end(), name,
                                      [](std::string_view wanted, const Workload* workload) {
                                        return workload->compare_name(wanted) > 0;
                                      });
  if (after == all.begin() || (*std::prev(after))->compare_name(name) != 0) return nullptr;
  return *std::prev(after);
}

ServicePtr Snapshot::service_by_vip(std::string_view network, const net::IpAddress& ip,
                                    std::optional<std::string_view> client_namespace) const {
  if (const ServiceList* exact = tables_->services_by_vip.find(AddressKey{network, ip})) {
    if (const Service* best = best_of(*exact, client_namespace)) return best;
  }
  // One look-up per prefix length in use: few, however many CIDRs there are.
  const Service* best = nullptr;
  std::tuple<bool, unsigned, bool> best_rank;
  for (const unsigned length : tables_->cidr_lengths[ip.is_v4() ? 0 : 1]) {
    const CidrKey key{network, clear_host_bits(ip, length), length};
    const CidrEntry* entry = tables_->services_by_cidr.find(key);
    if (entry == nullptr) continue;
    for (const Service* service : entry->services.all()) {
      if (!visible(*service, client_namespace)) continue;
      const bool own = client_namespace && service->ns() == *client_namespace;
      const std::tuple rank(own, length, service->canonical());
      if (best != nullptr && rank <= best_rank) continue;
      best = service;
      best_rank = rank;
    }
  }
  return best;
}

std::vector<ServicePtr> Snapshot::services_by_host(std::string_view hostname) const {
  const ServiceList* list = tables_->services_by_host.find(ServiceHostKey{hostname});
  if (list == nullptr) return {};
  const auto all = list->all();
  return {all.begin(), all.end()};
}

ServicePtr Snapshot::service_by_host(std::string_view hostname,
                                     std::optional<std::string_view> client_namespace) const {
  const ServiceList* list = tables_->services_by_host.find(ServiceHostKey{hostname});
  return list == nullptr ? nullptr : best_of(*list, client_namespace);
}

ServicePtr Snapshot::service_by_key(const HostKey& key) const {
  const ServicePtr* found = tables_->services.find(ServiceKey{key});
  return found == nullptr ? nullptr : *found;
}

AddressMatch Snapshot::find_address(std::string_view network, const net::IpAddress& ip,
                                    std::optional<std::string_view> client_namespace) const {
  if (WorkloadPtr workload = workload_by_address(network, ip)) return workload;
  if (ServicePtr service = service_by_vip(network, ip, client_namespace)) return service;
  return {};
}

AddressMatch Snapshot::find_hostname(const HostKey& name) const {
  if (ServicePtr service = service_by_key(name)) return service;
  const WorkloadList* list =
      tables_->workloads_by_host.find(WorkloadHostKey{name.namespace_, name.hostname});
  if (list != nullptr) return WorkloadPtr(&list->back());
  return {};
}

PolicySelection Snapshot::policies_for(const Workload& destination, const PolicyQuery& query,
                                       std::vector<std::string>* unknown) const {
  PolicySelection selection;
  const auto add_scope = [&](std::string_view name) {
    const PolicyScopePtr* scope = tables_->policy_scopes.find(PolicyScopeKey{name});
    if (scope != nullptr) (*scope)->select(query, selection);
  };
  add_scope(destination.ns());
  if (!destination.ns().empty()) add_scope({});
  auto& all = selection.policies;
  const auto own = static_cast<std::ptrdiff_t>(all.size());
  for (size_t i = 0; i < destination.policy_count(); ++i) {
    const std::string_view key = destination.policy(i);
    const PolicyPtr* policy = tables_->policies.find(PolicyKey{key});
    if (policy == nullptr) {
      if (unknown != nullptr) unknown->emplace_back(key);
    } else if (!applies_by_scope(**policy, destination) &&
               std::find(all.begin() + own, all.end(), policy->get()) == all.end()) {
      selection.note_action(**policy);
      all.push_back(policy->get());
    }
  }
  return selection;
}

std::vector<WorkloadPtr> Snapshot::workloads() const {
  auto all = all_of(tables_->workloads);
  std::sort(all.begin(), all.end(),
            [](const auto& a, const auto& b) { return a->compare_uid(*b) < 0; });
  return all;
}

size_t Snapshot::workload_count() const {
  size_t count = 0;
  tables_->workloads.for_each([&](const WorkloadPtr&) { ++count; });
  return count;
}

std::vector<const Workload*> Snapshot::local_workloads() const {
  std::vector<const Workload*> all;
  tables_->local_accounts.for_each([&](const WorkloadList& list) {
    all.insert(all.end(), list.all().begin(), list.all().end());
  });
  return all;
}

std::vector<ServicePtr> Snapshot::services() const {
  auto lists = all_of(tables_->services_by_host);
  std::sort(lists.begin(), lists.end(), [](const ServiceList& a, const ServiceList& b) {
    return a.front().hostname() < b.front().hostname();
  });
  std::vector<ServicePtr> all;
  for (const ServiceList& list : lists) {
    all.insert(all.end(), list.all().begin(), list.all().end());
  }
  return all;
}

std::vector<PolicyPtr> Snapshot::policies() const {
  auto all = all_of(tables_->policies);
  std::sort(all.begin(), all.end(),
            [](const auto& a, const auto& b) { return a->key() < b->key(); });
  return all;
}

std::map<std::string, std::map<std::string, Endpoint>> Snapshot::staged_services() const {
  std::map<std::string, std::map<std::string, Endpoint>> staged;
  tables_->staged.for_each([&](const ServicePtr& waiting) {
    ServiceSpec spec = waiting->spec();
    staged.emplace(spec.key().to_string(), std::move(spec.endpoints));
  });
  return staged;
}

uint64_t Snapshot::version() const { return tables_->version; }
uint64_t Snapshot::policy_version() const { return tables_->policy_version; }

}  // namespace culvert::state
