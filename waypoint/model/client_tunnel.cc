#include "waypoint/model/client_tunnel.h"

#include <utility>

namespace culvert::waypoint {

ClientTunnelPtr under(const ClientTunnelPtr& tunnel, const ModelPtr& newest) {
  if (newest == nullptr || tunnel->model == newest) return tunnel;
  auto found = newest->resolve(tunnel->authority);
  if (!found) return nullptr;
  auto changed = std::make_shared<ClientTunnel>(*tunnel);
  changed->destination = std::move(*found);
  changed->model = newest;
  return changed;
}

}  // namespace culvert::waypoint
