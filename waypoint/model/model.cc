#include "waypoint/model/model.h"

#include "common/http/authority.h"
#include "common/http/chars.h"

#include <fmt/format.h>

#include <algorithm>

namespace culvert::waypoint {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), http::to_lower);
  return out;
}

// Prefix lengths of IPv4 count within the v4-mapped space, so that both families sort as one.
unsigned depth(const net::Cidr& range) { return range.length() + (range.base().is_v4() ? 96 : 0); }

}  // namespace

void Upstream::set_endpoints(std::vector<Endpoint> list) {
  endpoints = std::move(list);
  std::vector<EndpointState> states;
  states.reserve(endpoints.size());
  for (const Endpoint& endpoint : endpoints) states.push_back(endpoint.state);
  balancer = Balancer(states);
}

AuthzDecision authorize(const Chain& chain, const AuthzFacts& facts) {
  for (const Filter& filter : chain.filters) {
    AuthzDecision decision = evaluate(std::get<AuthzFilter>(filter), facts);
    if (!decision.allowed) return decision;
  }
  return {};
}

Result<ModelPtr> Model::build(Parts parts) {
  std::shared_ptr<Model> model(new Model(std::move(parts)));
  if (auto done = model->index(); !done) return done.error();
  return ModelPtr(std::move(model));
}

Result<> Model::index() {
  for (const Service& service : parts_.services) {
    if (auto done = index_service(service); !done) return done;
  }
  for (const net::IpAddress& ip : parts_.direct_addresses) {
    if (!vips_.emplace(ip, false).second) {
      return invalid(
          fmt::format("{} is the address of a service and of a workload that is served "
                      "directly, or of two such workloads",
                      ip.to_string()));
    }
  }
  if (!parts_.direct_addresses.empty() && (!parts_.direct_http || !parts_.direct_tcp)) {
    return invalid("workloads are served directly, but there are no chains for them");
  }
  // Of workloads that share an address (a pod that ended, its successor) the last one is the one
  // alive.
  for (const WorkloadPtr& workload : parts_.workloads) {
    for (const net::IpAddress& ip : workload->addresses) workloads_[ip] = workload;
  }
  return {};
}

Result<> Model::index_service(const Service& service) {
  for (const net::IpAddress& vip : service.vips) vips_[vip] = true;
  for (const net::Cidr& range : service.ranges) {
    by_range_.emplace(depth(range), std::pair(range, &service));
  }
  for (const auto& [number, port] : service.ports) {
    if ((has_http_chain(port.protocol) && !port.http) ||
        (has_tcp_chain(port.protocol) && !port.tcp)) {
      return invalid(fmt::format("port {} of service {} has no chain for its protocol", number,
                                 service.ref.hostname));
    }
    for (const net::IpAddress& vip : service.vips) {
      const net::SocketAddress address{vip, number};
      const auto [at, added] = by_address_.emplace(address, Claim{&service, &port});
      if (!added) {
        return invalid(fmt::format("services {} and {} both claim {}",
                                   at->second.first->ref.hostname, service.ref.hostname,
                                   address.to_string()));
      }
    }
    for (const std::string& host : service.hostnames) {
      const auto [at, added] = by_host_[lower(host)].emplace(number, Claim{&service, &port});
      if (!added) {
        return invalid(fmt::format("host name {} with port {} is claimed twice", host, number));
      }
    }
  }
  return {};
}

Destination Model::direct(const net::SocketAddress& address) const {
  return {
      nullptr, {address.port, AppProtocol::kSniff, parts_.direct_http, parts_.direct_tcp}, address};
}

std::optional<Destination> Model::find(const net::SocketAddress& address) const {
  if (const auto exact = by_address_.find(address); exact != by_address_.end()) {
    return Destination{exact->second.first, *exact->second.second, address};
  }
  if (const auto known = vips_.find(address.ip); known != vips_.end()) {
    if (known->second) return std::nullopt;
    return direct(address);
  }
  for (const auto& [length, claim] : by_range_) {
    const auto& [range, service] = claim;
    if (!range.contains(address.ip)) continue;
    const auto port = service->ports.find(address.port);
    if (port != service->ports.end()) return Destination{service, port->second, address};
  }
  return std::nullopt;
}

std::optional<Destination> Model::find_host(std::string_view host, uint16_t port) const {
  if (host.ends_with('.')) host.remove_suffix(1);
  const auto ports = by_host_.find(lower(host));
  if (ports == by_host_.end()) return std::nullopt;
  const auto claim = ports->second.find(port);
  if (claim == ports->second.end()) return std::nullopt;
  const Service* service = claim->second.first;
  net::SocketAddress address{net::IpAddress::any_v4(), port};
  if (!service->vips.empty()) address.ip = service->vips.front();
  return Destination{service, *claim->second.second, address};
}

std::optional<Destination> Model::resolve(std::string_view authority) const {
  if (const auto address = net::SocketAddress::parse(authority)) return find(*address);
  const auto parts = http::parse_authority(authority);
  if (!parts || !parts->port) return std::nullopt;
  return find_host(parts->host, *parts->port);
}

WorkloadPtr Model::workload(const net::IpAddress& ip) const {
  const auto at = workloads_.find(ip);
  return at == workloads_.end() ? nullptr : at->second;
}

}  // namespace culvert::waypoint
