#pragma once

#include "common/base/result.h"
#include "common/h2/headers.h"
#include "common/http/message.h"
#include "waypoint/codec/exchange.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

// Heads of HTTP/2 (RFC 9113 section 8.3) to and from those of common/http. Plain functions.
namespace culvert::waypoint {

struct HeadLimits {
  uint32_t max_bytes = 0;   // names, values and 4 per field
  uint32_t max_fields = 0;  // a cookie in crumbs is one
};

struct Http2Request {
  http::RequestHead head;
  BodySize size;
  std::string upgrade;  // extended CONNECT: its protocol, in lower case
};

// A request that the session has validated. `end`: nothing follows the head. Errors:
// ExchangeErrc::kBadMessage (malformed: a stream error), ExchangeErrc::kTooLarge (431),
// culvert::Errc::kInvalid (valid HTTP/2 that is not served: 400).
Result<Http2Request> parse_http2_request(const h2::Head& fields, bool end, HeadLimits limits);

struct Http2Response {
  http::ResponseHead head;
  BodySize size;
};
// Errors: ExchangeErrc::kBadMessage, ExchangeErrc::kTooLarge.
Result<Http2Response> parse_http2_response(const h2::Head& fields, bool end, HeadLimits limits);

enum class FieldSet : uint8_t {
  kRequest,         // "te: trailers" may stay
  kResponse,        // and trailers of either
  kTrailers,        //
  kTunnelRequest,   // extended CONNECT and its 2xx: without a length
  kTunnelResponse,  //
};
// Adds the fields of `headers` but those that HTTP/2 must not carry (RFC 9113 section 8.2.2) and
// Host, which is :authority. The result points into `headers`.
void append_fields(std::vector<h2::Field>& to, const http::Headers& headers, FieldSet set);

// What a head counts for the size histograms: names, values and 4 per field, as HTTP/1 would have.
size_t wire_size(const h2::Head& head);
size_t wire_size(std::span<const h2::Field> fields);

// A value for Sec-WebSocket-Key: 16 random bytes in base64 (RFC 6455 section 4.1).
std::string make_websocket_key();

}  // namespace culvert::waypoint
