#pragma once

#include "common/base/bytes.h"
#include "common/net/byte_stream.h"
#include "common/net/task.h"
#include "waypoint/model/client_tunnel.h"
#include "waypoint/request/proxy.h"
#include "waypoint/telemetry/telemetry.h"
#include "waypoint/tunnel/open_connections.h"
#include "waypoint/upstream/connector.h"
#include "waypoint/worker.h"

#include <cstdint>
#include <memory>
#include <optional>

namespace culvert::waypoint {

// What the connections of one worker are served with. All outlive them.
struct Services {
  Worker& worker;
  Upstreams& upstreams;
  Telemetry& telemetry;
  Proxy& proxy;
};

enum class Spoken : uint8_t { kHttp1, kHttp2, kTcp };

// What the client speaks, by the port's protocol and where that leaves it open by the first bytes,
// which are left in `read`. A client that stays silent for `limits.sniff_timeout` on an undeclared
// port is taken for raw TCP, so that servers may speak first; on an HTTP port it may stay silent
// for `limits.idle_timeout`, but then has `limits.header_timeout` for what tells the versions
// apart. nullopt: the stream has failed, or stayed silent. References outlive the task.
net::Task<std::optional<Spoken>> detect(net::ByteStream& stream, AppProtocol protocol,
                                        const Limits& limits, ByteQueue& read);

// One connection that came out of a CONNECT, from its first byte to its end: HTTP, or raw. A raw
// one is cut as soon as a newer model does not allow it any more. Destroying the task resets it.
// References outlive the task.
net::Task<> serve_connection(Services& services, OpenConnections& open, ClientTunnelPtr tunnel,
                             std::unique_ptr<net::ByteStream> stream);

}  // namespace culvert::waypoint
