#include "tests/unit/common/h2/tunnel_fixture.h"

#include <random>

namespace culvert::h2 {
namespace {

std::map<uint32_t, uint32_t> settings_of(const Frame& f) {
  std::map<uint32_t, uint32_t> out;
  for (std::string_view rest = f.payload; rest.size() >= 6; rest.remove_prefix(6))
    out[be(rest.substr(0, 2))] = be(rest.substr(2, 4));
  return out;
}

TEST_F(TunnelPair, AnnouncesWhatTheMeshExpects) {
  const std::string hello = client.drain();
  ASSERT_TRUE(hello.starts_with(kClientPreface));
  const auto ours = parse(std::string_view(hello).substr(kClientPreface.size()));
  ASSERT_EQ(ours.size(), 2U);
  EXPECT_EQ(ours[0].type, kSettings);
  // INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE, ENABLE_PUSH; nothing else.
  EXPECT_EQ(settings_of(ours[0]),
            (std::map<uint32_t, uint32_t>{{4, 262144}, {5, 1048576}, {6, 16384}, {2, 0}}));
  EXPECT_EQ(window_in(ours, 0), 16777216U - 65535);

  const auto theirs = parse(server.drain());
  ASSERT_EQ(theirs.size(), 2U);
  EXPECT_EQ(theirs[0].type, kSettings);
  EXPECT_EQ(settings_of(theirs[0]),
            (std::map<uint32_t, uint32_t>{{4, 262144}, {5, 1048576}, {6, 16384}, {3, 200}}));
  EXPECT_EQ(window_in(theirs, 0), 16777216U - 65535);
}

TEST_F(TunnelPair, HalfCloseBothWaysInPiecesOfAnySize) {
  for (const size_t piece : {size_t{1}, size_t{7}, size_t{4096}, SIZE_MAX}) {
    TestTunnel& up = client.open();
    send(client, up.id, std::string(70'000, 'u'), true);
    exchange(piece);
    TestTunnel& down = server.at(up.id);
    EXPECT_EQ(down.head.get(":authority"), "10.0.0.1:80");
    EXPECT_EQ(down.input, std::string(70'000, 'u'));
    EXPECT_EQ(down.log, "head end ");
    server.respond(up.id);
    exchange(piece);
    EXPECT_EQ(up.log, "head ");
    send(server, up.id, std::string(90'000, 'd'), true);
    exchange(piece);
    EXPECT_EQ(up.input, std::string(90'000, 'd'));
    EXPECT_EQ(up.log, "head end closed:NO_ERROR");
    EXPECT_EQ(down.log, "head end closed:NO_ERROR");
  }
  EXPECT_EQ(client.session.streams(), 0U);
  EXPECT_EQ(server.session.streams(), 0U);
}

TEST_F(TunnelPair, RandomSplitsGiveTheSame) {
  std::mt19937 random(7);
  TestTunnel& up = connected();
  for (int round = 0; round < 50; ++round) {
    const std::string sent(random() % 40'000, static_cast<char>('a' + round % 26));
    server.at(up.id).input.clear();
    send(client, up.id, sent);
    exchange(1 + random() % 5000);
    EXPECT_EQ(server.at(up.id).input, sent);
  }
}

TEST_F(TunnelPair, ResetsCarryTheirCode) {
  for (const ErrorCode code : {ErrorCode::kNoError, ErrorCode::kCancel, ErrorCode::kConnectError,
                               ErrorCode::kInternalError, ErrorCode::kStreamClosed}) {
    TestTunnel& up = connected();
    client.session.reset(up, code);
    EXPECT_FALSE(up.closed);  // no callback within a call of ours
    exchange();
    EXPECT_EQ(server.at(up.id).closed, code);
    EXPECT_EQ(up.closed, code);
    TestTunnel& other = connected();
    server.session.reset(server.at(other.id), code);
    exchange();
    EXPECT_EQ(other.closed, code);
    EXPECT_EQ(server.at(other.id).closed, code);
  }
  EXPECT_EQ(client.session.streams(), 0U);
  EXPECT_EQ(server.session.streams(), 0U);
}

TEST_F(TunnelPair, AResetTakesWhatWasNotSentAlong) {
  TestTunnel& up = connected();
  send(client, up.id, "never");
  client.session.reset(up, ErrorCode::kCancel);
  const int asked = up.asked;
  const auto frames = parse(client.drain());
  ASSERT_EQ(frames.size(), 1U);
  EXPECT_EQ(code_of(frames, kRst, up.id), ErrorCode::kCancel);
  EXPECT_EQ(up.asked, asked);
}

TEST_F(TunnelPair, NothingIsToldOfAStreamThatWeReset) {
  TestTunnel& up = connected();
  send(server, up.id, "late", true);
  const std::string down = server.drain();
  client.session.reset(up, ErrorCode::kCancel);
  deliver(client, down, SIZE_MAX);
  exchange();
  EXPECT_EQ(up.input, "");
  EXPECT_EQ(up.log, "head closed:CANCEL");
}

TEST_F(TunnelPair, ARefusalArrivesBeforeTheResetThatStopsTheRequest) {
  TestTunnel& up = client.open();
  exchange();
  server.respond(up.id, kTunnelRefusal, true);
  const std::string down = server.drain();
  const auto frames = parse(down);
  ASSERT_EQ(frames.size(), 2U);
  EXPECT_EQ(frames[0].type, kHeaders);
  EXPECT_EQ(frames[0].flags, flags::kEndHeaders | flags::kEndStream);
  EXPECT_EQ(code_of(frames, kRst, up.id), ErrorCode::kNoError);
  deliver(client, down, SIZE_MAX);
  exchange();
  EXPECT_EQ(up.head.get(":status"), "401");
  EXPECT_EQ(up.log, "head-end end closed:NO_ERROR");
  EXPECT_EQ(server.at(up.id).closed, ErrorCode::kNoError);
}

TEST_F(TunnelPair, ARefusalOfARequestThatIsCompleteNeedsNoReset) {
  TestTunnel& up = client.open();
  send(client, up.id, "", true);
  exchange();
  EXPECT_EQ(server.at(up.id).log, "head end ");
  server.respond(up.id, kTunnelRefusal, true);
  EXPECT_EQ(count_of(parse(server.drain()), kRst), 0U);
  EXPECT_EQ(server.at(up.id).closed, ErrorCode::kNoError);
}

TEST_F(TunnelPair, ProduceIsAskedAgainOnlyAfterResume) {
  TestTunnel& up = connected();
  send(client, up.id, "first");
  exchange();
  const int asked = up.asked;
  up.output = "later";
  exchange();
  EXPECT_EQ(up.asked, asked);
  EXPECT_FALSE(client.session.wants_write());
  client.session.resume(up);
  EXPECT_TRUE(client.session.wants_write());
  exchange();
  EXPECT_EQ(server.at(up.id).input, "firstlater");
}

TEST_F(TunnelPair, ProduceThatHasMoreIsAskedAgainWithoutResume) {
  TestTunnel& up = connected();
  up.at_a_time = 1000;
  send(client, up.id, std::string(10'000, 'a'), true);
  exchange();
  EXPECT_EQ(server.at(up.id).input.size(), 10'000U);
  EXPECT_EQ(server.at(up.id).log, "head end ");
}

TEST_F(TunnelPair, NothingIsAskedForBeforeTheAnswer) {
  TestTunnel& up = client.open();
  exchange();
  send(server, up.id, "early");
  EXPECT_EQ(server.drain(), "");
  EXPECT_EQ(server.at(up.id).asked, 0);
  server.respond(up.id);
  exchange();
  EXPECT_EQ(up.input, "early");
}

TEST_F(TunnelPair, EverythingMayFollowOnAcceptAtOnce) {
  server.on_accepted = [&](TestTunnel& stream) {
    server.session.respond(stream, kTunnelOk, false);
    send(server, stream.id, "hello", true);
  };
  TestTunnel& up = client.open();
  send(client, up.id, "bye", true);
  exchange();
  EXPECT_EQ(up.log, "head end closed:NO_ERROR");
  EXPECT_EQ(up.input, "hello");
  EXPECT_EQ(server.at(up.id).log, "head end closed:NO_ERROR");
}

TEST_F(TunnelPair, ARefusalOnAcceptReachesTheClient) {
  server.on_accepted = [&](TestTunnel& stream) {
    server.session.respond(stream, kTunnelRefusal, true);
  };
  TestTunnel& up = client.open();
  exchange();
  EXPECT_EQ(up.log, "head-end end closed:NO_ERROR");
  EXPECT_EQ(server.session.streams(), 0U);
}

TEST_F(TunnelPair, HeadsTravelWhole) {
  const std::vector<Field> fields{{":method", "CONNECT"},
                                  {":authority", "10.0.0.1:80"},
                                  {"baggage", "k8s.cluster.name=Kubernetes", true},
                                  {"forwarded", "for=\"[::1]\""}};
  for (int i = 0; i < 3; ++i) {  // the compression's state moves on
    TestTunnel& up = client.open(fields);
    exchange();
    const auto& got = server.at(up.id).head.fields;
    ASSERT_EQ(got.size(), fields.size());
    for (size_t k = 0; k < got.size(); ++k) {
      EXPECT_EQ(got[k].name, fields[k].name);
      EXPECT_EQ(got[k].value, fields[k].value);
    }
  }
}

TEST_F(TunnelPair, GracefulShutdownLetsStreamsEnd) {
  TestTunnel& up = connected();
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
  EXPECT_EQ(client.goaways[1].first, ErrorCode::kNoError);
  EXPECT_FALSE(client.session.accepts_requests());
  EXPECT_FALSE(server.session.finished());
  server.at(up.id).finish = true;
  server.session.resume(server.at(up.id));
  send(client, up.id, "still", true);
  exchange();
  EXPECT_EQ(server.at(up.id).input, "still");
  EXPECT_EQ(up.closed, ErrorCode::kNoError);
  EXPECT_TRUE(server.session.finished());
}

// The answer to the PING says that the notice was read only if the notice came first.
TEST_F(TunnelPair, NoticeOfAShutdownGoesBeforeItsPing) {
  connected();
  server.session.notify_shutdown();
  std::vector<int> types;
  for (const Frame& sent : parse(server.drain())) types.push_back(sent.type);
  EXPECT_EQ(types, (std::vector<int>{kGoaway, kPing}));
  EXPECT_EQ(server.noticed, 0);
}

TEST_F(TunnelPair, StreamsThatCrossTheNoticeAreStillTaken) {
  exchange();
  TestTunnel& flying = client.open();
  const std::string up = client.drain();
  server.session.notify_shutdown();
  const std::string down = server.drain();
  deliver(server, up, SIZE_MAX);
  deliver(client, down, SIZE_MAX);
  exchange();
  EXPECT_EQ(server.at(flying.id).log, "head ");
  EXPECT_FALSE(flying.closed);
  TestTunnel never;
  EXPECT_TRUE(fails_with(client.session.open(kTunnelConnect, never), Errc::kGoingAway));
}

TEST_F(TunnelPair, StreamsTheServerDidNotTakeAreRefused) {
  TestTunnel& taken = connected();
  TestTunnel& flying = client.open();  // crosses GOAWAY on the wire
  const std::string up = client.drain();
  server.session.goaway(ErrorCode::kNoError);
  const std::string down = server.drain();
  deliver(server, up, SIZE_MAX);
  deliver(client, down, SIZE_MAX);
  EXPECT_EQ(flying.closed, ErrorCode::kRefusedStream);
  exchange();
  EXPECT_EQ(server.streams.size(), 1U);
  EXPECT_FALSE(taken.closed);
}

// What a stream that is not taken sends counts for the connection all the same (RFC 9113 section
// 6.8): the compression's state and the window.
TEST_F(TunnelPair, AStreamBeyondGoawayLeavesTheConnectionWhole) {
  TestTunnel& taken = connected();
  const std::vector<Field> odd{{":method", "CONNECT"}, {":authority", "a:1"}, {"x", "indexed"}};
  TestTunnel& flying = client.open(odd);
  send(client, flying.id, std::string(5000, 'x'));
  const std::string up = client.drain();
  server.session.goaway(ErrorCode::kNoError);
  deliver(server, up, SIZE_MAX);
  send(client, taken.id, "fine");
  exchange();
  EXPECT_EQ(server.at(taken.id).input, "fine");
}

TEST_F(TunnelPair, PingsAreAnswered) {
  exchange();
  client.session.ping();
  server.session.ping();
  exchange();
  EXPECT_EQ(client.pongs, 1);
  EXPECT_EQ(server.pongs, 1);
}

TEST_F(TunnelPair, AnIdleSessionHoldsNextToNoMemory) {
  TestTunnel& up = connected();
  send(client, up.id, std::string(3 << 20, 'x'));
  exchange(1000);
  client.session.ping();
  exchange(1);
  EXPECT_EQ(server.at(up.id).input.size(), 3U << 20);
  EXPECT_LE(client.session.held_bytes(), TunnelSession::kIdleBytes);
  EXPECT_LE(server.session.held_bytes(), TunnelSession::kIdleBytes);
}

TEST_F(TunnelPair, FailEndsEveryStreamAndOneMayDetachAnother) {
  TestTunnel& a = connected();
  TestTunnel& b = connected();
  int closed = 0;
  a.hook = [&](std::string_view) {
    ++closed;
    client.session.detach(b);
  };
  b.hook = [&](std::string_view) {
    ++closed;
    client.session.detach(a);
  };
  client.session.fail(ErrorCode::kInternalError);
  EXPECT_EQ(closed, 1);
  EXPECT_EQ((a.closed ? a : b).closed, ErrorCode::kInternalError);
  EXPECT_EQ(client.session.streams(), 0U);
  EXPECT_FALSE(client.session.accepts_requests());
  TestTunnel never;
  EXPECT_FALSE(client.session.open(kTunnelConnect, never));
}

TEST_F(TunnelPair, FailTellsOfStreamsThatWereResetAndOfThoseHeldBack) {
  TestTunnel& open = connected();
  TestTunnel& reset = connected();
  std::vector<TestTunnel*> more;
  for (int i = 0; i < 250; ++i) more.push_back(&client.open());  // the server takes 200
  client.session.reset(reset, ErrorCode::kCancel);
  client.session.fail(ErrorCode::kInternalError);
  EXPECT_EQ(open.closed, ErrorCode::kInternalError);
  EXPECT_TRUE(reset.closed);
  for (const TestTunnel* each : more) EXPECT_EQ(each->closed, ErrorCode::kInternalError);
  EXPECT_EQ(client.session.streams(), 0U);
}

}  // namespace
}  // namespace culvert::h2
