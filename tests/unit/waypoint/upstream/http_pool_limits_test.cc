#include "tests/unit/waypoint/upstream/pool_fixture.h"

#include <gmock/gmock.h>

// Limits of an upstream, exactly, and the count of what runs.
namespace culvert::waypoint {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class HttpPoolLimitsTest : public PoolTest {
 protected:
  static void expect_overflow(const Request& request, const std::string& text) {
    ASSERT_TRUE(request.error);
    EXPECT_EQ(request.error->code, ExchangeErrc::kOverflow);
    EXPECT_THAT(request.error->message(), HasSubstr(text));
  }
};

TEST_F(HttpPoolLimitsTest, RequestsAtATime) {
  UpstreamLimits limits;
  limits.max_requests = 2;
  const auto service = upstream(1, limits);
  Request& one = open(service);
  EXPECT_TRUE(one.open());
  EXPECT_TRUE(open(service).open());
  expect_overflow(open(service), "2 requests are running");
  end(one);
  EXPECT_TRUE(open(service).open());
}

TEST_F(HttpPoolLimitsTest, ConnectionsAtATimeAndTheRestWaits) {
  UpstreamLimits limits;
  limits.max_connections = 2;
  const auto service = upstream(1, limits);
  Request& one = open(service);
  Request& two = open(service);
  Request& three = open(service);
  EXPECT_TRUE(one.open() && two.open());
  EXPECT_FALSE(three.done);
  end(two);
  EXPECT_TRUE(three.open());
  EXPECT_EQ(three.local_address, "10.9.9.9:40002");
  EXPECT_EQ(dials_, 2);
  // A connection that ends makes room for another.
  Request& four = open(service);
  EXPECT_FALSE(four.done);
  one.exchange->reset();
  end(one);
  EXPECT_TRUE(four.open());
  EXPECT_EQ(dials_, 3);
}

TEST_F(HttpPoolLimitsTest, IdleConnectionsToOtherEndpointsMakeWay) {
  UpstreamLimits limits;
  limits.max_connections = 1;
  const auto service = upstream(2, limits);
  auto other = upstream(1);
  other->name = "other";
  end(open(other));
  end(open(service, 0));
  Request& second = open(service, 1);
  EXPECT_TRUE(second.open());
  EXPECT_TRUE(peers_.back().address == second.endpoint.address);
  EXPECT_TRUE(std::next(peers_.begin())->destroyed);
  EXPECT_FALSE(peers_.front().destroyed) << "of another upstream";
  // While it is busy, nothing makes way.
  Request& waiting = open(service, 0);
  EXPECT_FALSE(waiting.done);
  end(second);
  EXPECT_TRUE(waiting.open());
}

TEST_F(HttpPoolLimitsTest, WaitingRequests) {
  UpstreamLimits limits;
  limits.max_connections = 1;
  limits.max_pending_requests = 1;
  const auto service = upstream(1, limits);
  Request& one = open(service);
  Request& two = open(service);
  EXPECT_TRUE(one.open());
  EXPECT_FALSE(two.done);
  expect_overflow(open(service), "1 requests wait for a connection");
  end(two);  // gives up
  Request& four = open(service);
  EXPECT_FALSE(four.done);
  end(one);
  EXPECT_TRUE(four.open());
}

TEST_F(HttpPoolLimitsTest, WaitingForAConnectionBeingOpenedCountsAsWell) {
  UpstreamLimits limits;
  limits.max_pending_requests = 2;
  hold_ = true;
  const auto service = upstream(1, limits);
  Request& one = open(service);
  open(service, 0, true);
  expect_overflow(open(service), "2 requests wait");
  release_dials();
  EXPECT_TRUE(one.open());
  EXPECT_TRUE(open(service).open());
}

TEST_F(HttpPoolLimitsTest, AConnectionAtHandIsUsedWhoeverWaits) {
  UpstreamLimits limits;
  limits.max_pending_requests = 0;
  const auto service = upstream(1);
  end(open(service));
  const auto strict = upstream(1, limits);
  EXPECT_TRUE(open(strict).open());
  expect_overflow(open(strict), "0 requests wait");
}

TEST_F(HttpPoolLimitsTest, WaitingEndsAtTheDeadline) {
  UpstreamLimits limits;
  limits.max_connections = 1;
  const auto service = upstream(1, limits);
  open(service);
  const Time deadline = Clock::now() + milliseconds(20);
  Request& waiting = open(service, 0, false, deadline);
  ASSERT_TRUE(test::run_until(reactor_, [&] { return waiting.done; }));
  EXPECT_GE(Clock::now(), deadline);
  EXPECT_EQ(waiting.error->code, culvert::Errc::kTimedOut);
  EXPECT_THAT(waiting.error->message(), HasSubstr("10.0.0.1:8080"));
  EXPECT_THAT(pool_.active(*service), ElementsAre(1));
}

TEST_F(HttpPoolLimitsTest, RawStreamsCountAsConnections) {
  UpstreamLimits limits;
  limits.max_connections = 1;
  const auto service = upstream(2, limits);
  end(open(service, 0));
  auto raw = pool_.admit_raw(service, service->endpoints[1]);
  ASSERT_TRUE(raw);
  EXPECT_TRUE(peers_.front().destroyed) << "an idle connection makes way";
  EXPECT_THAT(pool_.active(*service), ElementsAre(0, 1));
  const auto refused = pool_.admit_raw(service, service->endpoints[0]);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ExchangeErrc::kOverflow);
  Request& waiting = open(service, 0);
  EXPECT_FALSE(waiting.done);
  raw->reset();
  turn();
  EXPECT_TRUE(waiting.open());
  EXPECT_THAT(pool_.active(*service), ElementsAre(1, 0));
}

TEST_F(HttpPoolLimitsTest, RawStreamsAreNoRequests) {
  UpstreamLimits limits;
  limits.max_requests = 1;
  const auto service = upstream(2, limits);
  const auto raw = pool_.admit_raw(service, service->endpoints[1]);
  ASSERT_TRUE(raw);
  EXPECT_TRUE(open(service, 0).open());
}

TEST_F(HttpPoolLimitsTest, ANewModelsLimitsHoldFromItsFirstRequest) {
  UpstreamLimits limits;
  limits.max_requests = 1;
  const auto service = upstream(1);
  open(service);
  expect_overflow(open(upstream(1, limits)), "1 requests are running");
}

// ---- active()

TEST_F(HttpPoolLimitsTest, ActiveCountsFromOpenToTheEnd) {
  const auto service = upstream(3);
  EXPECT_THAT(pool_.active(*service), ElementsAre(0, 0, 0));
  hold_ = true;
  Request& one = open(service, 1);
  EXPECT_THAT(pool_.active(*service), ElementsAre(0, 1, 0));
  Request& two = open(service, 1);
  open(service, 2, true);
  EXPECT_THAT(pool_.active(*service), ElementsAre(0, 2, 1));
  end(two);  // while it connects
  EXPECT_THAT(pool_.active(*service), ElementsAre(0, 1, 1));
  release_dials();
  EXPECT_THAT(pool_.active(*service), ElementsAre(0, 1, 1));
  one.exchange.reset();
  EXPECT_THAT(pool_.active(*service), ElementsAre(0, 0, 1));
  refuse_ = true;
  EXPECT_TRUE(open(service, 0).error);
  EXPECT_THAT(pool_.active(*service), ElementsAre(0, 0, 1));
}

TEST_F(HttpPoolLimitsTest, ActiveFollowsEndpointsToAnotherModel) {
  const auto service = upstream(2);
  Request& request = open(service, 1);
  const auto next = upstream(3);
  auto endpoints = next->endpoints;
  std::swap(endpoints[0], endpoints[1]);
  next->set_endpoints(endpoints);
  // Before and after the new one has been used; the old one is still asked about, too.
  EXPECT_THAT(pool_.active(*next), ElementsAre(1, 0, 0));
  open(next, 2);
  EXPECT_THAT(pool_.active(*next), ElementsAre(1, 0, 1));
  EXPECT_THAT(pool_.active(*service), ElementsAre(0, 1));
  end(request);
  EXPECT_THAT(pool_.active(*next), ElementsAre(0, 0, 1));
  EXPECT_THAT(pool_.active(*service), ElementsAre(0, 0));
}

TEST_F(HttpPoolLimitsTest, AnEndpointOfNoListCountsToo) {
  const auto service = upstream(1);
  Endpoint stranger = endpoint("10.0.0.77");
  Request request(reactor_, pool_, service, stranger, false, kNever);
  ASSERT_TRUE(request.open());
  EXPECT_THAT(pool_.active(*service), ElementsAre(0));
  const auto next = upstream(1);
  next->set_endpoints({stranger});
  EXPECT_THAT(pool_.active(*next), ElementsAre(1));
}

}  // namespace
}  // namespace culvert::waypoint
