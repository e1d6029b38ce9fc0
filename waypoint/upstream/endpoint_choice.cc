#include "waypoint/upstream/endpoint_choice.h"

namespace culvert::waypoint {
namespace {

std::optional<Endpoint> original_destination(const ClientTunnel& tunnel) {
  Endpoint endpoint;
  endpoint.address = tunnel.destination.address;
  if (endpoint.address.ip.is_unspecified()) return std::nullopt;
  endpoint.node = {endpoint.address.ip, kHbonePort};
  endpoint.workload = tunnel.model->workload(endpoint.address.ip);
  // Outside of the mesh nobody listens for tunnels.
  endpoint.tunnel = endpoint.workload == nullptr ? Tunnel::kPlain : endpoint.workload->tunnel;
  if (endpoint.workload != nullptr) endpoint.identity = endpoint.workload->identity();
  return endpoint;
}

}  // namespace

std::optional<Endpoint> choose_endpoint(const Upstream& upstream, const ClientTunnel& tunnel,
                                        const Upstreams& upstreams, std::vector<size_t>& tried,
                                        state::Random& random) {
  if (upstream.kind == Upstream::Kind::kOriginalDestination) return original_destination(tunnel);
  const auto index = upstream.balancer.pick(upstreams.active(upstream), tried, random);
  if (!index) return std::nullopt;
  tried.push_back(*index);
  return upstream.endpoints[*index];
}

bool speaks_http2(const Upstream& upstream, http::Version client) {
  switch (upstream.protocol) {
    case AppProtocol::kHttp:
      return false;
    case AppProtocol::kHttp2:
    case AppProtocol::kGrpc:
      return true;
    case AppProtocol::kTcp:
    case AppProtocol::kTls:
    case AppProtocol::kSniff:
      break;
  }
  return client == http::Version::kHttp2;
}

}  // namespace culvert::waypoint
