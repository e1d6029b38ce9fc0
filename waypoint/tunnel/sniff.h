#pragma once

#include "common/base/bytes.h"

#include <cstddef>
#include <cstdint>

namespace culvert::waypoint {

enum class Sniffed : uint8_t {
  kMore,   // could still be either
  kHttp1,  // a request line of HTTP/1
  kHttp2,  // the preface of RFC 9113 section 3.4
  kOther,
};

// How many bytes are looked at. A method and the beginning of a target that is longer is HTTP/1,
// so that the parser answers 414 or 431 rather than nobody looking at the request at all.
inline constexpr size_t kMaxSniffed = 8192;

// What a client speaks, by its first bytes: enough of them to tell HTTP/1 from text protocols that
// begin with a command in capitals, such as SMTP or Redis, that is a request line up to its
// version. Empty lines before it are skipped, as servers do (RFC 9112 section 2.2). Pure.
[[nodiscard]] Sniffed sniff(Bytes bytes);

// The same where HTTP is declared: only which version is open, and what is not HTTP at all is for
// the HTTP/1 parser to refuse. Never kOther. Pure.
[[nodiscard]] Sniffed sniff_http(Bytes bytes);

}  // namespace culvert::waypoint
