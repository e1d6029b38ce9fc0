#include "ztunnel/route.h"

#include "common/state/errors.h"
#include "ztunnel/errors.h"

#include <fmt/format.h>

namespace culvert::ztunnel {
namespace {

using state::ServicePtr;
using state::ServiceRef;
using state::Upstream;
using state::WorkloadPtr;

// Another network is reached through its gateway in a tunnel within a tunnel; not in this build.
// Refused, since sending it any other way would leave the mesh's protection.
Error other_network(const Upstream& upstream) {
  return {Errc::kUnsupportedFeature,
          fmt::format("destination {} is in network '{}', and network gateways are not supported",
                      upstream.workload->uid(), upstream.workload->network())};
}

// The waypoint gets the address as the client dialled it, and must be who the mesh says it is.
Result<Route> through_waypoint(const Upstream& waypoint, const RouteInput& input,
                               std::optional<ServiceRef> service) {
  if (!waypoint.ip) return Error(state::Errc::kNoValidDestination, waypoint.workload->uid());
  return Route{.transport = Route::Transport::kHbone,
               .dial = {*waypoint.ip, waypoint.port},
               .authority = input.target.to_string(),
               .identities = waypoint.workload_and_service_identities(),
               .destination = waypoint.workload,
               .service = std::move(service)};
}

Result<Route> direct(const Upstream& upstream, const RouteInput& input) {
  if (!upstream.ip) return Error(state::Errc::kNoValidDestination, upstream.workload->uid());
  const net::SocketAddress end{*upstream.ip, upstream.port};
  Route route{.dial = end, .destination = upstream.workload, .service = upstream.service};
  route.identities = upstream.workload_and_service_identities();
  if (upstream.workload->protocol() == state::Protocol::kHbone) {
    route.transport = Route::Transport::kHbone;
    route.dial.port = input.hbone_port;
    route.authority = end.to_string();
  }
  return route;
}

bool is_passthrough(const state::Service& service) {
  return service.load_balancer() &&
         service.load_balancer()->mode == state::LoadBalancerMode::kPassthrough;
}

}  // namespace

bool is_from_waypoint(const state::Snapshot& mesh, const state::Workload& destination,
                      const state::Workload& source, const net::IpAddress& client) {
  if (destination.waypoint() == nullptr) return false;
  const auto is_client = [&](const state::Workload& waypoint) {
    return waypoint.identity() == source.identity() && waypoint.ips().contains(client);
  };
  const auto is_endpoint = [&](const state::Service& service) {
    // Not a scan of all endpoints: who asks is known by its uid, or by the address it asks from.
    const WorkloadPtr by_address = mesh.workload_by_address(source.network(), client);
    for (const state::Workload* candidate : {&source, by_address.get()}) {
      if (candidate == nullptr) continue;
      const auto endpoint = service.find_endpoint(candidate->uid());
      if (endpoint && endpoint->workload != nullptr && is_client(*endpoint->workload)) return true;
    }
    return false;
  };
  const auto& gateway = destination.waypoint()->destination;
  const state::AddressMatch found = std::visit(
      [&](const auto& where) {
        if constexpr (std::is_same_v<std::decay_t<decltype(where)>, state::NetworkAddress>)
          return mesh.find_address(where.network, where.ip, std::nullopt);
        else
          return mesh.find_hostname(where);
      },
      gateway);
  if (const auto* workload = std::get_if<WorkloadPtr>(&found)) return is_client(**workload);
  if (const auto* service = std::get_if<ServicePtr>(&found)) return is_endpoint(**service);
  return false;
}

Result<Route> decide_route(const RouteInput& input, state::Random& random) {
  const state::Snapshot& mesh = input.mesh;
  const state::Workload& source = input.source;

  // A service asked for by its address: its waypoint decides everything else.
  ServicePtr service;
  const auto found = mesh.find_address(input.network, input.target.ip, source.ns());
  if (const auto* match = std::get_if<ServicePtr>(&found)) {
    service = *match;
    auto waypoint = state::service_waypoint(mesh, *service, source, input.target, random);
    if (!waypoint) return waypoint.error();
    if (*waypoint) {
      if ((*waypoint)->workload->network() != source.network()) return other_network(**waypoint);
      return through_waypoint(**waypoint, input, ref_of(*service));
    }
  }

  auto upstream = state::find_upstream(mesh, source.network(), source, input.target,
                                       state::ResolveMode::kStandard, random);
  if (!upstream) return upstream.error();
  if (!*upstream) {
    // An address may be a workload's and a service's at once: it is the service that has nobody.
    if (service == nullptr)
      service = mesh.service_by_vip(source.network(), input.target.ip, source.ns());
    if (service != nullptr && !is_passthrough(*service))
      return Error(state::Errc::kNoHealthyUpstream, input.target.to_string());
    return Route{.dial = input.target};
  }
  const Upstream& chosen = **upstream;
  if (chosen.workload->network() != source.network()) {
    if (service == nullptr) return Error(state::Errc::kNoService, input.target.to_string());
    return other_network(chosen);
  }

  // A workload asked for by its own address: its waypoint, unless that is who asks.
  if (service == nullptr && chosen.workload->waypoint() != nullptr &&
      !is_from_waypoint(mesh, *chosen.workload, source, input.client)) {
    auto waypoint = state::workload_waypoint(mesh, *chosen.workload, source, input.target, random);
    if (!waypoint) return waypoint.error();
    if (*waypoint) return through_waypoint(**waypoint, input, chosen.service);
  }
  return direct(chosen, input);
}

}  // namespace culvert::ztunnel
