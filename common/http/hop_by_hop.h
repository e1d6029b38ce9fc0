#pragma once

#include "common/http/headers.h"

#include <string_view>

namespace culvert::http {

// Whether a field belongs to one connection and must not be forwarded (RFC 9110 section 7.6.1):
// Connection, Keep-Alive, Proxy-Connection, TE, Transfer-Encoding, Upgrade. `name` in lower case.
[[nodiscard]] bool is_hop_by_hop(std::string_view name);

// Whether `Connection: <option>` may make us drop the field of that name. Not for the fields that
// frame or address the message: a client could otherwise hide them from the next hop after our
// policy saw them.
[[nodiscard]] bool may_be_connection_option(std::string_view option);

// Removes those fields and the ones that Connection names. "TE: trailers" stays if
// `keep_te_trailers`: the one form that HTTP/2 allows (RFC 9113 section 8.2.2), and gRPC needs it.
// Call it before adding own fields, which the peer's Connection must not be able to remove. Fields
// that frame a body (Content-Length) are not touched.
void remove_hop_by_hop(Headers& headers, bool keep_te_trailers);

}  // namespace culvert::http
