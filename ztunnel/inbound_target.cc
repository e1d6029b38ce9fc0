#include "ztunnel/inbound_target.h"

#include "common/state/errors.h"
#include "ztunnel/errors.h"

#include <fmt/format.h>

namespace culvert::ztunnel {
namespace {

using state::ServicePtr;
using state::WorkloadPtr;

// Whether `gateway` leads to this pod: it is a workload with the connection's address, or a service
// with this workload among its endpoints.
bool leads_here(const InboundInput& input, const state::GatewayAddress& gateway) {
  const state::AddressMatch found = std::visit(
      [&](const auto& where) {
        if constexpr (std::is_same_v<std::decay_t<decltype(where)>, state::NetworkAddress>)
          return input.mesh.find_address(where.network, where.ip, std::nullopt);
        else
          return input.mesh.find_hostname(where);
      },
      gateway.destination);
  if (const auto* workload = std::get_if<WorkloadPtr>(&found))
    return (*workload)->ips().contains(input.connection.ip);
  if (const auto* service = std::get_if<ServicePtr>(&found))
    return (*service)->find_endpoint(input.local.uid()).has_value();
  return false;
}

// The target port of `service_port` at this workload: its own mapping, else the service's. Zero,
// like absence, says nothing.
std::optional<uint16_t> target_port(const state::Service& service, uint16_t service_port,
                                    const state::Workload& local) {
  if (const auto endpoint = service.find_endpoint(local.uid())) {
    if (const auto own = endpoint->own_port(service_port)) return own;
  }
  const auto port = service.ports().find(service_port);
  return port.value_or(0) == 0 ? std::nullopt : port;
}

// The VIP to show a PROXY-protocol application: own network first, IPv4 before IPv6.
std::optional<net::IpAddress> best_vip(const state::Service& service, std::string_view network) {
  const auto rank = [&](const state::Service::Vip& vip) {
    return vip.network != network ? 0 : vip.ip.is_v4() ? 2 : 1;
  };
  std::optional<state::Service::Vip> best;
  for (size_t i = 0; i < service.vip_count(); ++i) {
    const auto vip = service.vip(i);
    if (!best || rank(vip) > rank(*best)) best = vip;
  }
  if (!best) return std::nullopt;
  return best->ip;
}

}  // namespace

Result<> validate_destination(const InboundInput& input, const hbone::Authority& authority) {
  const auto* address = std::get_if<net::SocketAddress>(&authority);
  if (address == nullptr || address->ip == input.connection.ip || input.local.application_tunnel())
    return {};
  const auto found = input.mesh.find_address(input.network, address->ip, std::nullopt);
  const state::GatewayAddress* waypoint = nullptr;
  if (const auto* workload = std::get_if<WorkloadPtr>(&found)) waypoint = (*workload)->waypoint();
  if (const auto* service = std::get_if<ServicePtr>(&found); service && (*service)->waypoint())
    waypoint = &*(*service)->waypoint();
  if (waypoint != nullptr && leads_here(input, *waypoint)) return {};
  return Error(Errc::kIpMismatch,
               fmt::format("{} != {}", input.connection.ip.to_string(), address->ip.to_string()));
}

Result<InboundTarget> find_inbound_target(const InboundInput& input,
                                          const hbone::Authority& authority) {
  InboundTarget target{.dial = {input.connection.ip, 0}};
  ServicePtr named;
  if (const auto* address = std::get_if<net::SocketAddress>(&authority)) {
    target.dial.port = address->port;
    target.services = services_of(input.mesh, input.local);
  } else {
    const auto& host = std::get<hbone::HostPort>(authority);
    named = input.mesh.service_by_host(host.host, input.local.ns());
    if (named == nullptr) return Error(state::Errc::kNoHostname, host.host);
    const auto port = target_port(*named, host.port, input.local);
    if (!port)
      return Error(state::Errc::kNoPortForServices, fmt::format("{}:{}", host.host, host.port));
    target.dial.port = *port;
    target.services = {named};
  }
  if (input.illegal_ports.contains(target.dial.port)) return Error(Errc::kSelfCall);

  const auto& tunnel = input.local.application_tunnel();
  if (!tunnel) return target;
  if (tunnel->port) target.dial.port = *tunnel->port;
  if (tunnel->protocol != state::ApplicationTunnel::Protocol::kProxy) return target;
  target.proxy_protocol = true;
  if (const auto* address = std::get_if<net::SocketAddress>(&authority)) {
    target.tunnel_target = *address;
  } else {
    const auto vip = best_vip(*named, input.network);
    if (!vip) return Error(state::Errc::kNoIpForService, std::string(named->hostname()));
    target.tunnel_target = {*vip, std::get<hbone::HostPort>(authority).port};
  }
  return target;
}

std::optional<state::ServiceRef> guess_inbound_service(const std::vector<ServicePtr>& candidates,
                                                       const std::optional<std::string>& host,
                                                       uint16_t port,
                                                       const state::Workload& local) {
  if (host)
    for (const auto& service : candidates)
      if (service->hostname() == *host) return ref_of(*service);
  for (const auto& service : candidates) {
    const auto endpoint = service->find_endpoint(local.uid());
    if (service->ports().leads_to(port) || (endpoint && endpoint->ports.leads_to(port)))
      return ref_of(*service);
  }
  return std::nullopt;
}

std::vector<ServicePtr> services_of(const state::Snapshot& mesh, const state::Workload& workload) {
  std::vector<ServicePtr> services;
  for (size_t i = 0; i < workload.service_count(); ++i)
    if (auto service = mesh.service_by_key(workload.service(i)))
      services.push_back(std::move(service));
  return services;
}

}  // namespace culvert::ztunnel
