#pragma once

#include <system_error>

namespace culvert::state {

// Texts are those Istio's ztunnel logs, with the context after the colon.
enum class Errc {
  kUnknownWaypoint = 1,    // unknown waypoint
  kUnknownNetworkGateway,  // unknown network gateway
  kNoValidDestination,     // no valid routing destination for workload
  kNoHealthyUpstream,      // no healthy upstream
  kNoService,              // no service for target address
  kNoHostname,             // no service or workload for hostname
  kNoPortForServices,      // requested service … found, but cannot resolve port
  kNoIpForService,         // requested service … found, but has no IP addresses
  kUnknownSourceWorkload,  // failed to fetch information about local workload
};
std::error_code make_error_code(Errc value);

}  // namespace culvert::state

template <>
struct std::is_error_code_enum<culvert::state::Errc> : std::true_type {};
