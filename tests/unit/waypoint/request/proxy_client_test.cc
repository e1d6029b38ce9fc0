#include "tests/unit/waypoint/request/proxy_lab.h"

// Clients that go away, or whose requests break, at each stage.
namespace culvert::waypoint {
namespace {

using test::Hold;
using test::ProxyLab;

TEST(ProxyClient, ClientGoneAtEachStage) {
  for (const Hold where : {Hold::kConnect, Hold::kWrites, Hold::kResponse, Hold::kBody}) {
    ProxyLab lab;
    lab.upstreams.otherwise.hold = where;
    lab.upstreams.otherwise.body = {"part"};
    auto r = lab.make("POST");
    r->client.will_send();
    r->client.say("question");
    r->client.end();
    r->start();
    lab.settle();
    ASSERT_FALSE(r->scope.empty());
    EXPECT_TRUE(lab.log().empty());
    r->leave();
    lab.settle();
    ASSERT_EQ(lab.log().size(), 1U);
    EXPECT_EQ(lab.last()["response_flags"], "DC") << static_cast<int>(where);
    EXPECT_EQ(lab.last()["response_code_details"], "downstream_remote_disconnect");
    EXPECT_EQ(lab.last()["response_code"], where == Hold::kBody ? 200 : 0);
    EXPECT_EQ(lab.upstreams.running(), 0U);
    const auto counted = lab.metric("istio_requests_total");
    ASSERT_EQ(counted.size(), 1U);
    EXPECT_EQ(counted[0].labels.at("response_flags"), "DC");
  }
}

TEST(ProxyClient, ClientGoneWithinTheBackoffAndWithinItsBody) {
  ProxyLab lab(ProxyLab::to_server("    retry: {attempts: 3, backoff: 10s, retryOn: 5xx}\n"));
  lab.random({9'999'999});
  lab.upstreams.otherwise.status = 503;
  auto r = lab.make();
  r->start();
  lab.settle();
  r->leave();
  EXPECT_EQ(lab.last()["response_flags"], "DC");
  auto sends = lab.make("POST");
  sends->client.will_send();
  sends->client.say("part");
  sends->start();
  lab.settle();
  sends->leave();
  EXPECT_EQ(lab.log().size(), 2U);
  EXPECT_EQ(lab.last()["bytes_received"], 4);
  EXPECT_EQ(lab.upstreams.running(), 0U);
}

TEST(ProxyClient, ClientThatFailsToTakeTheAnswer) {
  ProxyLab lab;
  lab.upstreams.otherwise.body = {"part"};
  auto r = lab.make();
  r->client.write_error = Error(ExchangeErrc::kConnectionLost);
  r->go();
  EXPECT_EQ(lab.last()["response_flags"], "DC");
  EXPECT_EQ(lab.upstreams.running(), 0U);
}

TEST(ProxyClient, BodyThatBreaks) {
  struct Case {
    ExchangeErrc error;
    int status;
    const char* verdict;
  };
  const Case cases[] = {
      {ExchangeErrc::kBadMessage, 400, "400 DPE codec_error"},
      {ExchangeErrc::kTooLarge, 413, "413 - request_payload_too_large"},
      {ExchangeErrc::kPeerReset, -1, "0 DC downstream_remote_disconnect"},
      {ExchangeErrc::kConnectionLost, -1, "0 DC downstream_remote_disconnect"},
  };
  for (const Case& c : cases) {
    ProxyLab lab;
    auto r = lab.make("POST");
    r->client.will_send();
    r->client.say("part");
    r->client.fail_input(Error(c.error));
    r->go();
    EXPECT_EQ(r->status(), c.status);
    EXPECT_EQ(r->client.was_reset, c.status < 0);
    EXPECT_EQ(lab.verdict(), c.verdict);
    EXPECT_EQ(lab.upstreams.running(), 0U);
    EXPECT_EQ(lab.upstreams.tries.size(), 1U);
    EXPECT_FALSE(lab.upstreams.tries[0]->finished);
  }
}

TEST(ProxyClient, BodyThatBreaksAfterTheAnswerBegan) {
  ProxyLab lab;
  lab.upstreams.otherwise.early = true;
  lab.upstreams.otherwise.body = {"part"};
  lab.upstreams.otherwise.hold = Hold::kBody;
  auto r = lab.make("POST");
  r->client.will_send();
  r->start();
  lab.settle();
  EXPECT_EQ(r->client.received, "part");
  r->client.fail_input(Error(ExchangeErrc::kBadMessage));
  r->wait();
  EXPECT_TRUE(r->client.was_reset);
  EXPECT_EQ(lab.verdict(), "200 DPE codec_error");
}

TEST(ProxyClient, GoneWhileALocalAnswerIsWritten) {
  ProxyLab lab(ProxyLab::route("  - backendRefs: [{name: empty, port: 80}]\n"));
  auto r = lab.make();
  r->client.block(true);
  r->start();
  lab.settle();
  r->leave();
  EXPECT_EQ(lab.verdict(), "503 UH,DC downstream_remote_disconnect");
}

TEST(ProxyClient, GoneInATunnel) {
  ProxyLab lab;
  lab.upstreams.otherwise.status = 101;
  lab.upstreams.otherwise.hold = Hold::kBody;
  auto r = lab.make();
  r->client.offers = "websocket";
  r->start();
  lab.settle();
  r->leave();
  EXPECT_EQ(lab.verdict(), "101 DC downstream_remote_disconnect");
  EXPECT_EQ(lab.upstreams.running(), 0U);
}

}  // namespace
}  // namespace culvert::waypoint
