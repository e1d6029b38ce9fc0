#include "tests/support/loop.h"
#include "tests/unit/waypoint/codec/http2_support.h"

#include <cstring>

// How exchanges, tasks and connections of the HTTP/2 server end.
namespace culvert::waypoint {
namespace {

using namespace test;
using std::chrono::milliseconds;

// Says how the frame that holds it ended.
class Witness {
 public:
  explicit Witness(std::string& out) : out_(out) { out_ = "running"; }
  ~Witness() {
    if (out_ == "running") out_ = "destroyed";
  }
  Witness(const Witness&) = delete;
  Witness& operator=(const Witness&) = delete;
  void returns(std::string_view how) { out_ = how; }

 private:
  std::string& out_;
};

// Where a task waits when something happens to its stream.
enum class Point : uint8_t { kElsewhere, kBody, kWrite, kNested };
enum class End : uint8_t { kReset, kEof, kReadFails, kWriteFails, kBadFrame, kRunDestroyed };

struct Http2Lifetime : ServerFixture {
  // Waits at `point`, for good.
  net::Task<> wait_at(ServerExchange& exchange, Point point, std::string& how) {
    Witness witness(how);
    if (point == Point::kElsewhere) co_await never.wait();
    if (point == Point::kBody) {
      auto piece = co_await exchange.body().read(kNever);
      witness.returns(piece ? "read" : piece.error().code.message());
      co_return;
    }
    const auto head = response(200);
    EXPECT_TRUE(co_await exchange.respond(head, kUnknownSize, kNever));
    if (point == Point::kWrite) {
      auto done = co_await exchange.write(as_bytes("x"), kNever);
      witness.returns(done ? "written" : done.error().code.message());
    } else {
      net::Scope nested(reactor);
      nested.spawn(write_more(exchange));
      co_await never.wait();
    }
  }
  static net::Task<> write_more(ServerExchange& exchange) {
    (void)co_await exchange.write(as_bytes("x"), kNever);
  }
  void end(H2Peer::Stream& stream, End how) {
    switch (how) {
      case End::kReset:
        stream.reset(h2::ErrorCode::kCancel);
        break;
      case End::kEof:
        wire.end_input = true;
        break;
      case End::kReadFails:
        wire.fail_input = true;
        break;
      case End::kWriteFails:
        wire.fail_output = true;
        peer->session.ping();
        break;
      case End::kBadFrame:
        // DATA on stream 0.
        wire.to_codec.append(as_bytes(std::string_view("\0\0\1\0\0\0\0\0\0x", 10)));
        break;
      case End::kRunDestroyed:
        scope.cancel();
        break;
    }
    peer->pump();
  }

  net::Event never{reactor};
};

TEST_F(Http2Lifetime, EveryEndAtEveryPointLeavesNoTask) {
  h2::Settings client;
  client.stream_window = 0;
  for (const Point point : {Point::kElsewhere, Point::kBody, Point::kWrite, Point::kNested}) {
    for (const End how : {End::kReset, End::kEof, End::kReadFails, End::kWriteFails, End::kBadFrame,
                          End::kRunDestroyed}) {
      SCOPED_TRACE(testing::Message() << static_cast<int>(point) << " " << static_cast<int>(how));
      std::vector<std::string> tasks(3);
      size_t next = 0;
      start([&](ServerExchange& exchange) { return wait_at(exchange, point, tasks[next++]); }, {},
            client);
      std::vector<H2Peer::Stream*> streams;
      for (size_t i = 0; i < tasks.size(); ++i) streams.push_back(&peer->open(post(), false));
      ASSERT_TRUE(peer->until([&] { return tasks[2] == "running"; }));
      peer->settle();
      end(*streams[1], how);
      ASSERT_TRUE(peer->until([&] { return tasks[1] != "running"; }));
      const bool alone = how == End::kReset;
      EXPECT_EQ(tasks[0] == "running", alone);
      EXPECT_EQ(tasks[2] == "running", alone);
      if (point == Point::kElsewhere || point == Point::kNested) EXPECT_EQ(tasks[1], "destroyed");
      if (how == End::kRunDestroyed) EXPECT_TRUE(wire.reset);
      if (!alone && how != End::kRunDestroyed)
        ASSERT_TRUE(peer->until([&] {
          wire.end_input = true;
          return ended;
        }));
      stop();
      for (const auto& task : tasks) EXPECT_NE(task, "running");
    }
  }
}

TEST_F(Http2Lifetime, ARequestThatIsResetBehindItsHeadIsNeverServed) {
  int served = 0;
  start([&](ServerExchange& exchange) -> net::Task<> {
    ++served;
    co_await answer_empty(exchange, 200);
  });
  auto& stream = peer->open(post(), false);
  (void)peer->session.drain(wire.to_codec, 100'000);
  stream.reset(h2::ErrorCode::kCancel);
  peer->settle();
  EXPECT_EQ(served, 0);
}

// The proxy writes its log after the answer: a stream that is over is no reason to stop it.
TEST_F(Http2Lifetime, ATaskWhoseAnswerIsCompleteGoesOn) {
  std::string how;
  net::Event go(reactor);
  bool open = false;
  start([&](ServerExchange& exchange) -> net::Task<> {
    Witness witness(how);
    co_await answer_empty(exchange, 200);
    while (!open) co_await go.wait();
    EXPECT_EQ(exchange.counts().body_sent, 0U);
    witness.returns("logged");
  });
  auto& stream = peer->open(get(), true);
  ASSERT_TRUE(peer->until([&] { return stream.closed.has_value(); }));
  wire.end_input = true;
  peer->settle();
  EXPECT_EQ(how, "running");
  EXPECT_FALSE(ended) << "run() waits for every task";
  open = true;
  go.wake_all();
  ASSERT_TRUE(peer->until([&] { return ended; }));
  EXPECT_EQ(how, "logged");
}

TEST_F(Http2Lifetime, TheHandlerResets) {
  start([&](ServerExchange& exchange) -> net::Task<> {
    exchange.reset();
    auto piece = co_await exchange.body().read(kNever);
    EXPECT_FALSE(piece);
    const auto head = response(200);
    EXPECT_FALSE(co_await exchange.respond(head, {}, kNever));
  });
  auto& stream = peer->open(post(), false);
  ASSERT_TRUE(peer->until([&] { return stream.closed.has_value(); }));
  EXPECT_EQ(*stream.closed, h2::ErrorCode::kInternalError);
}

TEST_F(Http2Lifetime, AnExceptionEndsItsStreamOnly) {
  start([&](ServerExchange& exchange) -> net::Task<> {
    if (exchange.request().method == "POST") throw std::runtime_error("bug");
    co_await answer_empty(exchange, 200);
  });
  auto& bad = peer->open(post(), true);
  auto& good = peer->open(get(), true);
  ASSERT_TRUE(peer->until([&] { return bad.closed && good.closed; }));
  EXPECT_EQ(*bad.closed, h2::ErrorCode::kInternalError);
  EXPECT_EQ(good.get(":status"), "200");
  ++escaped_;
}

// What came before a reset is still read.
TEST_F(Http2Lifetime, DataBeforeAResetIsDelivered) {
  std::string body;
  net::Event go(reactor);
  bool open = false;
  start([&](ServerExchange& exchange) -> net::Task<> {
    const auto head = response(200);
    EXPECT_TRUE(co_await exchange.respond(head, {}, kNever));
    while (!open) co_await go.wait();
    body = co_await read_body(exchange.body());
  });
  auto& stream = peer->open(post(), false);
  stream.send("early");
  ASSERT_TRUE(peer->until([&] { return stream.closed.has_value(); }));
  open = true;
  go.wake_all();
  ASSERT_TRUE(peer->until([&] { return !body.empty(); }));
  EXPECT_EQ(body, "early!the peer reset the exchange");
}

// ---- the end of connections

TEST_F(Http2Lifetime, DrainAnswersWhatIsInProgress) {
  net::Event go(reactor);
  bool open = false;
  int served = 0;
  start([&](ServerExchange& exchange) -> net::Task<> {
    ++served;
    while (!open) co_await go.wait();
    const std::string body = co_await read_body(exchange.body());
    co_await answer_empty(exchange, body == "abc" ? 200 : 500);
  });
  auto& stream = peer->open(post(), false);
  ASSERT_TRUE(peer->until([&] { return served == 1; }));
  server->drain();
  server->drain();
  ASSERT_TRUE(peer->until([&] { return peer->goaways == 2; }));
  EXPECT_EQ(*peer->goaway_code, h2::ErrorCode::kNoError);
  EXPECT_FALSE(peer->session.accepts_requests());
  EXPECT_FALSE(ended);
  stream.send("abc");
  stream.end();
  open = true;
  go.wake_all();
  ASSERT_TRUE(peer->until([&] { return stream.closed.has_value(); }));
  EXPECT_EQ(stream.get(":status"), "200");
  ASSERT_TRUE(peer->until([&] { return wire.shut_down; }));
  EXPECT_FALSE(ended) << "the client is given time to close first";
  wire.end_input = true;
  ASSERT_TRUE(peer->until([&] { return ended; }));
  EXPECT_FALSE(wire.reset);
}

TEST_F(Http2Lifetime, ARequestThatCrossesTheGoawayIsServed) {
  int served = 0;
  net::Event go(reactor);
  bool open = false;
  start([&](ServerExchange& exchange) -> net::Task<> {
    ++served;
    while (!open) co_await go.wait();
    co_await answer_empty(exchange, 200);
  });
  auto& first = peer->open(get(), true);
  ASSERT_TRUE(peer->until([&] { return served == 1; }));
  auto& second = peer->open(get(), true);
  server->drain();
  ASSERT_TRUE(peer->until([&] { return peer->goaways == 2; }));
  EXPECT_FALSE(second.closed);
  open = true;
  go.wake_all();
  ASSERT_TRUE(peer->until([&] { return first.closed.has_value(); }));
  EXPECT_EQ(*first.closed, h2::ErrorCode::kNoError);
  ASSERT_TRUE(peer->until([&] { return second.closed.has_value(); }));
  EXPECT_EQ(second.get(":status"), "200");
  EXPECT_EQ(served, 2);
}

// Of the session in the client's role: a request that waits for a place is told as well.
TEST_F(Http2Lifetime, ARequestHeldBackIsToldOfTheGoaway) {
  ServerCodecOptions options;
  options.max_streams = 1;
  start([&](ServerExchange&) -> net::Task<> { co_await never.wait(); }, options);
  peer->settle();
  auto& first = peer->open(get(), true);
  auto& held = peer->open(get(), true);
  peer->settle();
  server->drain();
  ASSERT_TRUE(peer->until([&] { return held.closed.has_value(); }));
  EXPECT_EQ(*held.closed, h2::ErrorCode::kRefusedStream);
  EXPECT_FALSE(first.closed);
}

TEST_F(Http2Lifetime, DrainBeforeRun) {
  auto stream = wire.stream();
  peer = std::make_unique<H2Peer>(wire, h2::Role::kClient);
  server = make_http2_server(reactor, {}, std::move(stream),
                             [](ServerExchange& exchange) { return answer_empty(exchange, 200); });
  server->drain();
  wire.end_input = true;
  scope.spawn(run());
  ASSERT_TRUE(peer->until([&] { return ended; }));
  EXPECT_GE(peer->goaways, 1U);
}

TEST_F(Http2Lifetime, TheClientsGoawayEndsTheConnectionAfterItsStreams) {
  net::Event go(reactor);
  bool open = false;
  int served = 0;
  start([&](ServerExchange& exchange) -> net::Task<> {
    ++served;
    while (!open) co_await go.wait();
    co_await answer_empty(exchange, 200);
  });
  auto& stream = peer->open(get(), true);
  ASSERT_TRUE(peer->until([&] { return served == 1; }));
  peer->session.goaway(h2::ErrorCode::kNoError);
  peer->settle();
  EXPECT_FALSE(wire.shut_down);
  open = true;
  go.wake_all();
  ASSERT_TRUE(peer->until([&] { return stream.closed && wire.shut_down; }));
  EXPECT_EQ(stream.get(":status"), "200");
}

TEST_F(Http2Lifetime, IdleConnectionsEnd) {
  net::Event go(reactor);
  bool open = false;
  ServerCodecOptions options;
  options.idle_timeout = milliseconds(30);
  start(
      [&](ServerExchange& exchange) -> net::Task<> {
        while (!open) co_await go.wait();
        co_await answer_empty(exchange, 200);
      },
      options);
  auto& stream = peer->open(get(), true);
  const Time busy_until = Clock::now() + milliseconds(100);
  ASSERT_TRUE(peer->until([&] { return Clock::now() > busy_until; }));
  EXPECT_EQ(peer->goaways, 0U) << "a stream is running";
  open = true;
  go.wake_all();
  ASSERT_TRUE(peer->until([&] { return stream.closed.has_value(); }));
  const Time idle_since = Clock::now();
  ASSERT_TRUE(peer->until([&] { return wire.shut_down; }));
  EXPECT_GE(Clock::now() - idle_since, milliseconds(25));
  peer->settle();
  EXPECT_EQ(*peer->goaway_code, h2::ErrorCode::kNoError);
}

TEST_F(Http2Lifetime, AHeadThatStopsHalfWayEndsTheConnection) {
  ServerCodecOptions options;
  options.header_timeout = milliseconds(20);
  int served = 0;
  start(
      [&](ServerExchange& exchange) -> net::Task<> {
        ++served;
        co_await answer_empty(exchange, 200);
      },
      options);
  peer->settle();
  // HEADERS without END_HEADERS; the CONTINUATION never comes.
  wire.to_codec.append(as_bytes(std::string_view("\0\0\1\1\0\0\0\0\1\x82", 10)));
  ASSERT_TRUE(peer->until([&] { return wire.shut_down; }));
  peer->settle();
  EXPECT_EQ(*peer->goaway_code, h2::ErrorCode::kProtocolError);
  EXPECT_EQ(served, 0);
}

TEST_F(Http2Lifetime, NotHttp2) {
  start([&](ServerExchange& exchange) { return answer_empty(exchange, 200); });
  wire.to_codec.append(as_bytes("GET / HTTP/1.1\r\nhost: a\r\n\r\n"));
  wire.end_input = true;
  wire.wake();
  ASSERT_TRUE(peer->until([&] { return ended; }));
}

// ---- floods

TEST_F(Http2Lifetime, FloodsEndTheConnection) {
  using namespace std::string_view_literals;
  const auto frame = [](std::string_view head, std::string_view payload) {
    return std::string(head) + std::string(payload);
  };
  const std::string ping = frame("\0\0\10\6\0\0\0\0\0"sv, "12345678");
  const std::string settings = frame("\0\0\0\4\0\0\0\0\0"sv, "");
  for (const std::string& one : {ping, settings}) {
    start([&](ServerExchange& exchange) { return answer_empty(exchange, 200); });
    peer->settle();
    // The client sends and does not read.
    wire.capacity = 0;
    for (int i = 0; i < 20'000; ++i) wire.to_codec.append(as_bytes(one));
    wire.wake();
    for (int i = 0; i < 200 && !wire.to_codec.empty(); ++i) reactor.turn(milliseconds(1));
    EXPECT_GT(wire.to_codec.size(), 0U) << "all of the flood was taken";
    wire.capacity = SIZE_MAX;
    wire.end_input = true;
    ASSERT_TRUE(peer->until([&] { return ended; }));
  }
}

// Each has to be refused, and is none of the streams that count, as the client has not acknowledged
// our SETTINGS.
TEST_F(Http2Lifetime, AnswersThatNobodyReadsEndTheConnection) {
  using namespace std::string_view_literals;
  start([&](ServerExchange&) -> net::Task<> { co_await never.wait(); });
  wire.capacity = 1;
  wire.to_codec.append(as_bytes("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
  wire.to_codec.append(as_bytes("\0\0\0\4\0\0\0\0\0"sv));
  for (uint32_t i = 0; i < 20'000; ++i) {
    std::string frame("\0\0\6\1\5\0\0\0\0\x82\x86\x84\x41\1a"sv);
    for (const int byte : {0, 1, 2, 3})
      frame[5 + byte] = static_cast<char>((2 * i + 1) >> (24 - 8 * byte));
    wire.to_codec.append(as_bytes(frame));
  }
  wire.wake();
  // Even the GOAWAY is not read.
  ASSERT_TRUE(culvert::test::run_until(reactor, [&] { return ended; }));
  EXPECT_GT(wire.to_codec.size(), 0U) << "all of the flood was taken";
  EXPECT_TRUE(wire.reset);
}

TEST_F(Http2Lifetime, RapidResetEndsTheConnection) {
  int served = 0;
  start([&](ServerExchange& exchange) -> net::Task<> {
    ++served;
    co_await never.wait();
    co_await answer_empty(exchange, 200);
  });
  peer->settle();
  for (int i = 0; i < 5000 && peer->goaways == 0 && peer->session.accepts_requests(); ++i) {
    auto& stream = peer->open(get(), true);
    peer->settle();
    stream.reset(h2::ErrorCode::kCancel);
    peer->settle();
  }
  EXPECT_GT(peer->goaways, 0U);
  EXPECT_GT(served, 100);
  EXPECT_LT(served, 3000);
}

TEST_F(Http2Lifetime, EmptyDataFramesEndTheConnection) {
  start([&](ServerExchange&) -> net::Task<> { co_await never.wait(); });
  peer->open(post(), false);
  peer->settle();
  for (int i = 0; i < 2000; ++i)
    wire.to_codec.append(as_bytes(std::string_view("\0\0\0\0\0\0\0\0\1", 9)));
  ASSERT_TRUE(peer->until([&] { return wire.shut_down; }));
  peer->settle();
  EXPECT_EQ(*peer->goaway_code, h2::ErrorCode::kEnhanceYourCalm);
}

}  // namespace
}  // namespace culvert::waypoint
