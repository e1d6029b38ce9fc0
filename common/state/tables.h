#pragma once

#include "common/state/few.h"
#include "common/state/hash.h"
#include "common/state/snapshot.h"
#include "common/state/table.h"

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

// What a Snapshot is made of; private to common/state. Entries, and the keys that find them.
namespace culvert::state {

using WorkloadList = Few<Workload>;  // never empty in a table
using ServiceList = Few<Service>;

struct CidrEntry {
  std::string network;
  net::IpAddress prefix;  // host bits cleared
  unsigned length = 0;
  ServiceList services;
};

struct UidKey {
  std::string_view uid;
  [[nodiscard]] size_t hash() const { return hash_text(uid); }
  [[nodiscard]] bool matches(const WorkloadPtr& workload) const {
    return workload->compare_uid(uid) == 0;
  }
};

struct AddressKey {
  std::string_view network;
  net::IpAddress ip;
  [[nodiscard]] size_t hash() const {
    return combine_hash(hash_text(network), std::hash<net::IpAddress>{}(ip));
  }
  [[nodiscard]] bool matches(const WorkloadList& list) const {
    const Workload& workload = list.front();
    return workload.network() == network && workload.ips().contains(ip);
  }
  [[nodiscard]] bool matches(const ServiceList& list) const {
    return list.front().has_vip({network, ip});
  }
};

// The service account of node-local workloads; the trust domain does not matter.
struct AccountKey {
  std::string_view namespace_, service_account;
  [[nodiscard]] size_t hash() const { return hash_text(namespace_, service_account); }
  [[nodiscard]] bool matches(const WorkloadList& list) const {
    return list.front().ns() == namespace_ && list.front().service_account() == service_account;
  }
};

struct WorkloadHostKey {
  std::string_view namespace_, hostname;
  [[nodiscard]] size_t hash() const { return hash_text(namespace_, hostname); }
  [[nodiscard]] bool matches(const WorkloadList& list) const {
    return list.front().ns() == namespace_ && list.front().hostname() == hostname;
  }
};

struct ServiceKey {
  HostKey key;
  [[nodiscard]] size_t hash() const { return hash_text(key.namespace_, key.hostname); }
  [[nodiscard]] bool matches(const ServicePtr& service) const { return service->key() == key; }
};

struct ServiceHostKey {
  std::string_view hostname;
  [[nodiscard]] size_t hash() const { return hash_text(hostname); }
  [[nodiscard]] bool matches(const ServiceList& list) const {
    return list.front().hostname() == hostname;
  }
};

// Takes `element` from the list at `key`, if it is there.
template <class T, class Key>
void erase_from(TableEditor<Few<T>>& table, const Key& key, const T& element) {
  const Few<T>* list = table.find(key);
  if (list == nullptr) return;
  const auto all = list->all();
  if (std::find(all.begin(), all.end(), &element) == all.end()) return;
  if (all.size() == 1) {
    table.erase(key);
  } else {
    table.edit(key)->erase(&element);
  }
}

// `ip` with all but the first `length` bits of its family cleared.
net::IpAddress clear_host_bits(const net::IpAddress& ip, unsigned length);

struct CidrKey {
  std::string_view network;
  net::IpAddress prefix;
  unsigned length;
  [[nodiscard]] size_t hash() const {
    return combine_hash(AddressKey{network, prefix}.hash(), length);
  }
  [[nodiscard]] bool matches(const CidrEntry& entry) const {
    return entry.prefix == prefix && entry.length == length && entry.network == network;
  }
};

struct PolicyKey {
  std::string_view key;  // "namespace/name"
  [[nodiscard]] size_t hash() const { return hash_text(key); }
  // policy->key() == key, without making that string for each connection.
  [[nodiscard]] bool matches(const PolicyPtr& policy) const {
    const size_t slash = policy->namespace_.size();
    return key.size() == slash + 1 + policy->name.size() && key[slash] == '/' &&
           key.starts_with(policy->namespace_) && key.ends_with(policy->name);
  }
};

struct PolicyScopeKey {
  std::string_view namespace_;  // empty: global
  [[nodiscard]] size_t hash() const { return hash_text(namespace_); }
  [[nodiscard]] bool matches(const PolicyScopePtr& scope) const {
    return scope->name() == namespace_;
  }
};

// `workloads` and `services` own; the other tables point to what these hold.
struct Tables {
  Table<WorkloadPtr> workloads;
  // Ascending rank, then insertion: the last is the one to find.
  Table<WorkloadList> workloads_by_address;
  Table<WorkloadList> local_accounts;     // by name, then as above
  Table<WorkloadList> workloads_by_host;  // those that have a host name

  Table<ServicePtr> services;
  Table<ServiceList> services_by_host;
  Table<ServiceList> services_by_vip;
  Table<CidrEntry> services_by_cidr;
  std::array<std::vector<unsigned>, 2> cidr_lengths;  // in use, for IPv4 [0] and IPv6 [1]
  Table<ServicePtr> staged;                           // not known yet: only their key and endpoints

  Table<PolicyPtr> policies;
  Table<PolicyScopePtr> policy_scopes;  // by key within

  uint64_t version = 0;
  uint64_t policy_version = 0;
};

}  // namespace culvert::state
