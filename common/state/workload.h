#pragma once

#include "common/net/address.h"
#include "common/state/identity.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

// Plain values of Istio's workload API (package istio.workload), as a node proxy needs them.
// Immutable once they are in a Snapshot; shared between threads by shared_ptr<const …>.
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

using PortMap =
    std::map<uint16_t, uint16_t>;  // service port -> target port; target 0: named, see endpoint

struct Workload {
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
  uint32_t capacity = 1;                     // load-balancing weight; 0 is never chosen
  std::vector<NamespacedHostname> services;  // of which it is an endpoint (empty in the local form)

  [[nodiscard]] Identity identity() const { return {trust_domain, namespace_, service_account}; }
};

}  // namespace culvert::state
