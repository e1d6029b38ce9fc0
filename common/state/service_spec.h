#pragma once

#include "common/state/workload_spec.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace culvert::state {

enum class LoadBalancerScope : uint8_t { kRegion, kZone, kSubzone, kNode, kCluster, kNetwork };
enum class LoadBalancerMode : uint8_t { kStandard, kStrict, kFailover, kPassthrough };
enum class HealthPolicy : uint8_t { kOnlyHealthy, kAllowAll };
enum class IpFamilies : uint8_t { kAutomatic, kIpv4Only, kIpv6Only, kDual };
enum class Visibility : uint8_t { kPublic, kNamespace };

struct LoadBalancer {
  std::vector<LoadBalancerScope> routing_preferences;
  LoadBalancerMode mode = LoadBalancerMode::kStandard;
  HealthPolicy health_policy = HealthPolicy::kOnlyHealthy;
  bool operator==(const LoadBalancer&) const = default;
};

struct Endpoint {
  std::string workload_uid;
  PortMap ports;
  Health status = Health::kHealthy;
  bool operator==(const Endpoint&) const = default;
};

struct WeightedWaypoint {
  GatewayAddress destination;
  uint32_t weight = 0;
  bool operator==(const WeightedWaypoint&) const = default;
};

struct CidrVip {
  std::string network;
  net::Cidr cidr;
  bool operator==(const CidrVip&) const = default;
};

// What the control plane or a file says of a service. How a Store keeps it is service.h.
struct ServiceSpec {
  std::string name;
  std::string namespace_;
  std::string hostname;
  std::vector<NetworkAddress> vips;
  std::vector<CidrVip> cidr_vips;
  PortMap ports;
  // By workload uid. Into a Store: those the local form lists, beside the workloads that name the
  // service. Out of one: all of them, unhealthy ones too.
  std::map<std::string, Endpoint> endpoints;
  std::vector<std::string> subject_alt_names;
  std::optional<GatewayAddress> waypoint;
  std::vector<WeightedWaypoint> weighted_waypoints;
  std::optional<LoadBalancer> load_balancer;
  IpFamilies ip_families = IpFamilies::kAutomatic;
  bool canonical = false;
  Visibility visibility = Visibility::kPublic;

  [[nodiscard]] NamespacedHostname key() const { return {namespace_, hostname}; }
  bool operator==(const ServiceSpec&) const = default;
};

}  // namespace culvert::state
