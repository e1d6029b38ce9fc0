#include "tests/unit/waypoint/request/proxy_lab.h"

// Retries, time limits and what becomes of requests whose endpoint fails.
namespace culvert::waypoint {
namespace {

using std::chrono::milliseconds;
using test::Hold;
using test::ProxyLab;
using test::Script;

std::string retry(const std::string& settings, const std::string& more = "") {
  return ProxyLab::to_server("    retry: {" + settings + "}\n" + more);
}
Script answers(int status) {
  Script out;
  out.status = status;
  return out;
}
Script refuses() {
  Script out;
  out.connect_error = Error(ExchangeErrc::kConnectFailed, "connection refused");
  return out;
}
Script breaks(ExchangeErrc how) {
  Script out;
  out.response_error = Error(how);
  return out;
}
Script holds(Hold where) {
  Script out;
  out.hold = where;
  return out;
}

TEST(ProxyFailures, ConnectFailureIs503Uf) {
  ProxyLab lab(retry("attempts: 0"));
  lab.upstreams.otherwise = refuses();
  const auto r = lab.get();
  EXPECT_EQ(r->status(), 503);
  EXPECT_TRUE(r->client.received.starts_with(
      "upstream connect error or disconnect/reset before headers. reset reason: "))
      << r->client.received;
  EXPECT_NE(r->client.received.find("connection failure"), std::string::npos);
  EXPECT_EQ(lab.last()["response_flags"], "UF");
  const std::string details = lab.last()["response_code_details"];
  EXPECT_TRUE(details.starts_with("upstream_reset_before_response_started{")) << details;
  EXPECT_NE(details.find("connection_failure"), std::string::npos) << details;
  EXPECT_TRUE(lab.last()["upstream_transport_failure_reason"].is_string());
}

TEST(ProxyFailures, EndsWithoutAnAnswer) {
  struct Case {
    ExchangeErrc error;
    int status;
    const char* flag;
    const char* detail;
  };
  const Case cases[] = {
      {ExchangeErrc::kConnectionLost, 503, "UC", "connection_termination"},
      {ExchangeErrc::kPeerReset, 503, "UR", "remote_reset"},
      {ExchangeErrc::kRefused, 503, "UR", "remote_refused_stream_reset"},
      {ExchangeErrc::kBadMessage, 502, "UPE", "protocol_error"},
  };
  for (const Case& c : cases) {
    ProxyLab lab(retry("attempts: 0"));
    lab.upstreams.otherwise = breaks(c.error);
    EXPECT_EQ(lab.get()->status(), c.status) << c.flag;
    EXPECT_EQ(lab.last()["response_flags"], c.flag);
    EXPECT_EQ(lab.last()["response_code_details"],
              "upstream_reset_before_response_started{" + std::string(c.detail) + "}");
    EXPECT_EQ(lab.upstreams.tries.size(), 1U);
    EXPECT_EQ(lab.upstreams.running(), 0U);
  }
}

TEST(ProxyFailures, OverflowIs503UoAndNotRetried) {
  ProxyLab lab(retry("attempts: 3, retryOn: \"5xx,connect-failure\""));
  lab.upstreams.otherwise.connect_error = Error(ExchangeErrc::kOverflow);
  const auto r = lab.get();
  EXPECT_EQ(r->status(), 503);
  EXPECT_EQ(r->header("x-envoy-overloaded"), "true");
  EXPECT_EQ(lab.verdict(), "503 UO upstream_reset_before_response_started{overflow}");
  EXPECT_EQ(lab.upstreams.tries.size(), 1U);
}

TEST(ProxyFailures, PendingLimitIs503Uo) {
  ProxyLab lab("", "  limits: {maxPendingRequests: 1}\n");
  lab.upstreams.otherwise = holds(Hold::kConnect);
  auto waits = lab.make();
  waits->start();
  lab.settle();
  EXPECT_EQ(lab.get()->status(), 503);
  EXPECT_EQ(lab.last()["response_flags"], "UO");
  lab.upstreams.release();
  waits->wait();
  EXPECT_EQ(waits->status(), 200);
  lab.upstreams.otherwise = answers(200);
  EXPECT_EQ(lab.get()->status(), 200);  // the place is free again
}

TEST(ProxyFailures, RetriesGoElsewhere) {
  ProxyLab lab(retry("attempts: 1, backoff: 1ms"));
  lab.upstreams.scripts = {refuses(), answers(204)};
  EXPECT_EQ(lab.get()->status(), 204);
  ASSERT_EQ(lab.upstreams.tries.size(), 2U);
  EXPECT_NE(lab.upstreams.tries[0]->address, lab.upstreams.tries[1]->address);
  EXPECT_EQ(lab.verdict(), "204 - via_upstream");
  EXPECT_EQ(lab.last()["upstream_host"], lab.upstreams.tries[1]->address);
}

TEST(ProxyFailures, EachCondition) {
  Script grpc = answers(200);
  grpc.trailers_only = true;
  grpc.headers = {{"content-type", "application/grpc"}, {"grpc-status", "14"}};
  struct Case {
    const char* conditions;
    Script first;
    bool retried;
  };
  const Case cases[] = {
      {"connect-failure", refuses(), true},
      {"connect-failure", breaks(ExchangeErrc::kPeerReset), false},
      {"refused-stream", breaks(ExchangeErrc::kRefused), true},
      {"refused-stream", answers(503), false},
      {"reset", breaks(ExchangeErrc::kPeerReset), true},
      {"reset", breaks(ExchangeErrc::kConnectionLost), true},
      {"reset", answers(500), false},
      {"reset-before-request", breaks(ExchangeErrc::kPeerReset), false},
      {"5xx", answers(500), true},
      {"5xx", answers(404), false},
      {"gateway-error", answers(503), true},
      {"gateway-error", answers(501), false},
      {"retriable-4xx", answers(409), true},
      {"429", answers(429), true},
      {"429", answers(503), false},
      {"unavailable", grpc, true},
      {"internal", grpc, false},
  };
  for (const Case& c : cases) {
    ProxyLab lab(
        retry("attempts: 1, backoff: 1ms, retryOn: \"" + std::string(c.conditions) + "\""));
    lab.upstreams.scripts = {c.first};
    const auto r = lab.get();
    EXPECT_EQ(lab.upstreams.tries.size(), c.retried ? 2U : 1U) << c.conditions;
    if (c.retried) {
      EXPECT_EQ(lab.verdict(), "200 - via_upstream") << c.conditions;
    }
    EXPECT_EQ(lab.upstreams.running(), 0U);
  }
}

TEST(ProxyFailures, ExhaustedSaysUrx) {
  ProxyLab lab(retry("attempts: 2, backoff: 1ms, retryOn: 5xx"));
  lab.upstreams.otherwise = answers(500);
  EXPECT_EQ(lab.get()->status(), 500);
  EXPECT_EQ(lab.upstreams.tries.size(), 3U);
  EXPECT_EQ(lab.verdict(), "500 URX via_upstream");
  lab.upstreams.otherwise = refuses();
  EXPECT_EQ(lab.get()->status(), 503);
  const std::string flags = lab.last()["response_flags"];
  EXPECT_NE(flags.find("UF"), std::string::npos) << flags;
  EXPECT_NE(flags.find("URX"), std::string::npos) << flags;
}

TEST(ProxyFailures, BackoffIsWaitedFor) {
  ProxyLab lab(retry("attempts: 1, backoff: 60ms, retryOn: 5xx"));
  lab.random({59});  // every draw is cut to its bound
  lab.upstreams.scripts = {answers(500)};
  const Time before = Clock::now();
  lab.get();
  EXPECT_EQ(lab.upstreams.tries.size(), 2U);
  EXPECT_GE(Clock::now() - before, milliseconds(58));
}

TEST(ProxyFailures, MaxRetriesOfTheService) {
  ProxyLab lab(retry("attempts: 1, backoff: 1ms, retryOn: 5xx"), "",
               "  trafficPolicy: {maxRetries: 0}\n");
  lab.upstreams.otherwise = answers(503);
  EXPECT_EQ(lab.get()->status(), 503);
  EXPECT_EQ(lab.upstreams.tries.size(), 1U);
  const std::string flags = lab.last()["response_flags"];
  EXPECT_NE(flags.find("UO"), std::string::npos) << flags;
}

TEST(ProxyFailures, MaxRetriesCountsRunningOnes) {
  ProxyLab lab(retry("attempts: 1, backoff: 1ms, retryOn: 5xx"), "",
               "  trafficPolicy: {maxRetries: 1}\n");
  lab.upstreams.scripts = {answers(503), holds(Hold::kResponse), answers(503)};
  auto first = lab.make();
  first->start();
  culvert::test::run_until(lab.reactor(), [&] { return lab.upstreams.tries.size() == 2; });
  EXPECT_EQ(lab.get()->status(), 503);
  EXPECT_EQ(lab.upstreams.tries.size(), 3U);
  first->leave();
  lab.upstreams.scripts = {answers(503)};
  EXPECT_EQ(lab.get()->status(), 200);  // the client's leaving gave its place back
}

TEST(ProxyFailures, PerTryTimeout) {
  ProxyLab lab(retry("attempts: 1, backoff: 1ms, retryOn: reset",
                     "    timeouts: {request: 5s, backendRequest: 30ms}\n"));
  lab.upstreams.scripts = {holds(Hold::kResponse), answers(200)};
  EXPECT_EQ(lab.get()->status(), 200);
  EXPECT_EQ(lab.upstreams.tries.size(), 2U);
  EXPECT_TRUE(lab.upstreams.tries[0]->ended);
  lab.upstreams.otherwise = holds(Hold::kResponse);
  const auto r = lab.get();
  EXPECT_EQ(r->status(), 504);
  EXPECT_EQ(r->client.received, "upstream request timeout");
  EXPECT_EQ(lab.last()["response_code_details"], "upstream_per_try_timeout");
  EXPECT_EQ(lab.last()["response_flags"], "URX,UT");
}

TEST(ProxyFailures, RequestTimeout) {
  for (const Hold where : {Hold::kConnect, Hold::kResponse}) {
    ProxyLab lab(ProxyLab::to_server("    timeouts: {request: 30ms}\n"));
    lab.upstreams.otherwise = holds(where);
    const auto r = lab.get();
    EXPECT_EQ(r->status(), 504);
    EXPECT_EQ(r->client.received, "upstream request timeout");
    EXPECT_EQ(lab.verdict(), "504 UT response_timeout");
    EXPECT_EQ(lab.upstreams.running(), 0U);
  }
}

TEST(ProxyFailures, RequestTimeoutOfTheOptions) {
  ProxyLab lab("", "  limits: {requestTimeout: 30ms}\n");
  lab.upstreams.otherwise = holds(Hold::kResponse);
  EXPECT_EQ(lab.get()->status(), 504);
}

TEST(ProxyFailures, RequestTimeoutWithinTheBackoff) {
  ProxyLab lab(retry("attempts: 3, backoff: 10s, retryOn: 5xx", "    timeouts: {request: 40ms}\n"));
  lab.random({9'999'999});
  lab.upstreams.otherwise = answers(503);
  EXPECT_EQ(lab.get()->status(), 504);
  EXPECT_EQ(lab.upstreams.tries.size(), 1U);
}

TEST(ProxyFailures, RequestTimeoutAfterTheResponseBegan) {
  ProxyLab lab(ProxyLab::to_server("    timeouts: {request: 30ms}\n"));
  lab.upstreams.otherwise = holds(Hold::kBody);
  lab.upstreams.otherwise.body = {"part"};
  const auto r = lab.get();
  EXPECT_EQ(r->status(), 200);
  EXPECT_EQ(r->client.received, "part");
  EXPECT_TRUE(r->client.was_reset);
  EXPECT_FALSE(r->client.finished);
  EXPECT_EQ(lab.verdict(), "200 UT response_timeout");
}

TEST(ProxyFailures, TimeoutWaitsForTheWholeRequest) {
  // Envoy's route timeout begins when the request has come completely.
  ProxyLab lab(ProxyLab::to_server("    timeouts: {request: 60ms}\n"));
  auto r = lab.make("POST");
  r->client.will_send();
  r->start();
  r->client.say("slow");
  const Time later = Clock::now() + milliseconds(120);
  culvert::test::run_until(lab.reactor(), [&] { return Clock::now() > later; });
  EXPECT_EQ(r->status(), -1);
  r->client.end();
  r->wait();
  EXPECT_EQ(r->status(), 200);
}

TEST(ProxyFailures, IdleTimeout) {
  ProxyLab lab(ProxyLab::to_server("    timeouts: {idle: 30ms}\n"));
  lab.upstreams.otherwise = holds(Hold::kResponse);
  EXPECT_EQ(lab.get()->status(), 504);
  EXPECT_EQ(lab.verdict(), "504 SI stream_idle_timeout");
  // A client that stops sending: 408.
  auto r = lab.make("POST");
  r->client.will_send();
  r->client.say("x");
  r->go();
  EXPECT_EQ(r->status(), 408);
  // An endpoint that stops sending.
  lab.upstreams.otherwise = holds(Hold::kBody);
  lab.upstreams.otherwise.body = {"part"};
  const auto half = lab.get();
  EXPECT_EQ(half->status(), 200);
  EXPECT_TRUE(half->client.was_reset);
  EXPECT_EQ(lab.verdict(), "200 SI stream_idle_timeout");
}

TEST(ProxyFailures, IdleTimeoutOfAClientThatDoesNotRead) {
  ProxyLab lab("", "  limits: {streamIdleTimeout: 30ms}\n");
  lab.upstreams.otherwise.body = {"part"};
  auto r = lab.make();
  r->client.block(true);
  r->go();
  EXPECT_TRUE(r->client.was_reset);
  EXPECT_EQ(lab.last()["response_flags"], "SI");
}

TEST(ProxyFailures, NoRetryAfterTheResponseBegan) {
  struct Case {
    ExchangeErrc error;
    const char* verdict;
  };
  const Case cases[] = {
      {ExchangeErrc::kConnectionLost,
       "200 UC upstream_reset_after_response_started{connection_termination}"},
      {ExchangeErrc::kPeerReset, "200 UR upstream_reset_after_response_started{remote_reset}"},
      {ExchangeErrc::kBadMessage, "200 UPE upstream_reset_after_response_started{protocol_error}"},
  };
  for (const Case& c : cases) {
    ProxyLab lab(retry("attempts: 3, backoff: 1ms, retryOn: \"5xx,reset\""));
    lab.upstreams.otherwise.body = {"part"};
    lab.upstreams.otherwise.body_error = Error(c.error);
    const auto r = lab.get();
    EXPECT_EQ(r->client.received, "part");
    EXPECT_TRUE(r->client.was_reset);
    EXPECT_FALSE(r->client.finished);
    EXPECT_EQ(lab.upstreams.tries.size(), 1U);
    EXPECT_EQ(lab.verdict(), c.verdict);
    EXPECT_EQ(lab.last()["bytes_sent"], 4);
  }
}

TEST(ProxyFailures, ConnectTimeout) {
  ProxyLab lab(retry("attempts: 0"), "", "  trafficPolicy: {connectTimeout: 30ms}\n");
  lab.upstreams.otherwise = holds(Hold::kConnect);
  EXPECT_EQ(lab.get()->status(), 503);
  EXPECT_EQ(lab.verdict(), "503 UF upstream_reset_before_response_started{connection_timeout}");
}

}  // namespace
}  // namespace culvert::waypoint
