#pragma once

#include "common/state/tables.h"
#include "common/state/workload_index.h"

#include <array>
#include <cstdint>
#include <set>
#include <span>
#include <unordered_map>
#include <vector>

namespace culvert::state {

// That `workload` is, or is no longer, a member of the service that its i-th membership names.
struct MembershipChange {
  size_t key_hash;
  WorkloadPtr workload;
  uint32_t membership : 31;
  uint32_t joins : 1;
  uint32_t order;  // in time
  [[nodiscard]] HostKey key() const { return workload->membership(membership); }
};

// The Store's services with their endpoints, the indexes over them, and the endpoints that wait for
// a service. Control thread only; private to common/state.
//
// Workloads that come and go are noted and become endpoints together, at the next freeze: a service
// is copied once per batch, however many of its endpoints changed, and not at all if none did. A
// service that a snapshot shows is immutable; a draft, made since the last freeze, is not yet.
class ServiceIndex {
 public:
  [[nodiscard]] ServicePtr find(const HostKey& key) const;
  // Whether one of its key was there.
  bool upsert(const ServiceSpec& spec);
  bool remove(const HostKey& key);
  // `before` is replaced by `now` in the services they name; either may be null.
  void replace_endpoint(const WorkloadPtr& before, const WorkloadPtr& now);
  // `workloads`: finds those that services list by uid.
  void freeze_into(Tables& tables, const WorkloadIndex& workloads);

 private:
  void note(const WorkloadPtr& workload, size_t membership, bool joins);
  void apply_changes();
  void apply_changes_of(std::span<MembershipChange> one_service);
  void resolve_named(const WorkloadIndex& workloads);
  // Replaces `before` (may be null) by `after` (may be null) in all indexes; the same key.
  void reindex(const ServicePtr& before, const ServicePtr& after);
  Service& draft_of(const ServicePtr& service);

  TableEditor<ServicePtr> by_key_;
  TableEditor<ServiceList> by_host_;
  TableEditor<ServiceList> by_vip_;
  TableEditor<CidrEntry> by_cidr_;
  // Prefixes in by_cidr_, by family and length.
  std::array<std::array<uint32_t, 129>, 2> cidr_lengths_{};
  TableEditor<ServicePtr> staged_;
  std::unordered_map<const Service*, Service*> drafts_;
  std::set<NamespacedHostname> with_named_;  // services that list endpoints by uid
  std::vector<MembershipChange> changes_;
};

}  // namespace culvert::state
