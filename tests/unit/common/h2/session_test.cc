#include "tests/unit/common/h2/session_fixture.h"

#include <random>

namespace culvert::h2 {
namespace {

std::map<uint32_t, uint32_t> settings_of(const Frame& f) {
  std::map<uint32_t, uint32_t> out;
  for (std::string_view rest = f.payload; rest.size() >= 6; rest.remove_prefix(6))
    out[be(rest.substr(0, 2))] = be(rest.substr(2, 4));
  return out;
}

TEST_F(PairTest, AnnouncesWhatTheMeshExpects) {
  const std::string hello = client.drain();
  ASSERT_TRUE(hello.starts_with(kClientPreface));
  const auto ours = parse(std::string_view(hello).substr(kClientPreface.size()));
  ASSERT_EQ(ours.size(), 2U);
  // INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE, ENABLE_PUSH; nothing else.
  EXPECT_EQ(settings_of(ours[0]),
            (std::map<uint32_t, uint32_t>{{4, 4194304}, {5, 1048576}, {6, 16384}, {2, 0}}));
  EXPECT_EQ(ours[1].type, kWindow);
  EXPECT_EQ(be(ours[1].payload), 16777216U - 65535);

  const auto theirs = parse(server.drain());
  ASSERT_EQ(theirs.size(), 2U);
  EXPECT_EQ(settings_of(theirs[0]),
            (std::map<uint32_t, uint32_t>{{4, 4194304}, {5, 1048576}, {6, 65536}, {3, 200}}));
  EXPECT_EQ(theirs[1].type, kWindow);
  EXPECT_EQ(be(theirs[1].payload), 16777216U - 65535);
}

TEST_F(PairTest, HalfCloseBothWaysInPiecesOfAnySize) {
  for (const size_t piece : {size_t{1}, size_t{7}, size_t{4096}, SIZE_MAX}) {
    TestStream& up = client.open();
    up.output = std::string(70'000, 'u');
    up.finish = true;
    exchange(piece);
    TestStream& down = server.at(up.id);
    EXPECT_EQ(down.head.get(":authority"), "10.0.0.1:80");
    EXPECT_EQ(down.input.size(), 70'000U);
    EXPECT_EQ(down.log, "head end ");
    server.session.respond(up.id, kOk, false);
    exchange(piece);
    EXPECT_EQ(up.log, "head ");
    down.output = std::string(90'000, 'd');
    down.finish = true;
    server.session.resume(up.id);
    exchange(piece);
    EXPECT_EQ(up.input, std::string(90'000, 'd'));
    EXPECT_EQ(up.log, "head end closed:NO_ERROR");
    EXPECT_EQ(down.log, "head end closed:NO_ERROR");
  }
  EXPECT_EQ(client.session.streams(), 0U);
  EXPECT_EQ(server.session.streams(), 0U);
}

TEST_F(PairTest, RandomSplitsGiveTheSame) {
  std::mt19937 random(7);
  TestStream& up = connected();
  for (int round = 0; round < 50; ++round) {
    up.output = std::string(random() % 40'000, static_cast<char>('a' + round % 26));
    const std::string sent = up.output;
    client.session.resume(up.id);
    server.at(up.id).input.clear();
    exchange(1 + random() % 5000);
    EXPECT_EQ(server.at(up.id).input, sent);
  }
}

TEST_F(PairTest, TrailersEndAStream) {
  TestStream& up = connected();
  TestStream& down = server.at(up.id);
  down.output = "body";
  down.finish = true;
  down.send_trailers = {{"grpc-status", "0"}};
  server.session.resume(up.id);
  exchange();
  EXPECT_EQ(up.input, "body");
  EXPECT_EQ(up.trailers.get("grpc-status"), "0");
  // A complete answer stops what is still being asked.
  EXPECT_EQ(up.log, "head trailers end closed:NO_ERROR");
}

TEST_F(PairTest, ResetsCarryTheirCode) {
  for (const ErrorCode code : {ErrorCode::kNoError, ErrorCode::kCancel, ErrorCode::kConnectError,
                               ErrorCode::kInternalError, ErrorCode::kStreamClosed}) {
    TestStream& up = connected();
    client.session.reset(up.id, code);
    exchange();
    EXPECT_EQ(server.at(up.id).closed, code);
    EXPECT_EQ(up.closed, code);
    TestStream& other = connected();
    server.session.reset(other.id, code);
    exchange();
    EXPECT_EQ(other.closed, code);
  }
}

TEST_F(PairTest, ARefusalArrivesBeforeTheResetThatStopsTheRequest) {
  TestStream& up = client.open();
  exchange();
  server.session.respond(up.id, kUnauthorized, true);
  exchange();
  EXPECT_EQ(up.head.get(":status"), "401");
  EXPECT_EQ(up.log, "head-end end closed:NO_ERROR");
}

TEST_F(PairTest, AStalledStreamStopsItselfAndNobodyElse) {
  constexpr size_t kWindowSize = 4U << 20;
  std::vector<TestStream*> stalled;
  for (int i = 0; i < 6; ++i) {  // six windows: more than the connection's
    TestStream& up = connected();
    server.at(up.id).consume = false;
    up.output = std::string(kWindowSize + 1000, 's');
    client.session.resume(up.id);
    stalled.push_back(&up);
  }
  exchange();
  for (TestStream* up : stalled) {
    EXPECT_EQ(server.at(up->id).input.size(), kWindowSize);
    EXPECT_EQ(up->left(), 1000U);
  }
  TestStream& free = connected();
  free.output = std::string(2 * kWindowSize, 'f');
  client.session.resume(free.id);
  exchange();
  EXPECT_EQ(server.at(free.id).input.size(), 2 * kWindowSize);
  // Taking what lies there lets the rest come.
  server.session.consume(stalled[0]->id, kWindowSize);
  exchange();
  EXPECT_EQ(server.at(stalled[0]->id).input.size(), kWindowSize + 1000);
}

TEST_F(PairTest, ProduceIsAskedAgainOnlyAfterResume) {
  TestStream& up = connected();
  const int asked = up.asked;
  up.output = "later";
  exchange();
  EXPECT_EQ(up.asked, asked);
  EXPECT_FALSE(client.session.wants_write());
  client.session.resume(up.id);
  EXPECT_TRUE(client.session.wants_write());
  exchange();
  EXPECT_EQ(server.at(up.id).input, "later");
}

TEST_F(PairTest, DetachedStreamsAreSilentAndKeepNoWindow) {
  TestStream& up = connected();
  server.session.detach(up.id);
  up.output = std::string(20U << 20, 'x');  // more than any window: it is given back
  client.session.resume(up.id);
  exchange();
  EXPECT_TRUE(up.output.empty());
  EXPECT_EQ(server.at(up.id).input, "");
  client.session.reset(up.id, ErrorCode::kCancel);
  exchange();
  EXPECT_FALSE(server.at(up.id).closed);
}

TEST_F(PairTest, AHandlerMayDieBeforeOnStreamReturns) {
  server.detach_at_once = true;
  TestStream& up = client.open();
  up.output = "data";
  exchange();
  EXPECT_EQ(server.at(up.id).log, "");
  EXPECT_EQ(server.at(up.id).input, "");
}

TEST_F(PairTest, FailEndsEveryStreamAndOneMayDetachAnother) {
  struct Detaching final : StreamHandler {
    void on_head(Head, bool) override {}
    void on_data(Bytes) override {}
    void on_trailers(Head) override {}
    void on_end() override {}
    void on_closed(ErrorCode) override {
      ++(*closed);
      session->detach(other);
    }
    Produced produce(MutableBytes) override { return {}; }
    Session* session = nullptr;
    StreamId other = 0;
    int* closed = nullptr;
  } a, b;
  int closed = 0;
  const StreamId first = client.session.open(kConnect, false, a).value();
  const StreamId second = client.session.open(kConnect, false, b).value();
  a.session = b.session = &client.session;
  a.closed = b.closed = &closed;
  a.other = second;
  b.other = first;
  client.session.fail(ErrorCode::kInternalError);
  EXPECT_EQ(closed, 1);
  EXPECT_FALSE(client.session.accepts_requests());
  EXPECT_FALSE(client.session.open(kConnect, false, a));
}

TEST_F(PairTest, GracefulShutdownLetsStreamsEnd) {
  TestStream& up = connected();
  server.session.ping();
  server.session.notify_shutdown();
  EXPECT_TRUE(client.session.accepts_requests());
  exchange();
  EXPECT_EQ(server.pongs, 1);
  EXPECT_EQ(server.noticed, 1);
  EXPECT_FALSE(server.session.finished());
  server.session.goaway(ErrorCode::kNoError);
  exchange();
  ASSERT_EQ(client.goaways.size(), 2U);
  EXPECT_EQ(client.goaways[0].second, INT32_MAX);
  EXPECT_EQ(client.goaways[1].second, up.id);
  EXPECT_FALSE(client.session.accepts_requests());
  EXPECT_FALSE(server.session.finished());
  up.output = "still";
  up.finish = server.at(up.id).finish = true;
  client.session.resume(up.id);
  server.session.resume(up.id);
  exchange();
  EXPECT_EQ(server.at(up.id).input, "still");
  EXPECT_EQ(up.closed, ErrorCode::kNoError);
  EXPECT_TRUE(server.session.finished());
}

// The answer to the PING says that the notice was read only if the notice came first.
TEST_F(PairTest, NoticeOfAShutdownGoesBeforeItsPing) {
  connected();
  server.session.notify_shutdown();
  std::vector<int> types;
  for (const Frame& sent : parse(server.drain())) types.push_back(sent.type);
  EXPECT_EQ(types, (std::vector<int>{kGoaway, kPing}));
  EXPECT_EQ(server.noticed, 0);
}

TEST_F(PairTest, StreamsTheServerDidNotTakeAreRefused) {
  exchange();
  TestStream& flying = client.open();  // crosses GOAWAY on the wire
  const std::string up = client.drain();
  server.session.goaway(ErrorCode::kNoError);
  const std::string down = server.drain();
  feed(server.session, up, SIZE_MAX);
  feed(client.session, down, SIZE_MAX);
  exchange();
  EXPECT_EQ(flying.closed, ErrorCode::kRefusedStream);
  EXPECT_TRUE(server.streams.empty());
}

TEST_F(PairTest, PingsAreAnswered) {
  exchange();
  client.session.ping();
  server.session.ping();
  exchange();
  EXPECT_EQ(client.pongs, 1);
  EXPECT_EQ(server.pongs, 1);
}

}  // namespace
}  // namespace culvert::h2
