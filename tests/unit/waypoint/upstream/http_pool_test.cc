#include "tests/unit/waypoint/upstream/pool_fixture.h"

#include <gmock/gmock.h>

// Which connection a request gets, and how long connections are kept.
namespace culvert::waypoint {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

using HttpPoolTest = PoolTest;

TEST_F(HttpPoolTest, ARequestGetsAConnectionAndTheNextOneReusesIt) {
  const auto service = upstream(1);
  Request& first = open(service);
  ASSERT_TRUE(first.open());
  EXPECT_EQ(first.host, "10.0.0.1:8080");
  EXPECT_EQ(first.local_address, "10.9.9.9:40001");
  EXPECT_EQ(pool_.idle(), 0U);
  end(first);
  EXPECT_EQ(pool_.idle(), 1U);
  Request& second = open(service);
  ASSERT_TRUE(second.open());
  EXPECT_EQ(second.local_address, "10.9.9.9:40001");
  EXPECT_EQ(dials_, 1);
  EXPECT_EQ(pool_.idle(), 0U);
}

TEST_F(HttpPoolTest, Http1CarriesOneExchangeAtATimeTheLastUsedFirst) {
  const auto service = upstream(1);
  Request& one = open(service);
  Request& two = open(service);
  EXPECT_EQ(dials_, 2);
  end(two);
  end(one);
  EXPECT_EQ(pool_.idle(), 2U);
  EXPECT_EQ(open(service).local_address, "10.9.9.9:40001");
  EXPECT_EQ(open(service).local_address, "10.9.9.9:40002");
  EXPECT_EQ(dials_, 2);
}

TEST_F(HttpPoolTest, AConnectionThatIsNotUsableAfterItsExchangeIsClosed) {
  const auto service = upstream(1);
  Request& request = open(service);
  request.exchange->reset();
  end(request);
  EXPECT_TRUE(peers_.front().destroyed);
  EXPECT_EQ(pool_.idle(), 0U);
  EXPECT_TRUE(open(service).open());
  EXPECT_EQ(dials_, 2);
}

TEST_F(HttpPoolTest, AnIdleConnectionTheServerClosedIsNotUsed) {
  const auto service = upstream(1);
  Request& one = open(service);
  Request& two = open(service);
  end(one);
  end(two);
  peers_.back().open = false;
  EXPECT_EQ(open(service).local_address, "10.9.9.9:40001");
  EXPECT_TRUE(peers_.back().destroyed);
}

TEST_F(HttpPoolTest, ConnectionsAreSharedOnlyByThoseWhoReachTheSameEndpointTheSameWay) {
  const auto service = upstream(2);
  end(open(service, 0));
  end(open(service, 1));
  EXPECT_EQ(dials_, 2);
  end(open(service, 0, true));  // another protocol
  EXPECT_EQ(dials_, 3);
  const auto renewed = upstream(2);  // another pod has got the address
  auto endpoints = renewed->endpoints;
  endpoints[0].identity = state::Identity{"cluster.local", "demo", "other"};
  renewed->set_endpoints(endpoints);
  end(open(renewed, 0));
  EXPECT_EQ(dials_, 4);
  endpoints[0].node.port = 1;
  renewed->set_endpoints(endpoints);
  end(open(renewed, 0));
  EXPECT_EQ(dials_, 5);
  endpoints[0].tunnel = Tunnel::kPlain;
  renewed->set_endpoints(endpoints);
  end(open(renewed, 0));
  EXPECT_EQ(dials_, 6);
  auto other = upstream(2);
  other->name = "another service on the same pod";
  end(open(other, 0));
  EXPECT_EQ(dials_, 7);
  end(open(service, 0));  // and the first one is still there
  EXPECT_EQ(dials_, 7);
}

TEST_F(HttpPoolTest, Http2CarriesManyUntilItsRoomIsUsed) {
  room_ = 2;
  const auto service = upstream(1);
  Request& one = open(service, 0, true);
  Request& two = open(service, 0, true);
  EXPECT_EQ(dials_, 1);
  Request& three = open(service, 0, true);
  EXPECT_EQ(dials_, 2);
  EXPECT_TRUE(three.open());
  end(one);
  EXPECT_EQ(open(service, 0, true).local_address, "10.9.9.9:40001");
  EXPECT_EQ(dials_, 2);
  end(three);
  EXPECT_EQ(pool_.idle(), 1U);
  end(two);
  EXPECT_EQ(pool_.idle(), 1U);
}

TEST_F(HttpPoolTest, Http2OpensOneConnectionHoweverManyAsk) {
  hold_ = true;
  const auto service = upstream(1);
  for (int i = 0; i < 5; ++i) open(service, 0, true);
  EXPECT_EQ(dials_, 1);
  release_dials();
  EXPECT_EQ(dials_, 1);
  for (const Request& request : requests_) EXPECT_TRUE(request.open());
}

TEST_F(HttpPoolTest, WhoFindsNoRoomOnANewHttp2ConnectionOpensTheNext) {
  hold_ = true;
  room_ = 2;
  const auto service = upstream(1);
  for (int i = 0; i < 5; ++i) open(service, 0, true);
  release_dials();
  EXPECT_EQ(dials_, 3);
  for (const Request& request : requests_) EXPECT_TRUE(request.open());
}

TEST_F(HttpPoolTest, AllWhoWaitForAnHttp2ConnectionLearnWhyItFailed) {
  hold_ = refuse_ = true;
  const auto service = upstream(1);
  for (int i = 0; i < 3; ++i) open(service, 0, true);
  release_dials();
  EXPECT_EQ(dials_, 1);
  for (const Request& request : requests_) {
    ASSERT_TRUE(request.error);
    EXPECT_EQ(request.error->code, ExchangeErrc::kConnectFailed);
    EXPECT_THAT(request.error->message(), HasSubstr("refused by the test"));
  }
  // A later request is not held to that.
  refuse_ = false;
  EXPECT_TRUE(open(service, 0, true).open());
}

TEST_F(HttpPoolTest, WhenTheOneThatOpensIsGoneAnotherTakesOver) {
  hold_ = true;
  const auto service = upstream(1);
  Request& first = open(service, 0, true);
  Request& second = open(service, 0, true);
  end(first);
  EXPECT_EQ(dials_, 2);
  EXPECT_EQ(dialling_, 1);
  release_dials();
  EXPECT_TRUE(second.open());
}

TEST_F(HttpPoolTest, ATimeoutOfOneIsNotTheTimeoutOfAll) {
  hold_ = true;
  const auto service = upstream(1);
  Request& hasty = open(service, 0, true, Clock::now() + milliseconds(20));
  Request& patient = open(service, 0, true);
  Request& waiter = open(service, 0, true, Clock::now() + milliseconds(20));
  ASSERT_TRUE(test::run_until(reactor_, [&] { return hasty.done && waiter.done; }));
  EXPECT_EQ(hasty.error->code, culvert::Errc::kTimedOut);
  EXPECT_EQ(waiter.error->code, culvert::Errc::kTimedOut);
  EXPECT_FALSE(patient.done);
  EXPECT_EQ(dialling_, 1);
  release_dials();
  EXPECT_TRUE(patient.open());
}

TEST_F(HttpPoolTest, AConnectionClosedAtOnceIsNoConnection) {
  dead_ = true;
  const Request& request = open(upstream(1));
  ASSERT_TRUE(request.error);
  EXPECT_EQ(request.error->code, ExchangeErrc::kConnectFailed);
  EXPECT_THAT(request.error->message(), HasSubstr("10.0.0.1:8080"));
  EXPECT_TRUE(peers_.front().destroyed);
}

TEST_F(HttpPoolTest, IdleConnectionsGoAfterTheirTimeAndWithThemAllThatIsKnown) {
  UpstreamLimits limits;
  limits.idle_timeout = milliseconds(30);
  const auto service = upstream(1, limits);
  const Time start = Clock::now();
  end(open(service));
  EXPECT_EQ(pool_.idle(), 1U);
  EXPECT_EQ(pool_.upstreams(), 1U);
  ASSERT_TRUE(test::run_until(reactor_, [&] { return peers_.front().destroyed; }));
  EXPECT_GE(Clock::now() - start, milliseconds(30));
  EXPECT_EQ(pool_.idle(), 0U);
  EXPECT_EQ(pool_.upstreams(), 0U);
}

TEST_F(HttpPoolTest, IdlenessEndsOnlyWhatIsIdle) {
  UpstreamLimits limits;
  limits.idle_timeout = milliseconds(30);
  const auto service = upstream(2, limits);
  end(open(service, 0));
  Request& busy = open(service, 0);
  EXPECT_EQ(dials_, 1);
  end(open(service, 1));
  ASSERT_TRUE(test::run_until(reactor_, [&] { return peers_.back().destroyed; }));
  EXPECT_FALSE(peers_.front().destroyed);
  EXPECT_THAT(pool_.active(*service), ElementsAre(1, 0));
  end(busy);
  EXPECT_EQ(pool_.idle(), 1U);
}

TEST_F(HttpPoolTest, NoMoreIdleConnectionsAreKeptThanTheBound) {
  const auto service = upstream(1);
  for (size_t i = 0; i < HttpPool::kMaxIdle; ++i) open(service);
  requests_.clear();
  EXPECT_EQ(pool_.idle(), HttpPool::kMaxIdle);
  EXPECT_FALSE(peers_.front().destroyed);
  auto other = upstream(1);
  other->name = "other";
  end(open(other));
  EXPECT_EQ(pool_.idle(), HttpPool::kMaxIdle);
  EXPECT_TRUE(peers_.front().destroyed) << "the longest unused one goes";
  EXPECT_FALSE(peers_.back().destroyed);
}

TEST_F(HttpPoolTest, DrainingClosesWhatIsIdleAndKeepsNothingAfterItsUse) {
  const auto service = upstream(1);
  Request& running = open(service);
  end(open(service));
  Request& stream = open(service, 0, true);
  pool_.drain();
  EXPECT_EQ(pool_.idle(), 0U);
  EXPECT_FALSE(peers_.front().destroyed);
  end(running);
  EXPECT_TRUE(peers_.front().destroyed);
  end(stream);
  EXPECT_TRUE(peers_.back().destroyed);
  // A request that was accepted before is served.
  Request& late = open(service);
  EXPECT_TRUE(late.open());
  end(late);
  EXPECT_EQ(pool_.idle(), 0U);
}

}  // namespace
}  // namespace culvert::waypoint
