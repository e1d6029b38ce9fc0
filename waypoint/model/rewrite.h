#pragma once

#include "common/base/result.h"
#include "common/http/message.h"
#include "waypoint/model/model_route.h"

#include <cstdint>
#include <string>
#include <string_view>

// What routes change in requests and responses. Pure; any thread.
namespace culvert::waypoint {

// The path and query of `target` after `rewrite`, for a request that `match` matched. Never empty;
// begins with a slash. By Gateway API's table for kPrefix: with prefix "/foo", "/foo/bar" becomes
//   "/xyz" -> "/xyz/bar"    "/xyz/" -> "/xyz/bar"    "/" and "" -> "/bar"
// and "/foo" itself becomes "/xyz", "/xyz/", "/".
[[nodiscard]] std::string rewrite_target(const PathRewrite& rewrite, const PathMatch& match,
                                         std::string_view target);

// The Location of a redirect: absolute, so that no path can be read as another host
// ("//evil.example"). Ports that are the scheme's own are left out.
[[nodiscard]] std::string redirect_location(const Redirect& redirect, const PathMatch& match,
                                            const http::RequestHead& request);

// Applies a Forward's rewrites of path and host. Call it for each request that goes upstream.
void apply_rewrites(const Forward& forward, const PathMatch& match, http::RequestHead& request);

// Remove, then set, then add. Errors are those of Headers: the message would become too large.
Result<> apply(const HeaderOps& ops, http::Headers& headers);

// Whether routes may not touch a field: it frames the message or belongs to the connection
// (Content-Length, Transfer-Encoding, Connection and its kin), addresses it (Host, pseudo-headers),
// or is the proxy's own statement about the client's identity (x-forwarded-client-cert).
[[nodiscard]] bool forbidden_in_header_ops(std::string_view name);

}  // namespace culvert::waypoint
