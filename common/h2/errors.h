#pragma once

#include <system_error>

namespace culvert::h2 {

enum class Errc {
  kHandshake = 1,   // http2 handshake failed
  kProtocol,        // the peer broke the protocol; the connection is closed
  kStreamReset,     // stream reset by the peer: <code>
  kRefused,         // the peer refused the stream before it did anything: safe to retry
  kConnectionLost,  // the connection ended under the stream: <why>
  kGoingAway,       // the connection takes no new streams
  kPingTimeout,     // no answer to a PING: the peer is gone
  kFlood,           // too many frames that carry nothing
  kDraining,        // closed by our own shutdown
};
std::error_code make_error_code(Errc value);

}  // namespace culvert::h2

template <>
struct std::is_error_code_enum<culvert::h2::Errc> : std::true_type {};
