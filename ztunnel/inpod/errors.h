#pragma once

#include "common/base/error.h"

#include <string>
#include <system_error>

namespace culvert::ztunnel::inpod {

// What a request of the node agent failed with; decides what becomes of the connection. The context
// says why.
enum class Errc {
  kReadMessage = 1,  // not a request: answered, then the connection is dropped
  kStartProxy,      // the pod cannot be served now: answered, the connection stays, ztunnel retries
  kProcessMessage,  // a request that breaks the protocol: answered, then reconnect after a back-off
};
std::error_code make_error_code(Errc value);

// The text of a negative answer, as Istio's ztunnel words it: "failure to start proxy : <why>".
std::string nack_text(const Error& error);

}  // namespace culvert::ztunnel::inpod

template <>
struct std::is_error_code_enum<culvert::ztunnel::inpod::Errc> : std::true_type {};
