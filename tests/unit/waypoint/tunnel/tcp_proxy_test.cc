#include "tests/unit/waypoint/request/proxy_lab.h"
#include "waypoint/tunnel/tcp_relay.h"

namespace culvert::waypoint {
namespace {

using std::chrono::milliseconds;
using test::ProxyLab;
using test::StreamEnd;
using test::StreamEndPtr;

struct Connection {
  explicit Connection(ProxyLab& of, std::string authority = "10.96.1.10:5432")
      : lab(of), client(std::make_shared<StreamEnd>(of.reactor())), scope(of.reactor()) {
    scope.spawn(serve_tcp(lab.worker(), lab.upstreams, lab.telemetry(),
                          lab.tunnel(std::move(authority)), culvert::test::make_stream(client)));
    lab.settle();
  }
  void wait() {
    culvert::test::run_until(lab.reactor(), [&] { return scope.empty(); });
  }
  StreamEnd& server() { return *lab.upstreams.raws.at(0); }
  ProxyLab& lab;
  StreamEndPtr client;
  net::Scope scope;
};

std::string deny_port(const char* port) {
  return "authorizationPolicies:\n"
         "- name: no-db\n"
         "  action: DENY\n"
         "  targetRefs: [{kind: Service, name: server}]\n"
         "  rules: [{to: [{operation: {ports: [\"" +
         std::string(port) + "\"]}}]}]\n";
}

uint64_t counted(ProxyLab& lab, const char* name) {
  uint64_t sum = 0;
  for (const auto& series : lab.metric(name)) sum += series.count;
  return sum;
}

TEST(TcpProxy, BothWaysWithHalfClose) {
  ProxyLab lab;
  Connection c(lab);
  ASSERT_EQ(lab.upstreams.raws.size(), 1U) << "connected before anybody spoke";
  c.server().say("banner");
  lab.settle();
  EXPECT_EQ(c.client->output, "banner");
  c.client->say("hello");
  c.client->end();
  lab.settle();
  EXPECT_EQ(c.server().output, "hello");
  EXPECT_TRUE(c.server().output_ended);
  EXPECT_FALSE(c.client->output_ended);
  c.server().say(" bye");
  c.server().end();
  c.wait();
  EXPECT_EQ(c.client->output, "banner bye");
  EXPECT_TRUE(c.client->output_ended);
  EXPECT_FALSE(c.client->reset);
  EXPECT_FALSE(c.server().reset);
  ASSERT_EQ(lab.log().size(), 1U);
  const auto line = lab.last();
  EXPECT_EQ(line["response_code"], 0);
  EXPECT_EQ(line["response_flags"], "-");
  EXPECT_EQ(line["bytes_received"], 5);
  EXPECT_EQ(line["bytes_sent"], 10);
  EXPECT_EQ(line["downstream_local_address"], "10.96.1.10:5432");
  EXPECT_EQ(line["downstream_remote_address"], "10.244.1.10:50000");
  EXPECT_EQ(line["upstream_local_address"], "10.244.1.30:40000");
  EXPECT_EQ(line["upstream_cluster"], "inbound-vip|5432|tcp|server.demo.svc.cluster.local");
  EXPECT_TRUE(line["method"].is_null());
}

TEST(TcpProxy, Counters) {
  ProxyLab lab;
  Connection c(lab);
  EXPECT_EQ(counted(lab, "istio_tcp_connections_opened_total"), 1U);
  EXPECT_EQ(counted(lab, "istio_tcp_connections_closed_total"), 0U);
  c.client->say("12345");
  c.server().say("123");
  lab.settle();
  EXPECT_EQ(counted(lab, "istio_tcp_received_bytes_total"), 5U);  // while it lives
  EXPECT_EQ(counted(lab, "istio_tcp_sent_bytes_total"), 3U);
  c.client->end();
  c.server().end();
  c.wait();
  const auto closed = lab.metric("istio_tcp_connections_closed_total");
  ASSERT_EQ(closed.size(), 1U);
  EXPECT_EQ(closed[0].count, 1U);
  const auto& labels = closed[0].labels;
  EXPECT_EQ(labels.at("reporter"), "waypoint");
  EXPECT_EQ(labels.at("request_protocol"), "tcp");
  EXPECT_EQ(labels.at("response_flags"), "-");
  EXPECT_EQ(labels.at("source_principal"), test::kClientId);
  EXPECT_EQ(labels.at("destination_workload"), "server");
  EXPECT_EQ(labels.at("destination_service"), "server.demo.svc.cluster.local");
  EXPECT_FALSE(labels.contains("response_code"));
}

TEST(TcpProxy, DeniedIsResetAndGoesNowhere) {
  ProxyLab lab(deny_port("5432"));
  Connection c(lab);
  c.wait();
  EXPECT_TRUE(c.client->reset);
  EXPECT_TRUE(lab.upstreams.raws.empty());
  EXPECT_NE(
      lab.last().dump().find("rbac_access_denied_matched_policy[ns[demo]-policy[no-db]-rule[0]]"),
      std::string::npos)
      << lab.last().dump();
  EXPECT_EQ(counted(lab, "istio_tcp_connections_closed_total"), 1U);
}

TEST(TcpProxy, OtherPortsAreAllowed) {
  ProxyLab lab(deny_port("80"));
  Connection c(lab);
  EXPECT_EQ(lab.upstreams.raws.size(), 1U);
}

TEST(TcpProxy, ConnectFailure) {
  ProxyLab lab;
  lab.upstreams.raw_error = Error(ExchangeErrc::kConnectFailed, "refused");
  Connection c(lab);
  c.wait();
  EXPECT_TRUE(c.client->reset);
  EXPECT_EQ(lab.last()["response_flags"], "UF,URX");  // as Envoy: the one attempt is all
}

TEST(TcpProxy, Overflow) {
  ProxyLab lab;
  lab.upstreams.raw_error = Error(ExchangeErrc::kOverflow);
  Connection c(lab);
  c.wait();
  EXPECT_TRUE(c.client->reset);
  EXPECT_EQ(lab.last()["response_flags"], "UO");
}

TEST(TcpProxy, DirectWorkload) {
  ProxyLab lab;
  Connection c(lab, "10.244.1.12:7777");
  ASSERT_EQ(lab.upstreams.raws.size(), 1U);
  c.scope.cancel();
  EXPECT_EQ(lab.last()["upstream_host"], "10.244.1.12:7777");
}

TEST(TcpProxy, NoEndpoint) {
  ProxyLab lab(
      "tcpRoutes:\n- name: t\n  parentRefs: [{kind: Service, name: server, port: 5432}]\n"
      "  backendRefs: [{name: empty, port: 80}]\n");
  Connection c(lab);
  c.wait();
  EXPECT_TRUE(c.client->reset);
  EXPECT_EQ(lab.last()["response_flags"], "UH");
}

TEST(TcpProxy, FailuresResetTheOtherSide) {
  for (const bool client_fails : {false, true}) {
    ProxyLab lab;
    Connection c(lab);
    (client_fails ? *c.client : c.server()).fail();
    c.wait();
    EXPECT_TRUE((client_fails ? c.server() : *c.client).reset);
    EXPECT_TRUE(c.client->destroyed && c.server().destroyed);
    EXPECT_EQ(counted(lab, "istio_tcp_connections_closed_total"), 1U);
    EXPECT_EQ(lab.log().size(), 1U);
  }
}

TEST(TcpProxy, IdleTimeout) {
  ProxyLab lab("", "", "  trafficPolicy: {idleTimeout: 40ms}\n");
  Connection c(lab);
  const Time before = Clock::now();
  c.client->say("x");
  c.wait();
  EXPECT_GE(Clock::now() - before, milliseconds(39));
  EXPECT_EQ(c.server().output, "x");
  EXPECT_TRUE(c.client->reset && c.server().reset);
  EXPECT_EQ(lab.log().size(), 1U);
}

TEST(TcpProxy, DestroyedAtEachStage) {
  {
    ProxyLab lab;
    lab.upstreams.raw_hold = true;
    Connection c(lab);
    c.scope.cancel();
    EXPECT_TRUE(c.client->reset);
  }
  ProxyLab lab;
  Connection c(lab);
  c.client->say("x");
  lab.settle();
  c.scope.cancel();
  EXPECT_TRUE(c.client->reset && c.server().reset);
  EXPECT_EQ(lab.log().size(), 1U);
  EXPECT_EQ(counted(lab, "istio_tcp_connections_closed_total"), 1U);
}

// A relay between two scripted streams.
class TcpRelayTest : public testing::Test {
 protected:
  // Begins, and goes as far as it can.
  void start() {
    scope.spawn(keep(*this));
    for (int i = 0; i < 20; ++i) reactor.turn(Duration::zero());
  }
  std::optional<TcpRelay::End> finish() {
    culvert::test::run_until(reactor, [&] { return end.has_value(); });
    return end;
  }
  static net::Task<> keep(TcpRelayTest& test) { test.end = co_await test.relay.run(); }

  net::Reactor reactor;
  const std::shared_ptr<StreamEnd> client = std::make_shared<StreamEnd>(reactor);
  const std::shared_ptr<StreamEnd> server = std::make_shared<StreamEnd>(reactor);
  const std::unique_ptr<net::ByteStream> a = culvert::test::make_stream(client);
  const std::unique_ptr<net::ByteStream> b = culvert::test::make_stream(server);
  TcpRelay relay{reactor, *a, *b, milliseconds(0)};
  std::optional<TcpRelay::End> end;
  net::Scope scope{reactor};
};

TEST_F(TcpRelayTest, EachAsFastAsItsReceiver) {
  server->block(true);
  for (int i = 0; i < 10; ++i) client->say("x");
  start();
  EXPECT_GE(client->input.size(), 9U);
  server->say("other way");  // goes on meanwhile
  for (int i = 0; i < 20; ++i) reactor.turn(Duration::zero());
  EXPECT_EQ(client->output, "other way");
  server->block(false);
  client->end();
  server->end();
  EXPECT_EQ(finish(), TcpRelay::End::kClosed);
  EXPECT_EQ(server->output, "xxxxxxxxxx");
  EXPECT_EQ(relay.from_client(), 10U);
  EXPECT_EQ(relay.from_server(), 9U);
}

// The server answers and closes while the client goes on sending, and the client reads late.
TEST_F(TcpRelayTest, AnAnswerIsCarriedToItsEndThoughNothingMoreIsTaken) {
  server->say("the ");
  server->say("answer");
  server->end();
  server->takes_no_more = true;
  client->block(true);
  client->say("request");
  start();
  client->block(false);
  EXPECT_EQ(finish(), TcpRelay::End::kClosed);
  EXPECT_EQ(client->output, "the answer");
  EXPECT_TRUE(client->output_ended);
  EXPECT_FALSE(client->reset);
}

// The same, but its answer does not end.
TEST_F(TcpRelayTest, AFailureBehindAnAnswerIsAFailure) {
  server->takes_no_more = true;
  client->say("request");
  start();
  server->fail();
  EXPECT_EQ(finish(), TcpRelay::End::kServerFailed);
  EXPECT_TRUE(client->reset);
}

TEST(TcpRelay, NamesWhoFailed) {
  for (const bool client_fails : {false, true}) {
    net::Reactor reactor;
    auto client = std::make_shared<StreamEnd>(reactor);
    auto server = std::make_shared<StreamEnd>(reactor);
    const auto a = culvert::test::make_stream(client);
    const auto b = culvert::test::make_stream(server);
    TcpRelay relay(reactor, *a, *b, milliseconds(0));
    (client_fails ? client : server)->fail();
    EXPECT_EQ(culvert::test::run(reactor, relay.run()),
              client_fails ? TcpRelay::End::kClientFailed : TcpRelay::End::kServerFailed);
    EXPECT_TRUE((client_fails ? server : client)->reset);
  }
}

}  // namespace
}  // namespace culvert::waypoint
