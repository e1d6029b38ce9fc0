#include "common/state/store.h"

#include "common/state/policy_index.h"
#include "common/state/service_index.h"
#include "common/state/workload_index.h"

#include <algorithm>
#include <unordered_map>
#include <utility>
#include <vector>

namespace culvert::state {

struct Store::State {
  explicit State(std::string node)
      : local_node(std::move(node)),
        workloads(local_node),
        current(std::make_shared<const Snapshot>()) {}

  // The services a workload is an endpoint of.
  [[nodiscard]] const std::vector<NamespacedHostname>& services_of(const Workload& workload) const {
    const auto extra = memberships.find(workload.uid);
    return extra == memberships.end() ? workload.services : extra->second;
  }

  void remove_workload(const WorkloadPtr& workload) {
    for (const NamespacedHostname& service : services_of(*workload)) {
      services.remove_endpoint(service, workload->uid);
    }
    memberships.erase(workload->uid);
    workloads.remove(workload);
  }

  const std::string local_node;
  WorkloadIndex workloads;
  ServiceIndex services;
  PolicyIndex policies;
  // By uid, where Workload::services does not say it (the local form).
  std::unordered_map<std::string, std::vector<NamespacedHostname>> memberships;
  SnapshotPtr current;
  uint64_t version = 0;
};

Store::Store(std::string local_node) : state_(std::make_unique<State>(std::move(local_node))) {}
Store::~Store() = default;

void Store::upsert_workload(Workload workload,
                            std::map<NamespacedHostname, PortMap> service_ports) {
  auto inserted = std::make_shared<const Workload>(std::move(workload));
  if (const WorkloadPtr before = state_->workloads.find(inserted->uid)) {
    // Endpoints that stay are replaced below, so that one which did not change costs nothing.
    for (const NamespacedHostname& service : state_->services_of(*before)) {
      if (!service_ports.contains(service)) state_->services.remove_endpoint(service, before->uid);
    }
    state_->memberships.erase(before->uid);
    state_->workloads.remove(before);
  }
  state_->workloads.insert(inserted);
  std::vector<NamespacedHostname> keys;
  for (auto& [service, ports] : service_ports) {
    keys.push_back(service);
    state_->services.set_endpoint(service, {inserted->uid, std::move(ports), inserted->status});
  }
  std::vector<NamespacedHostname> told = inserted->services;
  std::sort(told.begin(), told.end());
  if (keys != told) state_->memberships.emplace(inserted->uid, std::move(keys));
}

void Store::upsert_service(Service service) { state_->services.upsert(std::move(service)); }

void Store::upsert_policy(Policy policy) { state_->policies.upsert(std::move(policy)); }

bool Store::remove_address(std::string_view name) {
  if (const WorkloadPtr workload = state_->workloads.find(name)) {
    state_->remove_workload(workload);
    return true;
  }
  const size_t slash = name.find('/');
  if (slash == std::string_view::npos) return false;
  // A second slash: the uid of a workload that is already gone.
  const std::string_view hostname = name.substr(slash + 1);
  if (hostname.find('/') != std::string_view::npos) return false;
  return state_->services.remove({std::string(name.substr(0, slash)), std::string(hostname)});
}

bool Store::remove_policy(std::string_view key) { return state_->policies.remove(key); }

void Store::clear() {
  state_->workloads = WorkloadIndex(state_->local_node);
  state_->services = {};
  state_->policies.clear();
  state_->memberships.clear();
}

SnapshotPtr Store::commit() {
  auto tables = std::make_shared<Tables>();
  state_->workloads.freeze_into(*tables);
  state_->services.freeze_into(*tables);
  state_->policies.freeze_into(*tables);
  tables->version = ++state_->version;
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->tables_ = std::move(tables);
  state_->current = std::move(snapshot);
  return state_->current;
}

SnapshotPtr Store::current() const { return state_->current; }

}  // namespace culvert::state
