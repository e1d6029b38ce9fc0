#pragma once

#include "common/http/message.h"
#include "common/state/balance.h"
#include "waypoint/model/client_tunnel.h"
#include "waypoint/model/model.h"
#include "waypoint/upstream/upstreams.h"

#include <cstddef>
#include <optional>
#include <vector>

// Which endpoint of an upstream serves a request or connection.
namespace culvert::waypoint {

// One that `tried` does not hold, if there is another; adds it there. For an upstream of kind
// kOriginalDestination the address that the client asked for. nullopt: none is usable.
[[nodiscard]] std::optional<Endpoint> choose_endpoint(const Upstream& upstream,
                                                      const ClientTunnel& tunnel,
                                                      const Upstreams& upstreams,
                                                      std::vector<size_t>& tried,
                                                      state::Random& random);

// What to speak to an endpoint: what its port declares, else what the client speaks.
[[nodiscard]] bool speaks_http2(const Upstream& upstream, http::Version client);

}  // namespace culvert::waypoint
