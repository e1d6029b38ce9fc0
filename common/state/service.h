#pragma once

#include "common/state/workload.h"

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

struct Service {
  std::string name;
  std::string namespace_;
  std::string hostname;
  std::vector<NetworkAddress> vips;
  std::vector<CidrVip> cidr_vips;
  PortMap ports;
  // By workload uid; derived from workloads, except in the local form. Unhealthy ones are here too,
  // see serves().
  std::map<std::string, Endpoint> endpoints;
  std::vector<std::string> subject_alt_names;
  std::optional<GatewayAddress> waypoint;
  std::vector<WeightedWaypoint> weighted_waypoints;
  std::optional<LoadBalancer> load_balancer;
  IpFamilies ip_families = IpFamilies::kAutomatic;
  bool canonical = false;
  Visibility visibility = Visibility::kPublic;

  [[nodiscard]] NamespacedHostname key() const { return {namespace_, hostname}; }
  // Whether the health policy lets this endpoint be chosen.
  [[nodiscard]] bool serves(const Endpoint& endpoint) const {
    return endpoint.status == Health::kHealthy ||
           (load_balancer && load_balancer->health_policy == HealthPolicy::kAllowAll);
  }
};

}  // namespace culvert::state
