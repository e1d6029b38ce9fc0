#pragma once

#include "common/base/result.h"
#include "common/state/snapshot.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

// From an address to the workload and port to dial: Istio's "find upstream", pure functions of a
// Snapshot.
namespace culvert::state {

// Where random choices come from; tests give a fixed sequence. Returns a value in [0, bound), bound
// > 0.
class Random {
 public:
  virtual ~Random() = default;
  virtual uint64_t below(uint64_t bound) = 0;
};

enum class ResolveMode : uint8_t {
  kStandard,  // an ordinary service or a network gateway: the service port must exist
  kWaypoint,  // a waypoint: an application tunnel may stand in for the port
};

struct ServiceRef {  // what telemetry says of a service
  std::string hostname, name, namespace_;
  bool operator==(const ServiceRef&) const = default;
};
ServiceRef ref_of(const Service& service);

struct Upstream {
  WorkloadPtr workload;
  // None: to be resolved if the workload has a host name, else reachable only through its network
  // gateway.
  std::optional<net::IpAddress> ip;
  uint16_t port = 0;  // the target port
  std::optional<ServiceRef> service;
  std::vector<std::string> service_sans;  // of the service it was resolved through, as configured

  // Service SANs that parse as SPIFFE (others are left out), then the workload's own identity: what
  // a TLS peer may present.
  [[nodiscard]] std::vector<Identity> workload_and_service_identities() const;
  [[nodiscard]] std::vector<Identity> service_identities() const;
};

// One endpoint of `service` for `service_port`, seen from `source`: candidates filtered by mode,
// ranked by routing preferences (Strict, Failover), then a random choice weighted by capacity.
// nullopt: none usable. The candidates are found out once for each version of a service and kind of
// connection; after that it takes one random number and a binary search.
struct PickedEndpoint {
  WorkloadPtr workload;
  uint16_t target_port = 0;
};
std::optional<PickedEndpoint> pick_endpoint(const Service& service, uint16_t service_port,
                                            const Workload& source, ResolveMode mode,
                                            Random& random);

// The IP of `workload` to dial for a client that dialled `original`: that very IP if it is one of
// the workload's; else the first of its IPs allowed by `families`, same family preferred. None:
// nullopt when the workload has a host name (which the caller resolves) or a network gateway, else
// Errc::kNoValidDestination.
Result<std::optional<net::IpAddress>> pick_ip(const Workload& workload,
                                              const net::IpAddress& original, IpFamilies families);

// Service by VIP first, then workload by address. Error: Errc::kNoValidDestination. An empty
// optional: nobody knows the address, no endpoint is usable, or the service's load balancer says
// PASSTHROUGH (callers tell them apart by the service).
Result<std::optional<Upstream>> find_upstream(const Snapshot& snapshot, std::string_view network,
                                              const Workload& source,
                                              const net::SocketAddress& target, ResolveMode mode,
                                              Random& random);

// The waypoint or gateway an address names, of `source` whose client dialled `original`. Errors:
// Errc::kUnknownWaypoint, kUnknownNetworkGateway (context: "waypoint <address> not found"),
// kNoValidDestination.
enum class GatewayKind : uint8_t { kWaypoint, kNetworkGateway };
Result<Upstream> resolve_gateway(const Snapshot& snapshot, const GatewayAddress& gateway,
                                 GatewayKind kind, const Workload& source,
                                 const net::SocketAddress& original, Random& random);
// nullopt: the service has none. weighted_waypoints win over `waypoint` unless all weights are 0.
Result<std::optional<Upstream>> service_waypoint(const Snapshot& snapshot, const Service& service,
                                                 const Workload& source,
                                                 const net::SocketAddress& original,
                                                 Random& random);
Result<std::optional<Upstream>> workload_waypoint(const Snapshot& snapshot,
                                                  const Workload& workload, const Workload& source,
                                                  const net::SocketAddress& original,
                                                  Random& random);

}  // namespace culvert::state
