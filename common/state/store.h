#pragma once

#include "common/state/snapshot.h"

#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace culvert::state {

// The mutable side: what xDS or a local file says, applied on the control thread only. Readers get
// a Snapshot; a batch of changes becomes visible as one.
//   store.upsert_workload(…); store.remove_address(…); auto next = store.commit();
//
// Cost. The indexes are hash tables in 1024 shards, and a snapshot shares all shards with the one
// before it except those that were written since: committing one changed workload among n copies
// about 2 x n/1024 pointers, not n. Values are copied never, but for a service whose endpoints
// changed: once per commit, with a pointer to each of its endpoints. Workloads share what they have
// in common (workload.h): each takes less than 125 bytes with indexes, endpoint and its share of
// services (a test). Limits: none of its own; what is in it is what the control plane sent (whose
// messages are limited in size) or what a local file said (config::kMaxLocalConfigBytes).
class Store {
 public:
  // `local_node`: NODE_NAME; empty means every workload counts as local.
  explicit Store(std::string local_node);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  [[nodiscard]] const std::string& local_node() const;

  // Replaces a workload of the same uid. `service_ports`: the services it is an endpoint of, with
  // its ports; endpoints of services that are not known yet are staged until the service comes.
  // Unhealthy endpoints are kept: Service::serves() decides when one is chosen, so a later change
  // of the health policy takes effect at once.
  // Whether there was one.
  bool upsert_workload(const WorkloadSpec& workload, const ServicePorts& service_ports);
  // Keeps the endpoints known for a service of this key; `service.endpoints` are added to them.
  // Where services share a VIP, an update keeps its place, and of one namespace's services the
  // newest is found (see best_service).
  bool upsert_service(const ServiceSpec& service);  // whether there was one
  // A policy equal to the one it replaces changes nothing, not even policy_version.
  bool upsert_policy(Policy policy);  // whether there was one
  // By the name xDS removes it with: a workload uid, else "namespace/hostname" of a service.
  // Unknown: false. A service goes with its endpoints, staged ones included: a later one of its
  // name starts without until workloads are resent.
  bool remove_address(std::string_view name);
  bool remove_policy(std::string_view key);
  // Everything out.
  void clear();
  // Everything out, and what is in `other`, a store of the same node, in. `other` is empty then.
  void replace_by(Store& other);

  // Makes all changes since the last commit visible as one new Snapshot and returns it.
  SnapshotPtr commit();
  [[nodiscard]] SnapshotPtr current() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace culvert::state
