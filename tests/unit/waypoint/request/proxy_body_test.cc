#include "tests/unit/waypoint/request/proxy_lab.h"

// Bodies of requests, replay, early answers, upgrades and mirrors.
namespace culvert::waypoint {
namespace {

using std::chrono::milliseconds;
using test::Hold;
using test::ProxyLab;
using test::Script;

constexpr const char* kRetry5xx = "    retry: {attempts: 1, backoff: 1ms, retryOn: \"5xx,503\"}\n";
constexpr const char* kMirror =
    "    filters:\n"
    "    - {type: RequestMirror, requestMirror: {backendRef: {name: canary, port: 80}}}\n";
constexpr const char* kCanary = "10.244.1.13:8080";

Script answers(int status, bool early = false) {
  Script out;
  out.status = status;
  out.early = early;
  return out;
}
Script refuses() {
  Script out;
  out.connect_error = Error(ExchangeErrc::kConnectFailed, "connection refused");
  return out;
}

std::unique_ptr<ProxyLab::Running> post(ProxyLab& lab, std::vector<std::string> pieces) {
  auto r = lab.make("POST");
  r->client.will_send();
  for (std::string& piece : pieces) r->client.say(std::move(piece));
  http::Headers trailers;
  trailers.add("x-sum", "7").value();
  r->client.end(trailers);
  return r;
}

TEST(ProxyBody, ReachesTheEndpointWithItsTrailers) {
  ProxyLab lab;
  auto r = post(lab, {"one ", "two ", "three"});
  r->go();
  ASSERT_EQ(lab.upstreams.tries.size(), 1U);
  const auto& seen = *lab.upstreams.tries[0];
  EXPECT_EQ(seen.body, "one two three");
  EXPECT_EQ(seen.trailers.get("x-sum"), "7");
  EXPECT_EQ(seen.size.kind, BodySize::Kind::kUnknown);
  EXPECT_EQ(lab.last()["bytes_received"], 13);
}

TEST(ProxyBody, LengthIsKept) {
  ProxyLab lab;
  auto r = lab.make("POST");
  r->client.will_send(BodySize::Kind::kLength, 5);
  r->client.say("12345");
  r->client.end();
  r->go();
  EXPECT_EQ(lab.upstreams.tries.at(0)->size.kind, BodySize::Kind::kLength);
  EXPECT_EQ(lab.upstreams.tries.at(0)->size.length, 5U);
}

TEST(ProxyBody, ReplayedWithinTheLimit) {
  ProxyLab lab(ProxyLab::to_server(kRetry5xx), "  limits: {maxBufferedBody: 32768}\n");
  lab.upstreams.scripts = {answers(503)};
  std::string big(20'000, 'a');
  auto r = post(lab, {big, "tail"});
  r->go();
  EXPECT_EQ(r->status(), 200);
  ASSERT_EQ(lab.upstreams.tries.size(), 2U);
  for (const auto& seen : lab.upstreams.tries) {
    EXPECT_EQ(seen->body, big + "tail");
    EXPECT_EQ(seen->trailers.get("x-sum"), "7");
  }
  EXPECT_EQ(lab.last()["bytes_received"], 20'004);  // once
}

TEST(ProxyBody, AtTheLimitYesAboveItNo) {
  for (const size_t size : {size_t{1024}, size_t{1025}}) {
    ProxyLab lab(ProxyLab::to_server(kRetry5xx), "  limits: {maxBufferedBody: 1024}\n");
    lab.upstreams.scripts = {answers(503)};
    auto r = post(lab, {std::string(size - 1, 'x'), "y"});
    r->go();
    EXPECT_EQ(r->status(), size == 1024 ? 200 : 503) << size;
    EXPECT_EQ(lab.upstreams.tries.size(), size == 1024 ? 2U : 1U) << size;
    EXPECT_EQ(lab.upstreams.tries[0]->body.size(), size);
  }
}

TEST(ProxyBody, WithoutABufferABegunBodyIsNotSentAgain) {
  ProxyLab lab(ProxyLab::to_server(kRetry5xx));
  lab.upstreams.scripts = {answers(503)};
  auto r = post(lab, {"x"});
  r->go();
  EXPECT_EQ(r->status(), 503);
  EXPECT_EQ(lab.upstreams.tries.size(), 1U);
  // Nothing of it was taken when no connection was made: sent elsewhere.
  lab.upstreams.scripts = {refuses(), answers(200)};
  auto again = post(lab, {"x"});
  again->go();
  EXPECT_EQ(again->status(), 200);
}

TEST(ProxyBody, ConnectFailureIsRetriedWithAnyBody) {
  ProxyLab lab;  // Istio's defaults
  lab.random({0});
  lab.upstreams.scripts = {refuses()};
  auto r = post(lab, {std::string(100'000, 'x')});
  r->go();
  EXPECT_EQ(r->status(), 200);
  ASSERT_EQ(lab.upstreams.tries.size(), 2U);
  EXPECT_EQ(lab.upstreams.tries[1]->body.size(), 100'000U);
}

TEST(ProxyBody, NothingIsReadBeforeThereIsAnEndpoint) {
  ProxyLab lab;
  lab.upstreams.otherwise.hold = Hold::kConnect;
  auto r = lab.make("POST");
  r->client.will_send();
  r->client.waits_for_continue = true;
  r->start();
  lab.settle();
  EXPECT_EQ(r->client.continues, 0);
  EXPECT_EQ(r->client.reads, 0);
  lab.upstreams.release();
  lab.settle();
  EXPECT_EQ(r->client.continues, 1);
  r->client.say("x");
  r->client.end();
  r->wait();
  EXPECT_EQ(r->client.continues, 1);
  EXPECT_EQ(r->status(), 200);
}

TEST(ProxyBody, NoContinueWhenRefused) {
  ProxyLab lab(ProxyLab::to_server("    retry: {attempts: 0}\n"));
  lab.upstreams.otherwise = refuses();
  auto r = lab.make("POST");
  r->client.will_send();
  r->client.waits_for_continue = true;
  r->go();
  EXPECT_EQ(r->status(), 503);
  EXPECT_EQ(r->client.continues, 0);
}

TEST(ProxyBody, SlowEndpointSlowsTheClient) {
  ProxyLab lab;
  lab.upstreams.otherwise.hold = Hold::kWrites;
  auto r = lab.make("POST");
  r->client.will_send();
  for (int i = 0; i < 50; ++i) r->client.say("x");
  r->client.end();
  r->start();
  lab.settle();
  EXPECT_LE(r->client.reads, 2);
  r->leave();
}

TEST(ProxyBody, EarlyAnswer) {
  ProxyLab lab;
  lab.upstreams.otherwise = answers(413, true);
  lab.upstreams.otherwise.body = {"too big"};
  auto r = lab.make("POST");
  r->client.will_send();
  r->client.say("some");
  r->go();  // the client never ends
  EXPECT_EQ(r->status(), 413);
  EXPECT_EQ(r->client.received, "too big");
  EXPECT_EQ(lab.last()["response_code"], 413);
  EXPECT_EQ(lab.upstreams.running(), 0U);
}

TEST(ProxyBody, TwoWayStream) {
  // gRPC's bidirectional calls: an answer begins, the request goes on.
  ProxyLab lab;
  lab.upstreams.otherwise = answers(200, true);
  lab.upstreams.otherwise.body = {"first"};
  lab.upstreams.otherwise.hold = Hold::kBody;
  auto r = lab.make("POST");
  r->client.will_send();
  r->start();
  lab.settle();
  EXPECT_EQ(r->client.received, "first");
  r->client.say("later");
  lab.settle();
  EXPECT_EQ(lab.upstreams.tries.at(0)->body, "later");
  r->client.end();
  lab.settle();
  EXPECT_TRUE(lab.upstreams.tries.at(0)->finished);
  lab.upstreams.release();
  r->wait();
  EXPECT_TRUE(r->client.finished);
}

TEST(ProxyBody, BrokenBodyIs400) {
  ProxyLab lab;
  auto r = lab.make("POST");
  r->client.will_send();
  r->client.fail_input(Error(ExchangeErrc::kBadMessage));
  r->go();
  EXPECT_EQ(r->status(), 400);
  EXPECT_EQ(lab.upstreams.running(), 0U);
}

TEST(ProxyBody, SlowClientSlowsTheEndpoint) {
  ProxyLab lab;
  lab.upstreams.otherwise.body = {"a", "b", "c"};
  auto r = lab.make();
  r->client.block(true);
  r->start();
  lab.settle();
  EXPECT_EQ(r->client.received, "");
  EXPECT_FALSE(r->scope.empty());
  r->client.block(false);
  r->wait();
  EXPECT_EQ(r->client.received, "abc");
}

TEST(ProxyBody, ResponseTrailers) {
  ProxyLab lab;
  lab.upstreams.otherwise.body = {"x"};
  lab.upstreams.otherwise.trailers = {{"x-t", "1"}};
  EXPECT_EQ(lab.get()->client.trailers.get("x-t"), "1");
}

TEST(ProxyBody, HeadHasNoBody) {
  ProxyLab lab;
  lab.upstreams.otherwise.headers = {{"content-length", "5"}};
  lab.upstreams.otherwise.body = {"12345"};
  auto r = lab.make("HEAD");
  r->go();
  EXPECT_EQ(r->status(), 200);
  EXPECT_EQ(r->header("content-length"), "5");
  EXPECT_EQ(r->client.received, "");
}

TEST(ProxyUpgrade, TunnelsBothWays) {
  ProxyLab lab;
  lab.upstreams.otherwise.status = 101;
  lab.upstreams.otherwise.body = {"pong"};
  lab.upstreams.otherwise.hold = Hold::kBody;
  auto r = lab.make("GET", "/chat");
  r->client.offers = "websocket";
  r->start();
  lab.settle();
  EXPECT_EQ(r->status(), 101);
  EXPECT_EQ(r->client.response_size.kind, BodySize::Kind::kTunnel);
  EXPECT_EQ(lab.upstreams.tries.at(0)->upgrade, "websocket");
  EXPECT_EQ(r->client.received, "pong");
  r->client.say("ping");
  lab.settle();
  EXPECT_EQ(lab.upstreams.tries.at(0)->body, "ping");
  // Half-close: the client's end is carried over and the endpoint may still end by itself.
  r->client.end();
  lab.settle();
  EXPECT_TRUE(lab.upstreams.tries.at(0)->finished);
  EXPECT_FALSE(r->scope.empty());
  lab.upstreams.release();
  r->wait();
  EXPECT_TRUE(r->client.finished);
  EXPECT_EQ(lab.verdict(), "101 - via_upstream");
  EXPECT_EQ(lab.last()["bytes_received"], 4);
  EXPECT_EQ(lab.last()["bytes_sent"], 4);
}

TEST(ProxyUpgrade, RefusedByTheEndpointIsAnOrdinaryAnswer) {
  ProxyLab lab;
  lab.upstreams.otherwise.status = 426;
  lab.upstreams.otherwise.body = {"no"};
  auto r = lab.make();
  r->client.offers = "websocket";
  r->go();
  EXPECT_EQ(r->status(), 426);
  EXPECT_EQ(r->client.received, "no");
}

TEST(ProxyUpgrade, RouteTimeoutDoesNotEndIt) {
  ProxyLab lab(ProxyLab::to_server("    timeouts: {request: 30ms}\n"));
  lab.upstreams.otherwise.status = 101;
  lab.upstreams.otherwise.hold = Hold::kBody;
  auto r = lab.make();
  r->client.offers = "websocket";
  r->start();
  lab.settle();
  r->client.end();  // half-closed: the request is complete, which starts the route's time
  const Time later = Clock::now() + milliseconds(100);
  culvert::test::run_until(lab.reactor(), [&] { return Clock::now() > later; });
  EXPECT_FALSE(r->scope.empty());
  r->leave();
}

TEST(ProxyMirror, CopyGoesToTheShadow) {
  ProxyLab lab(ProxyLab::to_server(kMirror));
  auto r = post(lab, {"one ", "two"});
  r->go();
  EXPECT_EQ(r->status(), 200);
  lab.settle();
  ASSERT_EQ(lab.upstreams.tries.size(), 2U);
  int shadows = 0;
  for (const auto& seen : lab.upstreams.tries) {
    EXPECT_EQ(seen->body, "one two");
    if (seen->address != kCanary) continue;
    ++shadows;
    EXPECT_EQ(seen->head.authority, "server.demo-shadow");
    EXPECT_EQ(seen->head.method, "POST");
  }
  EXPECT_EQ(shadows, 1);
  EXPECT_EQ(lab.log().size(), 1U);
  EXPECT_EQ(lab.upstreams.running(), 0U);
}

TEST(ProxyMirror, NeverDelaysAndItsFailureIsNobodys) {
  for (const bool fails : {false, true}) {
    ProxyLab lab(ProxyLab::to_server(kMirror));
    Script shadow = answers(500);
    if (fails)
      shadow = refuses();
    else
      shadow.hold = Hold::kResponse;
    // Whichever is opened first: both are told apart by address afterwards.
    lab.upstreams.otherwise = answers(200);
    lab.upstreams.by_address[kCanary] = shadow;
    EXPECT_EQ(lab.get()->status(), 200);
    EXPECT_EQ(lab.verdict(), "200 - via_upstream");
    EXPECT_EQ(lab.proxy().context().mirrors.running(), fails ? 0U : 1U);
    lab.upstreams.release();
    lab.settle();
    EXPECT_EQ(lab.proxy().context().mirrors.running(), 0U);
  }
}

TEST(ProxyMirror, LongBodiesAreNotMirrored) {
  for (const size_t over : {size_t{0}, size_t{1}}) {
    ProxyLab lab(ProxyLab::to_server(kMirror));
    auto r = post(lab, {std::string(Mirrors::kMaxBody, 'x'), std::string(over, 'y')});
    r->go();
    lab.settle();
    EXPECT_EQ(r->status(), 200);
    EXPECT_EQ(lab.upstreams.tries.size(), over == 0 ? 2U : 1U);
    for (const auto& seen : lab.upstreams.tries)
      EXPECT_EQ(seen->body.size(), Mirrors::kMaxBody + over);
  }
}

TEST(ProxyMirror, LimitOfRunningOnes) {
  ProxyLab lab(ProxyLab::to_server(kMirror));
  Script hangs;
  hangs.hold = Hold::kResponse;
  lab.upstreams.by_address[kCanary] = hangs;
  for (size_t i = 0; i < Mirrors::kMaxRunning + 5; ++i) EXPECT_EQ(lab.get()->status(), 200);
  EXPECT_EQ(lab.proxy().context().mirrors.running(), Mirrors::kMaxRunning);
}

TEST(ProxyMirror, Percentage) {
  ProxyLab lab(ProxyLab::to_server(
      "    filters:\n"
      "    - type: RequestMirror\n"
      "      requestMirror: {backendRef: {name: canary, port: 80}, percent: 10}\n"));
  lab.worker().random = std::make_unique<test::Seeded>();
  for (int i = 0; i < 1000; ++i) lab.get();
  int shadows = 0;
  for (const auto& seen : lab.upstreams.tries) shadows += seen->address == kCanary ? 1 : 0;
  EXPECT_NEAR(shadows, 100, 35);
}

TEST(ProxyMirror, ShadowHost) {
  EXPECT_EQ(shadow_host("a.example:80"), "a.example-shadow:80");
  EXPECT_EQ(shadow_host("a.example"), "a.example-shadow");
  EXPECT_EQ(shadow_host("10.0.0.1:80"), "10.0.0.1-shadow:80");
}

}  // namespace
}  // namespace culvert::waypoint
