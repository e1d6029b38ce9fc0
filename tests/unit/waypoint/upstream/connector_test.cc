#include "waypoint/upstream/connector.h"

#include "tests/support/loop.h"
#include "tests/support/test_ca.h"
#include "tests/unit/waypoint/upstream/node.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

// Requests and raw streams all the way: codec, connection pool, tunnel, TLS, loopback.
namespace culvert::waypoint {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;

class ConnectorTest : public ::testing::Test {
 protected:
  ConnectorTest() {
    worker_.credential = ca_.credential(test::spiffe("demo", "waypoint"));
    node_ = std::make_unique<Node>(worker_, ca_.credential(test::spiffe("demo", "server")));
    connector_.emplace(worker_);
    Endpoint endpoint;
    endpoint.address = {net::IpAddress::parse("10.1.2.3").value(), 8080};
    endpoint.node = node_->address();
    endpoint.identity = test::identity("demo", "server");
    service_->name = "inbound-vip|80|http|server.demo.svc.cluster.local";
    service_->set_endpoints({endpoint});
  }

  static Time soon() { return Clock::now() + seconds(5); }
  Upstreams::Exchange open(bool http2) {
    auto opened = test::run(worker_.reactor,
                            connector_->open(service_, service_->endpoints[0], http2, soon()));
    EXPECT_TRUE(opened) << opened.error().message();
    return opened ? std::move(*opened) : Upstreams::Exchange{};
  }
  // One request; its status.
  int get(ClientExchange& exchange) { return test::run(worker_.reactor, request(exchange)); }
  static net::Task<int> request(ClientExchange& exchange) {
    http::RequestHead head;
    head.method = "GET";
    head.path = "/";
    head.authority = "server.demo";
    const std::string no_upgrade;
    if (!co_await exchange.send(head, {}, no_upgrade, soon())) co_return -1;
    const auto response = co_await exchange.response(soon());
    co_return response ? response->status : -2;
  }

  test::TestCa ca_;
  MemoryAccount memory_{"the process", uint64_t{1} << 30};
  Worker worker_{tls::Options{}, memory_};
  std::unique_ptr<Node> node_;
  std::optional<Connector> connector_;
  std::shared_ptr<Upstream> service_ = std::make_shared<Upstream>();
};

TEST_F(ConnectorTest, Http1RequestsReuseTheirConnection) {
  node_->app = Node::App::kHttp1;
  for (int i = 1; i <= 3; ++i) {
    const auto opened = open(false);
    EXPECT_EQ(opened.upstream_host, "10.1.2.3:8080");
    EXPECT_THAT(node_->peers, ElementsAre(opened.local_address));
    EXPECT_THAT(connector_->active(*service_), ElementsAre(1));
    EXPECT_EQ(get(*opened.exchange), 200);
    EXPECT_EQ(node_->served, i);
  }
  EXPECT_THAT(node_->requests, ElementsAre("CONNECT 10.1.2.3:8080"));
  EXPECT_THAT(connector_->active(*service_), ElementsAre(0));
}

TEST_F(ConnectorTest, AnHttp1ExchangeThatIsGivenUpTakesItsConnectionAlong) {
  node_->app = Node::App::kHttp1;
  {
    const auto unused = open(false);
  }
  const auto next = open(false);
  EXPECT_EQ(get(*next.exchange), 200);
  auto other = open(false);
  other.exchange->reset();
  other.exchange.reset();
  const auto third = open(false);
  EXPECT_EQ(get(*third.exchange), 200);
}

TEST_F(ConnectorTest, Http2RequestsShareOneConnection) {
  node_->app = Node::App::kHttp2;
  const auto one = open(true), two = open(true);
  EXPECT_THAT(connector_->active(*service_), ElementsAre(2));
  EXPECT_EQ(get(*two.exchange), 200);
  EXPECT_EQ(get(*one.exchange), 200);
  EXPECT_THAT(node_->requests, ElementsAre("CONNECT 10.1.2.3:8080"));
}

TEST_F(ConnectorTest, AConnectionTheServerLostIsReplaced) {
  node_->app = Node::App::kHttp1;
  {
    const auto opened = open(false);
    EXPECT_EQ(get(*opened.exchange), 200);
  }
  const auto endpoint = node_->address();
  node_->lose_tunnels();
  ASSERT_EQ(node_->address(), endpoint);
  // The pool may not have heard of it yet, and then the request may be sent again.
  for (int i = 0; i < 20; ++i) worker_.reactor.turn(std::chrono::milliseconds(1));
  const auto next = open(false);
  EXPECT_EQ(get(*next.exchange), 200);
  EXPECT_EQ(node_->tunnels, 2);
}

TEST_F(ConnectorTest, RawStreamsCountWhileTheyLive) {
  auto opened =
      test::run(worker_.reactor, connector_->open_raw(service_, service_->endpoints[0], soon()));
  ASSERT_TRUE(opened) << opened.error().message();
  EXPECT_EQ(opened->upstream_host, "10.1.2.3:8080");
  EXPECT_THAT(connector_->active(*service_), ElementsAre(1));
  opened->stream.reset();
  EXPECT_THAT(connector_->active(*service_), ElementsAre(0));
}

TEST_F(ConnectorTest, ARawStreamThatFailsLeavesNoCount) {
  node_->status = "503";
  auto opened =
      test::run(worker_.reactor, connector_->open_raw(service_, service_->endpoints[0], soon()));
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ExchangeErrc::kConnectFailed);
  EXPECT_THAT(connector_->active(*service_), ElementsAre(0));
}

}  // namespace
}  // namespace culvert::waypoint
