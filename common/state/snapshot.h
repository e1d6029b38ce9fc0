#pragma once

#include "common/state/policy_scope.h"
#include "common/state/service.h"
#include "common/state/workload.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace culvert::state {

struct Tables;  // common/state/tables.h
using AddressMatch = std::variant<std::monostate, WorkloadPtr, ServicePtr>;

// One consistent view of workloads, services and policies. Immutable, so any thread may read it
// without locks; the control thread builds a new one (Store) and workers swap their pointer.
//
// Lifetimes: a WorkloadPtr or ServicePtr keeps what it points to, and nothing more; the snapshot it
// was found in may go. Plain pointers and references are valid as long as the snapshot.
class Snapshot {
 public:
  Snapshot();  // empty, version 0

  // ---- look-ups; nullptr or monostate when there is none. All keyed by network: never across
  // networks.
  [[nodiscard]] WorkloadPtr workload_by_uid(std::string_view uid) const;
  // Several workloads may share an address: the best of rank {pod uid and HBONE 3, pod uid 2, HBONE
  // 1, else 0}, where a pod uid contains "//Pod/"; among equals the last inserted. HostNetwork ones
  // are never found.
  [[nodiscard]] WorkloadPtr workload_by_address(std::string_view network,
                                                const net::IpAddress& ip) const;
  // The node-local workload of exactly this name, namespace and service account ("which workload am
  // I").
  [[nodiscard]] WorkloadPtr local_workload(std::string_view name, std::string_view ns,
                                           std::string_view service_account) const;
  // Exact VIPs that are visible first, then CIDR VIPs. Among exact ones: best_service(). Among
  // CIDRs: maximise (in client namespace, prefix length, canonical), the first of equals.
  // `client_namespace` absent: visibility is not enforced.
  [[nodiscard]] ServicePtr service_by_vip(std::string_view network, const net::IpAddress& ip,
                                          std::optional<std::string_view> client_namespace) const;
  [[nodiscard]] ServicePtr service_by_host(std::string_view hostname,
                                           std::optional<std::string_view> client_namespace) const;
  // All services of that host name, in the order best_service() wants; for DNS, which filters them
  // itself.
  [[nodiscard]] std::vector<ServicePtr> services_by_host(std::string_view hostname) const;
  [[nodiscard]] ServicePtr service_by_key(const HostKey& key) const;
  // Workload first, then service by VIP.
  [[nodiscard]] AddressMatch find_address(std::string_view network, const net::IpAddress& ip,
                                          std::optional<std::string_view> client_namespace) const;
  // Service of that namespace and hostname, else a workload with that hostname and namespace.
  [[nodiscard]] AddressMatch find_hostname(const HostKey& name) const;

  // ---- policies that apply to a destination workload: namespace scope ∪ global ∪ the workload's
  // own list, each once and in this order, less those that cannot match the connection. `unknown`
  // (may be null) receives keys the workload names that are not here. Costs what is selected and
  // what the workload names itself, however many policies there are.
  [[nodiscard]] PolicySelection policies_for(const Workload& destination, const PolicyQuery& query,
                                             std::vector<std::string>* unknown) const;

  // ---- whole tables, for /config_dump: by uid; by hostname then insertion; by key.
  [[nodiscard]] std::vector<WorkloadPtr> workloads() const;
  [[nodiscard]] size_t workload_count() const;
  [[nodiscard]] std::vector<ServicePtr> services() const;
  [[nodiscard]] std::vector<PolicyPtr> policies() const;
  // "namespace/hostname" -> endpoints of services not known yet.
  [[nodiscard]] std::map<std::string, std::map<std::string, Endpoint>> staged_services() const;

  // Those on this node, in no particular order; valid as long as this snapshot.
  [[nodiscard]] std::vector<const Workload*> local_workloads() const;

  // Grows by one with each Store::commit(); policy_version only when a policy changed.
  [[nodiscard]] uint64_t version() const;
  [[nodiscard]] uint64_t policy_version() const;

 private:
  friend class Store;
  std::shared_ptr<const Tables> tables_;
};

using SnapshotPtr = std::shared_ptr<const Snapshot>;

// Whether a client of `client_namespace` may know the service; absent: not enforced.
bool visible(const Service& service, std::optional<std::string_view> client_namespace);

// Among services that share a VIP or host name, listed in insertion order: the one in the client's
// namespace, else the last canonical one, else the one in the preferred namespace, else the first;
// nullptr: none visible. Of several services of one namespace the first listed stands for all (a
// Snapshot lists the newest first).
ServicePtr best_service(std::span<const ServicePtr> services,
                        std::optional<std::string_view> client_namespace,
                        std::optional<std::string_view> preferred_namespace = std::nullopt);

}  // namespace culvert::state
