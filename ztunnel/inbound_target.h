#pragma once

#include "common/hbone/connect.h"
#include "common/state/balance.h"

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace culvert::ztunnel {

// What an incoming CONNECT may reach: the checks of Istio's ztunnel on the authority, as pure
// functions.
struct InboundTarget {
  net::SocketAddress dial;                  // the pod's own address and the resolved port
  std::vector<state::ServicePtr> services;  // candidates for telemetry
  // The application tunnel (PROXY protocol) the workload asks for, and what it should be told as
  // destination.
  bool proxy_protocol = false;
  std::optional<net::SocketAddress> tunnel_target;
};

struct InboundInput {
  const state::Snapshot& mesh;
  std::string_view network;                 // of this node
  const state::Workload& local;             // the pod this proxy serves
  net::SocketAddress connection;            // the tunnel's own destination: pod ip:15008
  const std::set<uint16_t>& illegal_ports;  // ports of this process
};

// The authority must name this pod: its address, a host name, or, when this pod is a waypoint, an
// address whose waypoint it is. Error: Errc::kIpMismatch (answered 400).
Result<> validate_destination(const InboundInput& input, const hbone::Authority& authority);

// Where to connect. Errors (answered 503): state::Errc::kNoHostname, kNoPortForServices,
// kNoIpForService, Errc::kSelfCall.
Result<InboundTarget> find_inbound_target(const InboundInput& input,
                                          const hbone::Authority& authority);

// The service an incoming connection was probably meant for: the candidate that the client named
// (its `forwarded` host), else the first with a port that leads to `port` of this workload.
std::optional<state::ServiceRef> guess_inbound_service(
    const std::vector<state::ServicePtr>& candidates, const std::optional<std::string>& host,
    uint16_t port, const state::Workload& local);

// The services `workload` is an endpoint of.
std::vector<state::ServicePtr> services_of(const state::Snapshot& mesh,
                                           const state::Workload& workload);

}  // namespace culvert::ztunnel
