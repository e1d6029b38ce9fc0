#pragma once

#include "common/state/balance.h"

#include <optional>
#include <string>
#include <vector>

namespace culvert::ztunnel {

// Where an outgoing connection goes: the decision table of Istio's ztunnel, as a pure function.
struct Route {
  enum class Transport : uint8_t {
    kTcp,    // as it came, in plain
    kHbone,  // CONNECT through a tunnel to `dial`
  };
  Transport transport = Transport::kTcp;
  net::SocketAddress dial;
  std::string authority;                    // of the CONNECT
  std::vector<state::Identity> identities;  // any of which the tunnel's peer must prove
  state::WorkloadPtr destination;  // for telemetry: the endpoint, or the waypoint; may be null
  std::optional<state::ServiceRef> service;  // the service that was asked for
};

struct RouteInput {
  const state::Snapshot& mesh;
  std::string_view network;       // of this node
  uint16_t hbone_port = 15008;    // where workloads accept HBONE
  const state::Workload& source;  // who connects
  net::IpAddress client;          // the address it connects from
  net::SocketAddress target;      // what it dialled
};

// Service addresses go to the service's waypoint if it has one, else to an endpoint; workload
// addresses to the workload's waypoint unless the client is that waypoint, else to the workload;
// unknown addresses pass through in plain. A known service without usable endpoint is an error,
// never a plain passthrough. Errors: state::Errc, Errc::kUnsupportedFeature for another network.
Result<Route> decide_route(const RouteInput& input, state::Random& random);

// Whether `source`, connecting from `client`, is the waypoint of `destination`: its traffic is not
// sent back.
bool is_from_waypoint(const state::Snapshot& mesh, const state::Workload& destination,
                      const state::Workload& source, const net::IpAddress& client);

}  // namespace culvert::ztunnel
