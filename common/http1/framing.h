#pragma once

#include "common/base/result.h"
#include "common/http/message.h"

#include <cstdint>
#include <optional>
#include <string_view>

namespace culvert::http1 {

// How the end of a body is found (RFC 9112 section 6.3).
struct Framing {
  enum class Kind : uint8_t {
    kNone,        // no body
    kLength,      // `length` bytes
    kChunked,     // chunks, then trailers
    kUntilClose,  // responses only: until the connection ends
    kTunnel,      // not a body: everything that follows is opaque (CONNECT, 101)
  };
  Kind kind = Kind::kNone;
  uint64_t length = 0;

  static constexpr Framing none() { return {}; }
  static constexpr Framing of_length(uint64_t n) { return {Kind::kLength, n}; }
  static constexpr Framing chunked() { return {Kind::kChunked, 0}; }
  static constexpr Framing until_close() { return {Kind::kUntilClose, 0}; }
  static constexpr Framing tunnel() { return {Kind::kTunnel, 0}; }
  [[nodiscard]] bool has_body() const {
    return kind == Kind::kChunked || kind == Kind::kUntilClose ||
           (kind == Kind::kLength && length > 0);
  }
  friend bool operator==(const Framing&, const Framing&) = default;
};

// What one must know of the request to read its response.
struct Exchange {
  bool head_request = false;
  bool connect_request = false;
  bool upgrade_requested = false;  // we sent Upgrade to this server
};

// Both decide by the fields of the head and fail on everything ambiguous: Content-Length together
// with Transfer-Encoding, values that differ, any coding but a single "chunked". They leave at most
// one Content-Length, and none where the message cannot have a body that it would describe (1xx,
// 204, success of CONNECT), so that forwarding `head.headers` is safe.
Result<Framing> request_framing(http::RequestHead& head);
Result<Framing> response_framing(http::ResponseHead& head, const Exchange& exchange);

// Whether the sender wants to use the connection again (RFC 9112 section 9.3): HTTP/1.1 unless
// "Connection: close", HTTP/1.0 only with "Connection: keep-alive". That the body has an end is for
// the caller to check.
[[nodiscard]] bool wants_keep_alive(http::Version version, const http::Headers& headers);

// The protocols that the sender offers or switches to: the value of Upgrade, if Connection names it
// (RFC 9110 section 7.8) and the version is HTTP/1.1. Points into `headers`.
[[nodiscard]] std::optional<std::string_view> upgrade_of(http::Version version,
                                                         const http::Headers& headers);

}  // namespace culvert::http1
