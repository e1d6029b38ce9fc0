#pragma once

#include "common/net/byte_stream.h"
#include "waypoint/model/client_tunnel.h"
#include "waypoint/telemetry/telemetry.h"
#include "waypoint/upstream/upstreams.h"
#include "waypoint/worker.h"

#include <memory>

namespace culvert::waypoint {

// A connection whose bytes nobody looks into: authorised as such, taken to one endpoint, and
// relayed in both directions until both have ended, or one has failed, or nothing has passed for
// the upstream's idle timeout. Whoever speaks first may: the endpoint is connected at once. One
// line of the access log, Istio's TCP metrics. Destroying the task resets both sides.
//
// Half-close is carried over; what is refused or fails is reset, since there is nobody to tell.
// References outlive the task.
net::Task<> serve_tcp(Worker& worker, Upstreams& upstreams, Telemetry& telemetry,
                      ClientTunnelPtr tunnel, std::unique_ptr<net::ByteStream> client);

}  // namespace culvert::waypoint
