#pragma once

#include "common/base/result.h"
#include "common/state/balance.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

// Whether and when a request is tried again. Pure: the data path reports what happened and obeys.
namespace culvert::waypoint {

// Bits of RetryPolicy::on, with Envoy's names.
namespace retry_on {
inline constexpr uint32_t kConnectFailure = 1U << 0;  // connect-failure: no connection was made
inline constexpr uint32_t kRefusedStream = 1U << 1;   // refused-stream: RST_STREAM REFUSED_STREAM
inline constexpr uint32_t kReset = 1U << 2;           // reset: any end without a response
inline constexpr uint32_t kResetBeforeRequest = 1U
                                                << 3;  // reset-before-request: and no head was sent
inline constexpr uint32_t k5xx = 1U << 4;              // 5xx: any, and any end without a response
inline constexpr uint32_t kGatewayError = 1U << 5;     // gateway-error: 502 to 504, and likewise
inline constexpr uint32_t kRetriable4xx = 1U << 6;     // retriable-4xx: 409
inline constexpr uint32_t kStatusCodes = 1U << 7;      // retriable-status-codes: RetryPolicy::codes
// gRPC statuses, when the response is trailers-only.
inline constexpr uint32_t kCancelled = 1U << 8;
inline constexpr uint32_t kDeadlineExceeded = 1U << 9;
inline constexpr uint32_t kInternal = 1U << 10;
inline constexpr uint32_t kResourceExhausted = 1U << 11;
inline constexpr uint32_t kUnavailable = 1U << 12;
// What Istio sends for every route that says nothing else.
inline constexpr uint32_t kIstioDefault =
    kConnectFailure | kRefusedStream | kUnavailable | kCancelled | kStatusCodes;
}  // namespace retry_on

inline constexpr uint32_t kMaxRetryAttempts = 100;

struct RetryPolicy {
  uint32_t attempts = 2;  // besides the first; 0: never
  uint32_t on = retry_on::kIstioDefault;
  std::vector<int> codes;                        // for kStatusCodes
  std::chrono::milliseconds per_try_timeout{0};  // 0: none
  std::chrono::milliseconds backoff_base{25};
  std::chrono::milliseconds backoff_max{250};
  bool avoid_previous_hosts = true;
};

// Adds the conditions of an Istio `retryOn` list ("5xx,connect-failure,503": a number is a status
// code). Errors: a condition that is not known (it would silently not retry).
Result<> parse_retry_on(std::string_view list, RetryPolicy& policy);

// How one try ended.
struct TryOutcome {
  enum class Kind : uint8_t {
    kResponse,        // a response head came; `status`, `grpc_status`
    kConnectFailure,  // no connection, or no tunnel
    kRefusedStream,   // the peer says that it did not process the request
    kReset,           // the connection or stream ended without a response
    kTryTimeout,      // per_try_timeout passed
    kOverflow,        // our own limits: another try would meet them again
    kNoEndpoint,      // nothing to try on
  };
  Kind kind = Kind::kResponse;
  int status = 0;
  std::optional<int> grpc_status;  // only of a trailers-only response
  bool head_sent = true;           // of the request
};

enum class RetryVerdict : uint8_t {
  kRetry,
  kNotRetriable,   // the outcome is final under this policy
  kExhausted,      // attempts used up: Envoy's flag URX
  kNotReplayable,  // it would be tried again, but what the client sent is gone
};

// `retries_done`: 0 after the first try. `replayable`: whether the whole request can be sent again,
// that is, no byte of its body was given away and lost. A connect failure uses up nothing of the
// request, so that callers who have not begun to send report true for it. Nothing may be retried
// once a byte of a response went to the client: then callers do not ask.
RetryVerdict should_retry(const RetryPolicy& policy, uint32_t retries_done,
                          const TryOutcome& outcome, bool replayable);

// The pause before retry number `retry` (1 for the first): uniform in [0, min(base * 2^(retry-1),
// max)), the full jitter of Envoy, so that clients hit by one failure do not come back as one.
std::chrono::milliseconds retry_backoff(const RetryPolicy& policy, uint32_t retry,
                                        state::Random& random);

}  // namespace culvert::waypoint
