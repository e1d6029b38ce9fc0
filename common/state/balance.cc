#include "common/state/balance.h"

#include "common/state/errors.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>

namespace culvert::state {
namespace {

using Need = Candidates::Key::Need;

// Whether `source` reaches it; sets `depends` if that is because of where the source is.
bool reachable(const Workload& workload, const Workload& source, bool& depends) {
  if (!workload.ips().empty() || !workload.hostname().empty()) return true;
  depends = true;
  return workload.network() != source.network() && workload.network_gateway() != nullptr;
}

// `target`: what the service maps the port to; 0: it depends on the endpoint; none: no such port.
Need need_of(std::optional<uint16_t> target, ResolveMode mode) {
  if (mode == ResolveMode::kWaypoint) return target ? Need::kNothing : Need::kTunnel;
  return target.value_or(0) != 0 ? Need::kNothing : Need::kOwnPort;
}

bool has_port(const EndpointView& endpoint, const Candidates::Key& key) {
  switch (key.need) {
    case Need::kNothing:
      return true;
    case Need::kOwnPort:
      return endpoint.own_port(key.port).has_value();
    case Need::kTunnel:
      return endpoint.workload->application_tunnel().has_value();
  }
  return false;
}

bool same(LoadBalancerScope scope, const Workload& a, const Workload& b) {
  switch (scope) {
    case LoadBalancerScope::kRegion:
      return a.region() == b.region();
    case LoadBalancerScope::kZone:
      return a.zone() == b.zone();
    case LoadBalancerScope::kSubzone:
      return a.subzone() == b.subzone();
    case LoadBalancerScope::kNode:
      return a.node() == b.node();
    case LoadBalancerScope::kCluster:
      return a.cluster_id() == b.cluster_id();
    case LoadBalancerScope::kNetwork:
      return a.network() == b.network();
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

// The positions of the endpoints that `source` may be sent to. Sets `depends` if that is so because
// of where it is.
std::vector<uint32_t> eligible(const Service& service, const Candidates::Key& key,
                               const Workload& source, bool& depends) {
  const auto& balancer = service.load_balancer();
  const bool ranked = balancer && balancer->mode != LoadBalancerMode::kStandard;
  depends = ranked;
  std::vector<uint32_t> chosen;
  size_t best = 0;
  for (size_t i = 0; i < service.endpoint_count(); ++i) {
    const EndpointView endpoint = service.endpoint(i);
    if (endpoint.workload == nullptr || !service.serves(endpoint) ||
        !reachable(*endpoint.workload, source, depends) || !has_port(endpoint, key)) {
      continue;
    }
    if (ranked) {
      const auto rank = rank_of(*balancer, source, *endpoint.workload);
      if (!rank || *rank < best) continue;
      if (*rank > best) chosen.clear();
      best = *rank;
    }
    chosen.push_back(static_cast<uint32_t>(i));
  }
  chosen.shrink_to_fit();
  return chosen;
}

std::unique_ptr<Candidates> find_candidates(const Service& service, Candidates::Key key,
                                            const Workload& source) {
  auto candidates = std::make_unique<Candidates>();
  bool depends = false;
  candidates->endpoints = eligible(service, key, source, depends);
  if (!depends) key.source = nullptr;
  candidates->key = std::move(key);
  const auto weight = [&](uint32_t i) -> uint64_t {
    return service.endpoint(i).workload->capacity();
  };
  const auto& endpoints = candidates->endpoints;
  for (const uint32_t i : endpoints) candidates->total += weight(i);
  if (candidates->total == 0) return candidates;
  const uint64_t first = weight(endpoints.front());
  if (std::ranges::all_of(endpoints, [&](uint32_t i) { return weight(i) == first; })) {
    candidates->each = first;
    return candidates;
  }
  candidates->running_totals.reserve(endpoints.size());
  uint64_t total = 0;
  for (const uint32_t i : endpoints) candidates->running_totals.push_back(total += weight(i));
  return candidates;
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

std::optional<uint16_t> target_port_of(const EndpointView& chosen, uint16_t service_port,
                                       std::optional<uint16_t> target) {
  if (const auto own = chosen.own_port(service_port)) return own;
  if (target.value_or(0) != 0) return target;
  const auto& tunnel = chosen.workload->application_tunnel();
  if (tunnel && tunnel->port) return service_port;
  return std::nullopt;
}

// Through a service: endpoint, port, IP.
Result<std::optional<Upstream>> upstream_of(const Service& service, uint16_t service_port,
                                            const Workload& source, const net::IpAddress& original,
                                            ResolveMode mode, Random& random) {
  auto picked = pick_endpoint(service, service_port, source, mode, random);
  if (!picked) return std::optional<Upstream>();
  auto ip = pick_ip(*picked->workload, original, service.ip_families());
  if (!ip) return ip.error();
  return std::optional<Upstream>(Upstream{std::move(picked->workload), *ip, picked->target_port,
                                          ref_of(service), service.subject_alt_names()});
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
    return upstream_of(**service, port, source, original.ip, mode, random);
  }
  if (const auto* workload = std::get_if<WorkloadPtr>(&match)) {
    return upstream_of(*workload, port, original.ip);
  }
  return std::optional<Upstream>();
}

}  // namespace

ServiceRef ref_of(const Service& service) {
  return {std::string(service.hostname()), std::string(service.name()), std::string(service.ns())};
}

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

std::optional<PickedEndpoint> pick_endpoint(const Service& service, uint16_t service_port,
                                            const Workload& source, ResolveMode mode,
                                            Random& random) {
  const std::optional<uint16_t> target = service.ports().find(service_port);
  if (!target && mode == ResolveMode::kStandard) return std::nullopt;

  Candidates::Key key{.need = need_of(target, mode), .source = source.placement()};
  if (key.need == Need::kOwnPort) key.port = service_port;
  std::unique_ptr<Candidates> found;
  const Candidates* candidates = service.picks().find(key);
  if (candidates == nullptr) {
    found = find_candidates(service, std::move(key), source);
    candidates = service.picks().add(found);
  }
  if (candidates->total == 0) return std::nullopt;
  const EndpointView chosen = service.endpoint(candidates->at(random.below(candidates->total)));
  const auto port = target_port_of(chosen, service_port, target);
  if (!port) return std::nullopt;
  return PickedEndpoint{WorkloadPtr(chosen.workload), *port};
}

Result<std::optional<net::IpAddress>> pick_ip(const Workload& workload,
                                              const net::IpAddress& original, IpFamilies families) {
  if (workload.ips().contains(original)) return std::optional(original);
  std::optional<net::IpAddress> first;
  for (const net::IpAddress ip : workload.ips()) {
    if (!family_allowed(ip, families)) continue;
    if (ip.is_v4() == original.is_v4()) return std::optional(ip);
    if (!first) first = ip;
  }
  if (first || !workload.hostname().empty() || workload.network_gateway() != nullptr) return first;
  return Error(Errc::kNoValidDestination, workload.uid());
}

Result<std::optional<Upstream>> find_upstream(const Snapshot& snapshot, std::string_view network,
                                              const Workload& source,
                                              const net::SocketAddress& target, ResolveMode mode,
                                              Random& random) {
  if (const ServicePtr service = snapshot.service_by_vip(network, target.ip, source.ns())) {
    const auto& balancer = service->load_balancer();
    if (balancer && balancer->mode == LoadBalancerMode::kPassthrough) {
      return std::optional<Upstream>();
    }
    return upstream_of(*service, target.port, source, target.ip, mode, random);
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
  const GatewayAddress* gateway = service.waypoint() ? &*service.waypoint() : nullptr;
  const WeightedWaypoint* sampled = pick_weighted(
      service.weighted_waypoints(),
      [](const WeightedWaypoint& waypoint) { return waypoint.weight; }, random);
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
  if (workload.waypoint() == nullptr) return std::optional<Upstream>();
  auto found = resolve_gateway(snapshot, *workload.waypoint(), GatewayKind::kWaypoint, source,
                               original, random);
  if (!found) return found.error();
  return std::optional<Upstream>(std::move(*found));
}

}  // namespace culvert::state
