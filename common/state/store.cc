#include "common/state/store.h"

#include "common/state/policy_index.h"
#include "common/state/service_index.h"
#include "common/state/workload_index.h"

#include <utility>

namespace culvert::state {

struct Store::State {
  explicit State(std::string node)
      : local_node(std::move(node)),
        workloads(local_node),
        current(std::make_shared<const Snapshot>()) {}

  const std::string local_node;
  WorkloadIndex workloads;
  ServiceIndex services;
  PolicyIndex policies;
  SnapshotPtr current;
  uint64_t version = 0;
};

Store::Store(std::string local_node) : state_(std::make_unique<State>(std::move(local_node))) {}
Store::~Store() = default;

bool Store::upsert_workload(const WorkloadSpec& workload, const ServicePorts& service_ports) {
  const auto [before, now] = state_->workloads.upsert(workload, service_ports);
  state_->services.replace_endpoint(before, now);
  return before != nullptr;
}

bool Store::upsert_service(const ServiceSpec& service) { return state_->services.upsert(service); }

bool Store::upsert_policy(Policy policy) { return state_->policies.upsert(std::move(policy)); }

bool Store::remove_address(std::string_view name) {
  if (const WorkloadPtr workload = state_->workloads.find(name)) {
    state_->services.replace_endpoint(workload, nullptr);
    state_->workloads.remove(workload);
    return true;
  }
  const size_t slash = name.find('/');
  if (slash == std::string_view::npos) return false;
  // A second slash: the uid of a workload that is already gone.
  const std::string_view hostname = name.substr(slash + 1);
  if (hostname.find('/') != std::string_view::npos) return false;
  return state_->services.remove({name.substr(0, slash), hostname});
}

bool Store::remove_policy(std::string_view key) { return state_->policies.remove(key); }

void Store::clear() {
  state_->workloads = WorkloadIndex(state_->local_node);
  state_->services = {};
  state_->policies.clear();
}

void Store::replace_by(Store& other) {
  clear();
  std::swap(state_->workloads, other.state_->workloads);
  std::swap(state_->services, other.state_->services);
  state_->policies.replace_by(other.state_->policies);
  other.clear();
}

const std::string& Store::local_node() const { return state_->local_node; }

SnapshotPtr Store::commit() {
  auto tables = std::make_shared<Tables>();
  state_->workloads.freeze_into(*tables);
  state_->services.freeze_into(*tables, state_->workloads);
  state_->policies.freeze_into(*tables);
  tables->version = ++state_->version;
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->tables_ = std::move(tables);
  state_->current = std::move(snapshot);
  return state_->current;
}

SnapshotPtr Store::current() const { return state_->current; }

}  // namespace culvert::state
