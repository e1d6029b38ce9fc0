#include "tests/unit/common/hbone/tunnel_fixture.h"

#include <algorithm>
#include <filesystem>
#include <iterator>

namespace culvert::hbone {
namespace {

using PoolTest = TunnelTest;

TEST_F(PoolTest, ManyWaitOneHandshake) {
  hold_dials_ = true;
  std::vector<Got*> got;
  for (int i = 0; i < 100; ++i) got.push_back(&start());
  EXPECT_EQ(dials_, 1);
  hold_dials_ = false;
  dials_released_.wake_all();
  wait([&] { return std::ranges::all_of(got, [](Got* one) { return one->has_value(); }); });
  for (Got* one : got) EXPECT_TRUE(**one);
  EXPECT_EQ(dials_, 1);
  EXPECT_EQ(pool().tunnels(), 1U);
}

TEST_F(PoolTest, AFailureTellsAllWhoWaitAndTheNextTriesAgain) {
  hold_dials_ = true;
  dial_error_ = ECONNREFUSED;
  std::vector<Got*> got;
  for (int i = 0; i < 20; ++i) got.push_back(&start());
  hold_dials_ = false;
  dials_released_.wake_all();
  wait([&] { return std::ranges::all_of(got, [](Got* one) { return one->has_value(); }); });
  for (Got* one : got) {
    ASSERT_FALSE(**one);
    EXPECT_EQ((**one).error().code.value(), ECONNREFUSED);
  }
  EXPECT_EQ(dials_, 1);
  dial_error_.reset();
  EXPECT_TRUE(connect());
  EXPECT_EQ(dials_, 2);
}

TEST_F(PoolTest, ADialThatThrowsIsAFailureAndTheNextTriesAgain) {
  dial_throws_ = true;
  Got& got = start(key(), Clock::now() + 1s);
  wait([&] { return got.has_value(); });
  ASSERT_FALSE(*got);
  dial_throws_ = false;
  EXPECT_TRUE(connect());
  EXPECT_EQ(dials_, 2);
}

TEST_F(PoolTest, AWaiterHasADeadlineOfItsOwn) {
  hold_dials_ = true;
  Got& late = start(key(), Clock::now() + 20ms);
  wait([&] { return late.has_value(); });
  ASSERT_FALSE(*late);
  EXPECT_EQ(late->error().code.value(), ETIMEDOUT);
}

TEST_F(PoolTest, OnlyEqualKeysShareATunnel) {
  std::vector<TunnelKey> keys(9, key());
  keys[1].client = test::ip("10.1.1.2");
  keys[2].address = test::address("10.0.0.9:15009");
  keys[3].source = test::identity("demo", "other");
  keys[4].destination.push_back(test::identity("demo", "x"));
  keys[5].destination.insert(keys[5].destination.begin(), test::identity("demo", "x"));
  keys[6].source.trust_domain = "elsewhere";
  keys[7].destination.push_back(test::identity("demo", "x"));
  keys[7].destination.back().trust_domain = "elsewhere";
  keys[8].destination.push_back(test::identity("other", "x"));
  std::vector<std::unique_ptr<Stream>> streams;
  for (const auto& one : keys) streams.push_back(connect(one));
  EXPECT_EQ(dials_, 9);
  for (const auto& one : keys) streams.push_back(connect(one));
  EXPECT_EQ(dials_, 9);
}

TEST_F(PoolTest, AFullTunnelIsFollowedByAnother) {
  options_.max_streams = 2;
  std::vector<std::unique_ptr<Stream>> streams;
  for (int i = 0; i < 5; ++i) streams.push_back(connect());
  EXPECT_EQ(dials_, 3);
}

TEST_F(PoolTest, OneStreamPerTunnel) {
  options_.max_streams = 1;
  auto a = connect(), b = connect();
  EXPECT_EQ(dials_, 2);
}

TEST_F(PoolTest, ThePeersLimitCountsWhenItIsSmaller) {
  server_options_.settings.max_concurrent_streams = 1;
  auto a = connect();  // its answer came behind the peer's SETTINGS
  auto b = connect();
  EXPECT_EQ(dials_, 2);
}

TEST_F(PoolTest, AfterGoawayTheNextRequestOpensANewTunnelAndRunningStreamsGoOn) {
  StreamIo old(connect());
  servers_.front()->drain();
  for (int i = 0; i < 1000 && dials_ == 1; ++i) connect();  // until GOAWAY is here
  EXPECT_EQ(dials_, 2);
  ASSERT_TRUE(run(reactor_, old.write(as_bytes("still here"))));
  ASSERT_TRUE(run(reactor_, old.shutdown_write()));
  EXPECT_EQ(read_all(old), "still here");
  wait([&] { return servers_ended_ == 1; });
}

TEST_F(PoolTest, ARefusedStreamIsTriedOnceMoreOnANewTunnel) {
  auto first = connect();
  int refused = 0;
  serve_ = [&](std::unique_ptr<Stream> stream, const tls::Peer& peer) -> net::Task<> {
    if (++refused == 1) {
      stream->reset(h2::ErrorCode::kRefusedStream);
      return [](std::unique_ptr<Stream> held) -> net::Task<> {
        static_cast<void>(co_await held->head(kNever));
        static_cast<void>(co_await held->head(Clock::now() + 50ms));
      }(std::move(stream));
    }
    return echo(std::move(stream), peer);
  };
  EXPECT_TRUE(connect());
  EXPECT_EQ(dials_, 2);
  EXPECT_EQ(refused, 2);
}

TEST_F(PoolTest, APeerThatRefusesTwiceIsBelieved) {
  serve_ = [](std::unique_ptr<Stream> stream, const tls::Peer&) -> net::Task<> {
    stream->reset(h2::ErrorCode::kRefusedStream);
    static_cast<void>(co_await stream->head(kNever));
    static_cast<void>(co_await stream->head(Clock::now() + 50ms));
  };
  Got& got = start();
  wait([&] { return got.has_value(); });
  ASSERT_FALSE(*got);
  EXPECT_EQ(got->error().code, h2::make_error_code(h2::Errc::kRefused));
  EXPECT_EQ(dials_, 2);
}

// All of them are sent before the peer's SETTINGS are here.
TEST_F(PoolTest, ACrowdThatIsRefusedByAPeerOfFewStreamsFindsRoomOnMoreTunnels) {
  server_options_.settings.max_concurrent_streams = 3;
  hold_dials_ = true;
  std::vector<Got*> got;
  for (int i = 0; i < 20; ++i) got.push_back(&start(key(), Clock::now() + 9s));
  hold_dials_ = false;
  dials_released_.wake_all();
  wait([&] { return std::ranges::all_of(got, [](Got* one) { return one->has_value(); }); });
  for (Got* one : got) EXPECT_TRUE(**one) << (*one)->error().message();
  EXPECT_EQ(streams_served_, 20);
  EXPECT_EQ(dials_, 7);
  (**got.front())->stream.reset();  // on the first tunnel, which refused most: it is as good as any
  for (int i = 0; i < 5; ++i) reactor_.turn(1ms);
  auto next = connect();
  EXPECT_EQ(dials_, 7);
  EXPECT_EQ(servers_ended_, 0);
}

TEST_F(PoolTest, APeerThatAllowsNoStreamsIsWaitedForUntilTheDeadline) {
  server_options_.settings.max_concurrent_streams = 0;
  Got& got = start(key(), Clock::now() + 100ms);
  wait([&] { return got.has_value(); });
  ASSERT_FALSE(*got);
  EXPECT_EQ(got->error().code, make_error_code(culvert::Errc::kTimedOut));
  EXPECT_EQ(dials_, 1);
}

TEST_F(PoolTest, AnAnswerOtherThan200IsAnError) {
  serve_ = [](std::unique_ptr<Stream> stream, const tls::Peer&) -> net::Task<> {
    static_cast<void>(co_await stream->head(kNever));
    const std::vector<h2::Field> refusal{{":status", "401"}};
    stream->respond(refusal, true);
  };
  for (int i = 0; i < 50; ++i) {
    Got& got = start();
    wait([&] { return got.has_value(); });
    ASSERT_FALSE(*got);
    EXPECT_EQ(got->error().message(), "http status: 401 Unauthorized");
  }
  EXPECT_EQ(dials_, 1);
}

size_t descriptors() {
  return static_cast<size_t>(
      std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}));
}

// Its descriptor is not kept until the pool looks after its tunnels for another reason, which may
// be an hour: neither when nobody asks for such a tunnel again, nor when one has followed it.
TEST_F(PoolTest, AClosedTunnelIsLetGoSoon) {
  pool();  // the fixture's own descriptors
  const size_t before = descriptors();
  StreamIo old(connect());
  servers_.front()->drain();
  for (int i = 0; i < 1000 && dials_ == 1; ++i) connect();
  ASSERT_TRUE(run(reactor_, old.shutdown_write()));
  EXPECT_EQ(read_all(old), "");
  wait([&] { return servers_ended_ == 1; });
  servers_.pop_front();
  wait([&] { return descriptors() == before + 2; });  // both ends of the one that followed
  servers_.back()->drain();
  wait([&] { return servers_ended_ == 2; });
  servers_.clear();
  wait([&] { return descriptors() == before && pool().tunnels() == 0; });
}

TEST_F(PoolTest, AnUnusedTunnelIsClosed) {
  options_.unused_timeout = 40ms;
  connect().reset();
  wait([&] { return servers_ended_ == 1 && pool().tunnels() == 0; });
}

TEST_F(PoolTest, AnUnusedTunnelWithAStreamLivesUntilItsEnd) {
  options_.unused_timeout = 40ms;
  StreamIo io(connect());
  const Time until = Clock::now() + 150ms;
  wait([&] { return Clock::now() > until; });
  ASSERT_TRUE(run(reactor_, io.write(as_bytes("alive"))));
  ASSERT_TRUE(run(reactor_, io.shutdown_write()));
  EXPECT_EQ(read_all(io), "alive");
  wait([&] { return servers_ended_ == 1 && pool().tunnels() == 0; });
}

TEST_F(PoolTest, WithoutATimeForUnusedTunnelsTheWorkerStillSleeps) {
  options_.unused_timeout = 0ms;
  StreamIo io(connect());
  const Time until = Clock::now() + 300ms;
  int turns = 0;
  for (; Clock::now() < until; ++turns) reactor_.turn(1s);
  EXPECT_LT(turns, 50);
  ASSERT_TRUE(run(reactor_, io.write(as_bytes("alive"))));
  ASSERT_TRUE(run(reactor_, io.shutdown_write()));
  EXPECT_EQ(read_all(io), "alive");
  wait([&] { return servers_ended_ == 1 && pool().tunnels() == 0; });
}

TEST_F(PoolTest, NoMoreIdleTunnelsThanAllowed) {
  options_.max_idle = 2;
  options_.unused_timeout = 6s;  // looked at every 1.5 s
  const Time second_look = Clock::now() + 3s;
  for (int i = 1; i <= 5; ++i) connect(key("10.1.1." + std::to_string(i))).reset();
  wait([&] { return servers_ended_ == 3; });
  EXPECT_LT(Clock::now(), second_look);
  EXPECT_EQ(pool().tunnels(), 2U);
  auto last = connect(key("10.1.1.5"));  // the most recent ones stay
  EXPECT_EQ(dials_, 5);
}

TEST_F(PoolTest, DrainRefusesNewStreamsAlsoThoseWhoWaitAndLetsRunningOnesEnd) {
  StreamIo io(connect());
  hold_dials_ = true;
  Got& waiting = start(key("10.1.1.2"));
  pool().drain();
  hold_dials_ = false;
  dials_released_.wake_all();
  wait([&] { return waiting.has_value(); });
  ASSERT_FALSE(*waiting);
  EXPECT_EQ(waiting->error().code, h2::make_error_code(h2::Errc::kDraining));
  Got& late = start();
  wait([&] { return late.has_value(); });
  EXPECT_FALSE(*late);
  EXPECT_EQ(dials_, 2);
  ASSERT_TRUE(run(reactor_, io.write(as_bytes("bye"))));
  ASSERT_TRUE(run(reactor_, io.shutdown_write()));
  EXPECT_EQ(read_all(io), "bye");
  wait([&] { return pool().tunnels() == 0; });
}

// What its last stream said may still wait for the peer to take it.
TEST_F(PoolTest, IsDrainedWhenWhatWasSaidHasArrived) {
  receive_buffer_ = 1 << 14;
  size_t got = 0;
  bool ended = false;
  serve_ = [&](std::unique_ptr<Stream> stream, const tls::Peer&) -> net::Task<> {
    if (!co_await stream->head(kNever)) co_return;
    stream->respond(kOk, false);
    StreamIo io(std::move(stream));
    EXPECT_TRUE(co_await io.shutdown_write());
    std::vector<uint8_t> buffer(1 << 16);
    for (;;) {
      auto part = co_await io.read(buffer);
      if (part && *part > 0) got += *part;
      if (part && *part == 0) ended = true;
      if (!part || *part == 0) co_return;
    }
  };
  {
    StreamIo io(connect());
    EXPECT_EQ(read_all(io), "");
    ASSERT_TRUE(run(reactor_, io.write(as_bytes(std::string(7 * (1U << 17) + 20'000, 'r')))));
    ASSERT_TRUE(run(reactor_, io.shutdown_write()));
  }
  pool().drain();
  run(reactor_, pool().drained(kNever));
  pool_.reset();
  wait([&] { return servers_ended_ == 1; });
  EXPECT_EQ(got, 7 * (1U << 17) + 20'000);
  EXPECT_TRUE(ended);
}

// As a pod goes: its connections' tasks first, then the pool, with a dial under way.
TEST_F(PoolTest, DiesWithADialUnderWayAndStreamsOpen) {
  auto stream = connect();
  hold_dials_ = true;
  start(key("10.1.1.2"));
  tasks_.cancel();
  pool_.reset();
  auto head = run(reactor_, stream->head(kNever));
  EXPECT_TRUE(head);  // what had come stays readable
  stream.reset();
}

TEST_F(PoolTest, AnsweredPingsKeepTheTunnel) {
  options_.keepalive = {.interval = 20ms, .timeout = 1s};
  StreamIo io(connect());
  EXPECT_EQ(servers_ended_, 0);
  const Time until = Clock::now() + 1500ms;
  wait([&] { return Clock::now() > until; });  // answered pings keep it
  EXPECT_EQ(servers_ended_, 0);
}

}  // namespace
}  // namespace culvert::hbone
