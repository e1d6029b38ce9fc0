#pragma once

#include "common/net/address.h"
#include "common/state/identity.h"
#include "common/state/port_map.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

// Plain values of Istio's workload API (package istio.workload), as a node proxy needs them: what
// the control plane or a file says, on its way into a Store, and out of it for people to read. How
// a Store keeps them is workload.h.
namespace culvert::state {

struct NetworkAddress {
  std::string network;
  net::IpAddress ip;
  auto operator<=>(const NetworkAddress&) const = default;
  [[nodiscard]] std::string to_string() const;  // "network/ip"
};

struct NamespacedHostname {
  std::string namespace_;
  std::string hostname;
  auto operator<=>(const NamespacedHostname&) const = default;
  [[nodiscard]] std::string to_string() const;  // "namespace/hostname"
};

// The same for look-ups, without copies.
struct HostKey {
  HostKey(std::string_view ns, std::string_view host) : namespace_(ns), hostname(host) {}
  HostKey(const NamespacedHostname& key)  // NOLINT(google-explicit-constructor)
      : namespace_(key.namespace_), hostname(key.hostname) {}
  std::string_view namespace_, hostname;
  bool operator==(const HostKey&) const = default;
};

// Where a waypoint or network gateway is.
struct GatewayAddress {
  std::variant<NetworkAddress, NamespacedHostname> destination;
  uint16_t hbone_mtls_port = 0;
  bool operator==(const GatewayAddress&) const = default;
};

enum class Protocol : uint8_t { kTcp, kHbone };  // how the workload accepts mesh traffic
enum class NetworkMode : uint8_t { kStandard, kHostNetwork };
enum class Health : uint8_t { kHealthy, kUnhealthy };

struct Locality {
  std::string region, zone, subzone;
  bool operator==(const Locality&) const = default;
};

struct ApplicationTunnel {
  enum class Protocol : uint8_t { kNone, kProxy };
  Protocol protocol = Protocol::kNone;
  std::optional<uint16_t> port;
  bool operator==(const ApplicationTunnel&) const = default;
};

struct WorkloadSpec {
  std::string uid;
  std::string name;  // pod name
  std::string namespace_;
  std::vector<net::IpAddress> ips;
  std::string network;
  Protocol protocol = Protocol::kTcp;
  NetworkMode network_mode = NetworkMode::kStandard;
  std::string trust_domain;
  std::string service_account;
  std::optional<GatewayAddress> waypoint;
  std::optional<GatewayAddress> network_gateway;
  std::string node;
  std::string workload_name;  // controller name: what metrics call source_workload
  std::string workload_type;  // deployment, cronjob, pod, job
  std::string canonical_name;
  std::string canonical_revision;
  std::string hostname;  // resolved by DNS when there are no ips
  bool native_tunnel = false;
  std::optional<ApplicationTunnel> application_tunnel;
  std::vector<std::string> authorization_policies;  // "namespace/name"
  Health status = Health::kHealthy;
  std::string cluster_id;
  Locality locality;
  uint32_t capacity = 1;  // load-balancing weight; 0 is never chosen
  // Of which it is an endpoint, as the control plane tells it (empty in the local form).
  std::vector<NamespacedHostname> services;

  bool operator==(const WorkloadSpec&) const = default;
};

}  // namespace culvert::state
