#include "common/state/balance.h"

#include "common/state/errors.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace culvert::state {
namespace {

struct Candidate {
  const Workload* workload;
  const Endpoint* endpoint;
};

bool reachable(const Workload& workload, const Workload& source) {
  if (!workload.ips.empty() || !workload.hostname.empty()) return true;
  return workload.network != source.network && workload.network_gateway.has_value();
}

// What the endpoint itself maps the port to. Zero, like absence, says nothing.
std::optional<uint16_t> own_port(const Endpoint& endpoint, uint16_t service_port) {
  const auto it = endpoint.ports.find(service_port);
  if (it == endpoint.ports.end() || it->second == 0) return std::nullopt;
  return it->second;
}

// `target`: what the service maps the port to; 0: it depends on the endpoint; none: no such port.
bool has_port(const Candidate& candidate, uint16_t service_port, std::optional<uint16_t> target,
              ResolveMode mode) {
  if (mode == ResolveMode::kWaypoint) {
    return target.has_value() || candidate.workload->application_tunnel.has_value();
  }
  return target.value_or(0) != 0 || own_port(*candidate.endpoint, service_port).has_value();
}

bool same(LoadBalancerScope scope, const Workload& a, const Workload& b) {
  switch (scope) {
    case LoadBalancerScope::kRegion:
      return a.locality.region == b.locality.region;
    case LoadBalancerScope::kZone:
      return a.locality.zone == b.locality.zone;
    case LoadBalancerScope::kSubzone:
      return a.locality.subzone == b.locality.subzone;
    case LoadBalancerScope::kNode:
      return a.node == b.node;
    case LoadBalancerScope::kCluster:
      return a.cluster_id == b.cluster_id;
    case LoadBalancerScope::kNetwork:
      return a.network == b.network;
  }
  return false;
}

// How many of the preferences match, in order up to the first that does not; none: excluded
// (Strict). A first preference for the network is special: endpoints of the client's network come
// before all others, and among the others the rest of the preferences still rank, because reaching
// any of them is equally far.
std::optional<size_t> rank_of(const LoadBalancer& balancer, const Workload& source,
                              const Workload& destination) {
  const auto& preferences = balancer.routing_preferences;
  const bool network_first =
      !preferences.empty() && preferences.front() == LoadBalancerScope::kNetwork;
  size_t rank = 0;
  size_t bonus = 0;
  for (size_t i = 0; i < preferences.size(); ++i) {
    const bool matches = same(preferences[i], source, destination);
    if (i == 0 && network_first) {
      if (matches) bonus = preferences.size() - 1;
    } else if (!matches) {
      break;
    }
    if (matches) ++rank;
  }
  if (balancer.mode == LoadBalancerMode::kStrict && rank != preferences.size()) return std::nullopt;
  return rank + bonus;
}

void keep_preferred(std::vector<Candidate>& candidates, const LoadBalancer& balancer,
                    const Workload& source) {
  size_t best = 0;
  size_t kept = 0;
  for (const Candidate& candidate : candidates) {
    const auto rank = rank_of(balancer, source, *candidate.workload);
    if (!rank || *rank < best) continue;
    if (*rank > best) kept = 0;
    best = *rank;
    candidates[kept++] = candidate;
  }
  candidates.resize(kept);
}

// One of `items` with a chance proportional to its weight; nullptr when there is no weight at all.
template <class Items, class Weight>
const typename Items::value_type* pick_weighted(const Items& items, Weight&& weight,
                                                Random& random) {
  uint64_t total = 0;
  for (const auto& item : items) total += weight(item);
  if (total == 0) return nullptr;
  uint64_t left = random.below(total);
  for (const auto& item : items) {
    if (left < weight(item)) return &item;
    left -= weight(item);
  }
  return nullptr;
}

std::optional<uint16_t> target_port_of(const Candidate& chosen, uint16_t service_port,
                                       std::optional<uint16_t> target) {
  if (const auto own = own_port(*chosen.endpoint, service_port)) return own;
  if (target.value_or(0) != 0) return target;
  const auto& tunnel = chosen.workload->application_tunnel;
  if (tunnel && tunnel->port) return service_port;
  return std::nullopt;
}

ServiceRef ref_of(const Service& service) {
  return {service.hostname, service.name, service.namespace_};
}

// Through a service: endpoint, port, IP.
Result<std::optional<Upstream>> upstream_of(const Snapshot& snapshot, const Service& service,
                                            uint16_t service_port, const Workload& source,
                                            const net::IpAddress& original, ResolveMode mode,
                                            Random& random) {
  auto picked = pick_endpoint(snapshot, service, service_port, source, mode, random);
  if (!picked) return std::optional<Upstream>();
  auto ip = pick_ip(*picked->workload, original, service.ip_families);
  if (!ip) return ip.error();
  return std::optional<Upstream>(Upstream{std::move(picked->workload), *ip, picked->target_port,
                                          ref_of(service), service.subject_alt_names});
}

// Straight to a workload.
Result<std::optional<Upstream>> upstream_of(WorkloadPtr workload, uint16_t port,
                                            const net::IpAddress& original) {
  auto ip = pick_ip(*workload, original, IpFamilies::kAutomatic);
  if (!ip) return ip.error();
  return std::optional<Upstream>(Upstream{std::move(workload), *ip, port, std::nullopt, {}});
}

bool family_allowed(const net::IpAddress& ip, IpFamilies families) {
  if (families == IpFamilies::kIpv4Only) return ip.is_v4();
  if (families == IpFamilies::kIpv6Only) return !ip.is_v4();
  return true;
}

std::string text_of(const GatewayAddress& gateway) {
  std::string text = std::visit([](const auto& destination) { return destination.to_string(); },
                                gateway.destination);
  // An IP alone does not say which of a gateway's ports was looked for.
  if (std::holds_alternative<NetworkAddress>(gateway.destination)) {
    text += fmt::format(" (port {})", gateway.hbone_mtls_port);
  }
  return text;
}

Result<std::optional<Upstream>> find_gateway(const Snapshot& snapshot,
                                             const GatewayAddress& gateway, ResolveMode mode,
                                             const Workload& source,
                                             const net::SocketAddress& original, Random& random) {
  const uint16_t port = gateway.hbone_mtls_port;
  if (const auto* address = std::get_if<NetworkAddress>(&gateway.destination)) {
    // The gateway's address, not the client's, says which IP family is wanted.
    return find_upstream(snapshot, address->network, source, {address->ip, port}, mode, random);
  }
  const auto match = snapshot.find_hostname(std::get<NamespacedHostname>(gateway.destination));
  if (const auto* service = std::get_if<ServicePtr>(&match)) {
    return upstream_of(snapshot, **service, port, source, original.ip, mode, random);
  }
  if (const auto* workload = std::get_if<WorkloadPtr>(&match)) {
    return upstream_of(*workload, port, original.ip);
  }
  return std::optional<Upstream>();
}

}  // namespace

std::vector<Identity> Upstream::service_identities() const {
  std::vector<Identity> identities;
  for (const std::string& san : service_sans) {
    if (auto identity = Identity::parse(san)) identities.push_back(std::move(*identity));
  }
  return identities;
}

std::vector<Identity> Upstream::workload_and_service_identities() const {
  std::vector<Identity> identities = service_identities();
  identities.push_back(workload->identity());
  return identities;
}

std::optional<PickedEndpoint> pick_endpoint(const Snapshot& snapshot, const Service& service,
                                            uint16_t service_port, const Workload& source,
                                            ResolveMode mode, Random& random) {
  std::optional<uint16_t> target;
  if (const auto it = service.ports.find(service_port); it != service.ports.end()) {
    target = it->second;
  }
  if (!target && mode == ResolveMode::kStandard) return std::nullopt;

  std::vector<Candidate> candidates;
  candidates.reserve(service.endpoints.size());
  for (const auto& [uid, endpoint] : service.endpoints) {
    if (!service.serves(endpoint)) continue;
    const Candidate candidate{snapshot.peek_workload(uid), &endpoint};
    if (candidate.workload == nullptr || !reachable(*candidate.workload, source)) continue;
    if (has_port(candidate, service_port, target, mode)) candidates.push_back(candidate);
  }
  if (service.load_balancer && service.load_balancer->mode != LoadBalancerMode::kStandard) {
    keep_preferred(candidates, *service.load_balancer, source);
  }
  const Candidate* chosen = pick_weighted(
      candidates, [](const Candidate& candidate) { return candidate.workload->capacity; }, random);
  if (chosen == nullptr) return std::nullopt;
  const auto port = target_port_of(*chosen, service_port, target);
  if (!port) return std::nullopt;
  return PickedEndpoint{snapshot.workload_by_uid(chosen->workload->uid), *port};
}

Result<std::optional<net::IpAddress>> pick_ip(const Workload& workload,
                                              const net::IpAddress& original, IpFamilies families) {
  const auto& ips = workload.ips;
  if (std::find(ips.begin(), ips.end(), original) != ips.end()) return std::optional(original);
  std::optional<net::IpAddress> first;
  for (const net::IpAddress& ip : ips) {
    if (!family_allowed(ip, families)) continue;
    if (ip.is_v4() == original.is_v4()) return std::optional(ip);
    if (!first) first = ip;
  }
  if (first || !workload.hostname.empty() || workload.network_gateway) return first;
  return Error(Errc::kNoValidDestination, workload.uid);
}

Result<std::optional<Upstream>> find_upstream(const Snapshot& snapshot, std::string_view network,
                                              const Workload& source,
                                              const net::SocketAddress& target, ResolveMode mode,
                                              Random& random) {
  if (const ServicePtr service = snapshot.service_by_vip(network, target.ip, source.namespace_)) {
    const auto& balancer = service->load_balancer;
    if (balancer && balancer->mode == LoadBalancerMode::kPassthrough) {
      return std::optional<Upstream>();
    }
    return upstream_of(snapshot, *service, target.port, source, target.ip, mode, random);
  }
  if (WorkloadPtr workload = snapshot.workload_by_address(network, target.ip)) {
    return upstream_of(std::move(workload), target.port, target.ip);
  }
  return std::optional<Upstream>();
}

Result<Upstream> resolve_gateway(const Snapshot& snapshot, const GatewayAddress& gateway,
                                 GatewayKind kind, const Workload& source,
                                 const net::SocketAddress& original, Random& random) {
  const bool waypoint = kind == GatewayKind::kWaypoint;
  const auto mode = waypoint ? ResolveMode::kWaypoint : ResolveMode::kStandard;
  auto found = find_gateway(snapshot, gateway, mode, source, original, random);
  if (!found) return found.error();
  if (*found) return std::move(**found);
  return Error(
      waypoint ? Errc::kUnknownWaypoint : Errc::kUnknownNetworkGateway,
      fmt::format("{} {} not found", waypoint ? "waypoint" : "network gateway", text_of(gateway)));
}

Result<std::optional<Upstream>> service_waypoint(const Snapshot& snapshot, const Service& service,
                                                 const Workload& source,
                                                 const net::SocketAddress& original,
                                                 Random& random) {
  const GatewayAddress* gateway = service.waypoint ? &*service.waypoint : nullptr;
  const WeightedWaypoint* sampled = pick_weighted(
      service.weighted_waypoints, [](const WeightedWaypoint& waypoint) { return waypoint.weight; },
      random);
  if (sampled != nullptr) gateway = &sampled->destination;
  if (gateway == nullptr) return std::optional<Upstream>();
  auto found =
      resolve_gateway(snapshot, *gateway, GatewayKind::kWaypoint, source, original, random);
  if (!found) return found.error();
  return std::optional<Upstream>(std::move(*found));
}

Result<std::optional<Upstream>> workload_waypoint(const Snapshot& snapshot,
                                                  const Workload& workload, const Workload& source,
                                                  const net::SocketAddress& original,
                                                  Random& random) {
  if (!workload.waypoint) return std::optional<Upstream>();
  auto found = resolve_gateway(snapshot, *workload.waypoint, GatewayKind::kWaypoint, source,
                               original, random);
  if (!found) return found.error();
  return std::optional<Upstream>(std::move(*found));
}

}  // namespace culvert::state
