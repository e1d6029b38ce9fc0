#include "waypoint/model/retry.h"

#include "tests/unit/waypoint/support.h"

#include <gtest/gtest.h>

namespace culvert::waypoint {
namespace {

using Kind = TryOutcome::Kind;
using std::chrono::milliseconds;

RetryPolicy with(std::string_view conditions) {
  RetryPolicy policy;
  policy.on = 0;
  parse_retry_on(conditions, policy).value();
  return policy;
}
TryOutcome response(int status, std::optional<int> grpc = std::nullopt) {
  return {Kind::kResponse, status, grpc, true};
}
TryOutcome ended(Kind kind, bool head_sent = true) { return {kind, 0, std::nullopt, head_sent}; }

bool retries(const RetryPolicy& policy, const TryOutcome& outcome) {
  return should_retry(policy, 0, outcome, true) == RetryVerdict::kRetry;
}

TEST(Retry, DefaultsAreIstios) {
  const RetryPolicy policy;
  EXPECT_EQ(policy.attempts, 2U);
  EXPECT_TRUE(policy.avoid_previous_hosts);
  EXPECT_TRUE(retries(policy, ended(Kind::kConnectFailure, false)));
  EXPECT_TRUE(retries(policy, ended(Kind::kRefusedStream)));
  EXPECT_TRUE(retries(policy, response(200, 1)));   // cancelled
  EXPECT_TRUE(retries(policy, response(200, 14)));  // unavailable
  EXPECT_FALSE(retries(policy, response(503)));
  EXPECT_FALSE(retries(policy, ended(Kind::kReset)));
  EXPECT_FALSE(retries(policy, ended(Kind::kTryTimeout)));
  EXPECT_FALSE(retries(policy, response(200, 13)));
  EXPECT_FALSE(retries(policy, response(200)));
}

TEST(Retry, Conditions) {
  struct Case {
    const char* conditions;
    TryOutcome outcome;
    bool expected;
  };
  const Case cases[] = {
      {"5xx", response(500), true},
      {"5xx", response(599), true},
      {"5xx", response(499), false},
      {"5xx", ended(Kind::kReset), true},
      {"5xx", ended(Kind::kConnectFailure), true},
      {"5xx", ended(Kind::kTryTimeout), true},
      {"gateway-error", response(502), true},
      {"gateway-error", response(504), true},
      {"gateway-error", response(500), false},
      {"gateway-error", response(505), false},
      {"gateway-error", ended(Kind::kReset), true},
      {"reset", ended(Kind::kReset), true},
      {"reset", ended(Kind::kTryTimeout), true},
      {"reset", ended(Kind::kConnectFailure), true},
      {"reset", response(503), false},
      {"reset-before-request", ended(Kind::kReset, false), true},
      {"reset-before-request", ended(Kind::kReset, true), false},
      {"connect-failure", ended(Kind::kConnectFailure), true},
      {"connect-failure", ended(Kind::kReset), false},
      {"refused-stream", ended(Kind::kRefusedStream), true},
      {"refused-stream", ended(Kind::kReset), false},
      {"retriable-4xx", response(409), true},
      {"retriable-4xx", response(404), false},
      {"503, 429", response(429), true},
      {"503", response(500), false},
      {"retriable-status-codes", response(500), false},
      {"cancelled", response(200, 1), true},
      {"deadline-exceeded", response(200, 4), true},
      {"resource-exhausted", response(200, 8), true},
      {"internal", response(200, 13), true},
      {"unavailable", response(200, 14), true},
      {"unavailable", response(200, 0), false},
      {"cancelled", response(200, 14), false},
      // Our own limits, and nobody to ask: another try would find the same.
      {"5xx,reset,gateway-error", ended(Kind::kOverflow), false},
      {"5xx,reset,connect-failure", ended(Kind::kNoEndpoint), false},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(retries(with(c.conditions), c.outcome), c.expected)
        << c.conditions << " kind " << static_cast<int>(c.outcome.kind) << " status "
        << c.outcome.status;
  }
}

TEST(Retry, UnknownConditionsAreErrors) {
  for (const char* bad : {"5XX", "4xx", "", "reset,", "99", "600", "http3-post-connect-failure"}) {
    RetryPolicy policy;
    EXPECT_FALSE(parse_retry_on(bad, policy)) << bad;
  }
}

TEST(Retry, AttemptsAreTheLimit) {
  RetryPolicy policy = with("5xx");
  policy.attempts = 2;
  EXPECT_EQ(should_retry(policy, 1, response(503), true), RetryVerdict::kRetry);
  EXPECT_EQ(should_retry(policy, 2, response(503), true), RetryVerdict::kExhausted);
  policy.attempts = 0;
  EXPECT_EQ(should_retry(policy, 0, response(503), true), RetryVerdict::kNotRetriable);
}

TEST(Retry, WhatIsGoneIsNotSentAgain) {
  EXPECT_EQ(should_retry(with("5xx"), 0, response(503), false), RetryVerdict::kNotReplayable);
  EXPECT_EQ(should_retry(with("5xx"), 0, response(200), false), RetryVerdict::kNotRetriable);
}

TEST(Retry, BackoffDoublesUpToItsMaximum) {
  const RetryPolicy policy;
  test::Sequence random({0});
  for (const uint32_t retry : {1U, 2U, 3U, 4U, 5U, 100U}) retry_backoff(policy, retry, random);
  EXPECT_EQ(random.bounds, (std::vector<uint64_t>{25, 50, 100, 200, 250, 250}));
  test::Sequence high({24});
  EXPECT_EQ(retry_backoff(policy, 1, high), milliseconds(24));
}

TEST(Retry, NoBackoffIsNoPause) {
  RetryPolicy policy;
  policy.backoff_base = milliseconds(0);
  test::Sequence random({7});
  EXPECT_EQ(retry_backoff(policy, 3, random), milliseconds(0));
}

}  // namespace
}  // namespace culvert::waypoint
