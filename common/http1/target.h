#pragma once

#include "common/base/result.h"
#include "common/http/message.h"

#include <string_view>

namespace culvert::http1 {

// Reads a request target (RFC 9112 section 3.2) for `head.method` into `head`:
//   origin     /path?query                path
//   absolute   http://host:port/path      scheme, authority and path ("/" if empty; "*" for
//   OPTIONS) authority  host:port, CONNECT only    authority asterisk   *, OPTIONS only path
// Members that the form does not carry are left alone. Anything else is kTargetInvalid: another
// scheme than http and https, user information, a fragment, bytes outside visible ASCII. Paths are
// not normalised.
Result<> parse_target(std::string_view target, http::RequestHead& head);

// Takes Host out of `head.headers` and checks it. It becomes the authority unless the target gave
// one, which wins (RFC 9112 section 3.2.2). HTTP/1.0 may lack it; two, or an invalid one, never
// pass.
Result<> resolve_host(http::RequestHead& head);

}  // namespace culvert::http1
