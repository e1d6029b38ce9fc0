#pragma once

#include "common/base/result.h"
#include "common/http/headers.h"
#include "common/net/address.h"
#include "common/state/balance.h"
#include "waypoint/model/model.h"

#include <string>
#include <string_view>

// The headers by which a proxy tells about the client and the request. Pure but for `random`; any
// thread.
namespace culvert::waypoint {

// A random UUID, version 4 (RFC 9562 section 5.4), as Envoy's x-request-id.
[[nodiscard]] std::string make_request_id(state::Random& random);

// The address that `remote.ip` and `remoteIpBlocks` of policies mean: the last entry of
// x-forwarded-for, which the nearest proxy added, if it is an address (a port may follow); else
// `peer`. So Envoy with use_remote_address off and no trusted hops.
[[nodiscard]] net::IpAddress remote_address(const http::Headers& headers,
                                            const net::IpAddress& peer);

// "<existing>,<ip>" as one field, as Envoy writes it.
Result<> append_forwarded_for(http::Headers& headers, const net::IpAddress& peer);

// "By=<ours>;URI=<theirs>". A value that holds one of the delimiters ( , ; = " ) or a backslash is
// quoted.
[[nodiscard]] std::string xfcc_value(std::string_view own_principal,
                                     std::string_view peer_principal);

// What every request gets before it is routed:
//   x-request-id             made if the client sent none, else kept
//   x-forwarded-proto        `scheme` if the client sent none
//   x-forwarded-for          as `options.xff` says
//   x-forwarded-client-cert  removed: a client could claim any identity in it; then as
//   `options.xfcc` says x-envoy-* headers that steer Envoy's retries and timeouts, and
//   x-envoy-original-path: removed, a client must not look like a proxy.
// Errors are those of Headers: the head would exceed its limits.
struct ClientFacts {
  net::IpAddress address;            // of the client pod
  std::string_view principal;        // URI of its certificate
  std::string_view scheme = "http";  // inside of the tunnel
};
Result<> add_forwarding_headers(http::Headers& headers, const Options& options,
                                std::string_view own_principal, const ClientFacts& client,
                                state::Random& random);

}  // namespace culvert::waypoint
