#pragma once

#include "common/base/error.h"
#include "ztunnel/metrics.h"

#include <system_error>

namespace culvert::ztunnel {

// Why a user connection failed. Texts are those Istio's ztunnel writes into the access log.
enum class Errc {
  kSelfCall = 1,      // attempted recursive call to ourselves
  kPolicyRejection,   // connection closed due to policy rejection: <why>
  kPolicyChange,      // connection closed due to policy change
  kConnectionFailed,  // connection failed: <system error>
  kNetworkPolicy,     // connection timed out, maybe a NetworkPolicy is blocking HBONE port 15008: …
  kIpMismatch,        // ip mismatch: <connection's destination> != <authority>
  kIdentity,          // identity error: <why there is no certificate>
  kDrain,             // connection closed due to connection drain
  kUnsupportedFeature,  // unsupported feature: <what>
};
std::error_code make_error_code(Errc value);

// The response_flags label of a connection that ended with `error`.
//
// One difference from Istio's ztunnel: a failed TLS handshake is TLS_FAILURE, where the reference
// lumps it with CONNECT, which hides an expired certificate among refused connections.
ResponseFlag response_flag(const Error& error);

}  // namespace culvert::ztunnel

template <>
struct std::is_error_code_enum<culvert::ztunnel::Errc> : std::true_type {};
