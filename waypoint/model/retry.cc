#include "waypoint/model/retry.h"

#include "common/http/headers.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>

namespace culvert::waypoint {
namespace {

struct Condition {
  std::string_view name;
  uint32_t bit;
};
constexpr std::array<Condition, 13> kConditions{{
    {"connect-failure", retry_on::kConnectFailure},
    {"refused-stream", retry_on::kRefusedStream},
    {"reset", retry_on::kReset},
    {"reset-before-request", retry_on::kResetBeforeRequest},
    {"5xx", retry_on::k5xx},
    {"gateway-error", retry_on::kGatewayError},
    {"retriable-4xx", retry_on::kRetriable4xx},
    {"retriable-status-codes", retry_on::kStatusCodes},
    {"cancelled", retry_on::kCancelled},
    {"deadline-exceeded", retry_on::kDeadlineExceeded},
    {"internal", retry_on::kInternal},
    {"resource-exhausted", retry_on::kResourceExhausted},
    {"unavailable", retry_on::kUnavailable},
}};

std::optional<int> parse_status(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  if (value < 100 || value > 599) return std::nullopt;
  return value;
}

// Numbers of google.rpc.Code.
uint32_t grpc_bit(int status) {
  switch (status) {
    case 1:
      return retry_on::kCancelled;
    case 4:
      return retry_on::kDeadlineExceeded;
    case 8:
      return retry_on::kResourceExhausted;
    case 13:
      return retry_on::kInternal;
    case 14:
      return retry_on::kUnavailable;
    default:
      return 0;
  }
}

bool wants_response(const RetryPolicy& policy, const TryOutcome& outcome) {
  const int status = outcome.status;
  uint32_t causes = 0;
  if (status >= 500 && status <= 599) causes |= retry_on::k5xx;
  if (status >= 502 && status <= 504) causes |= retry_on::kGatewayError;
  if (status == 409) causes |= retry_on::kRetriable4xx;
  if (std::find(policy.codes.begin(), policy.codes.end(), status) != policy.codes.end()) {
    causes |= retry_on::kStatusCodes;
  }
  if (outcome.grpc_status) causes |= grpc_bit(*outcome.grpc_status);
  return (policy.on & causes) != 0;
}

bool wants(const RetryPolicy& policy, const TryOutcome& outcome) {
  // An end without a response becomes a 5xx for the client, which is why those conditions cover it.
  uint32_t causes = retry_on::kReset | retry_on::k5xx | retry_on::kGatewayError;
  if (!outcome.head_sent) causes |= retry_on::kResetBeforeRequest;
  switch (outcome.kind) {
    case TryOutcome::Kind::kResponse:
      return wants_response(policy, outcome);
    case TryOutcome::Kind::kConnectFailure:
      causes |= retry_on::kConnectFailure;
      break;
    case TryOutcome::Kind::kRefusedStream:
      causes |= retry_on::kRefusedStream;
      break;
    case TryOutcome::Kind::kReset:
    case TryOutcome::Kind::kTryTimeout:
      break;
    case TryOutcome::Kind::kOverflow:
    case TryOutcome::Kind::kNoEndpoint:
      return false;
  }
  return (policy.on & causes) != 0;
}

}  // namespace

Result<> parse_retry_on(std::string_view list, RetryPolicy& policy) {
  std::string unknown;
  http::for_each_list_item(list, [&](std::string_view item) {
    const auto* known = std::find_if(kConditions.begin(), kConditions.end(),
                                     [&](const Condition& c) { return c.name == item; });
    if (known != kConditions.end()) {
      policy.on |= known->bit;
    } else if (const auto status = parse_status(item)) {
      policy.on |= retry_on::kStatusCodes;
      policy.codes.push_back(*status);
    } else {
      unknown =
          item.empty() ? "an empty condition" : "unknown condition \"" + std::string(item) + "\"";
    }
    return unknown.empty();
  });
  if (!unknown.empty()) return invalid(unknown);
  return {};
}

RetryVerdict should_retry(const RetryPolicy& policy, uint32_t retries_done,
                          const TryOutcome& outcome, bool replayable) {
  if (policy.attempts == 0 || !wants(policy, outcome)) return RetryVerdict::kNotRetriable;
  if (retries_done >= policy.attempts) return RetryVerdict::kExhausted;
  return replayable ? RetryVerdict::kRetry : RetryVerdict::kNotReplayable;
}

std::chrono::milliseconds retry_backoff(const RetryPolicy& policy, uint32_t retry,
                                        state::Random& random) {
  int64_t interval = policy.backoff_base.count();
  for (uint32_t i = 1; i < retry && interval < policy.backoff_max.count(); ++i) interval *= 2;
  interval = std::min(interval, static_cast<int64_t>(policy.backoff_max.count()));
  if (interval <= 0) return std::chrono::milliseconds(0);
  return std::chrono::milliseconds(random.below(static_cast<uint64_t>(interval)));
}

}  // namespace culvert::waypoint
