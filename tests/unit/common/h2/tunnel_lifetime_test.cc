#include "tests/unit/common/h2/tunnel_fixture.h"

#include <tuple>

// Streams that go away, and calls back into the session, at every callback.
namespace culvert::h2 {
namespace {

TEST_F(TunnelPair, DetachedStreamsAreSilentAndKeepNoWindow) {
  TestTunnel& up = connected();
  TestTunnel& other = connected();
  server.session.detach(server.at(up.id));
  EXPECT_EQ(server.session.streams(), 1U);
  server.streams.erase(up.id);
  for (int i = 0; i < 20; ++i) {
    send(client, up.id, std::string(1 << 20, 'x'));
    exchange();
  }
  send(client, other.id, std::string(20 << 20, 'y'));
  exchange();
  EXPECT_EQ(server.at(other.id).input.size(), 20U << 20);
  client.session.reset(up, ErrorCode::kCancel);
  exchange();
  EXPECT_TRUE(up.closed);
}

// Nobody may take what has come for all there was; who only asked merely asks no more.
TEST_F(TunnelPair, WhatIsDetachedWhileItCarriesIsCutOff) {
  TestTunnel& up = connected();
  send(client, up.id, "a part");
  exchange();
  server.session.detach(server.at(up.id));
  server.streams.erase(up.id);
  exchange();
  EXPECT_EQ(up.closed, ErrorCode::kConnectError);
  TestTunnel& asking = client.open();
  exchange();
  client.session.detach(asking);
  exchange();
  EXPECT_EQ(server.at(asking.id).closed, ErrorCode::kCancel);
}

TEST_F(TunnelPair, AResetStreamThatIsDetachedIsResetAllTheSame) {
  TestTunnel& up = connected();
  server.session.reset(server.at(up.id), ErrorCode::kConnectError);
  server.session.detach(server.at(up.id));
  server.streams.erase(up.id);
  EXPECT_EQ(server.session.streams(), 0U);
  exchange();
  EXPECT_EQ(up.closed, ErrorCode::kConnectError);
}

TEST_F(TunnelPair, WhatWasAnsweredIsSentThoughTheStreamIsDetached) {
  TestTunnel& up = client.open();
  exchange();
  server.respond(up.id, kTunnelRefusal, true);
  server.session.detach(server.at(up.id));
  server.streams.erase(up.id);
  exchange();
  EXPECT_EQ(up.log, "head-end end closed:NO_ERROR");
}

TEST_F(TunnelPair, AStreamMayDieBeforeOnStreamReturns) {
  server.on_accepted = [&](TestTunnel& stream) {
    server.session.detach(stream);
    server.streams.erase(stream.id);
  };
  TestTunnel& up = client.open();
  send(client, up.id, "data", true);
  exchange();
  EXPECT_TRUE(server.streams.empty());
  EXPECT_EQ(server.session.streams(), 0U);
  // The session is well.
  server.on_accepted = nullptr;
  TestTunnel& next = connected();
  send(client, next.id, "fine");
  exchange();
  EXPECT_EQ(server.at(next.id).input, "fine");
}

TEST_F(TunnelPair, AStreamMayBeResetBeforeOnStreamReturns) {
  server.on_accepted = [&](TestTunnel& stream) {
    server.session.reset(stream, ErrorCode::kConnectError);
  };
  TestTunnel& up = client.open();
  send(client, up.id, "data", true);
  exchange();
  EXPECT_EQ(up.closed, ErrorCode::kConnectError);
  EXPECT_EQ(server.at(up.id).closed, ErrorCode::kConnectError);
  EXPECT_EQ(server.at(up.id).input, "");
}

TEST_F(TunnelPair, AStreamDetachedBeforeItClosesIsNotToldSo) {
  TestTunnel& up = connected();
  client.session.reset(up, ErrorCode::kCancel);
  client.session.detach(up);
  exchange();
  EXPECT_FALSE(up.closed);
  EXPECT_EQ(server.at(up.id).closed, ErrorCode::kCancel);
}

TEST_F(TunnelPair, TheSessionMayDieBeforeItsStreams) {
  auto stream = std::make_unique<TestTunnel>();
  auto reset = std::make_unique<TestTunnel>();
  {
    TunnelSide other(Role::kClient, {});
    stream->session = reset->session = &other.session;
    ASSERT_TRUE(other.session.open(kTunnelConnect, *stream));
    ASSERT_TRUE(other.session.open(kTunnelConnect, *reset));
    stream->output = "x";
    other.session.resume(*stream);
    other.session.reset(*reset, ErrorCode::kCancel);
  }
  EXPECT_FALSE(stream->closed);
}

TEST_F(TunnelPair, CallsForAStreamThatIsOverDoNoHarm) {
  TestTunnel& up = connected();
  send(client, up.id, "", true);
  send(server, up.id, "", true);
  exchange();
  ASSERT_TRUE(up.closed && server.at(up.id).closed);
  for (TunnelSide* side : {&client, &server}) {
    TestTunnel& stream = side->at(up.id);
    side->session.resume(stream);
    side->session.consume(stream, 100);
    side->session.reset(stream, ErrorCode::kCancel);
    side->session.detach(stream);
  }
  EXPECT_EQ(client.drain(), "");
  EXPECT_EQ(server.drain(), "");
}

TEST_F(TunnelPair, ASecondResetIsNotSent) {
  TestTunnel& up = connected();
  client.session.reset(up, ErrorCode::kCancel);
  client.session.reset(up, ErrorCode::kInternalError);
  const auto frames = parse(client.drain());
  EXPECT_EQ(count_of(frames, kRst), 1U);
  EXPECT_EQ(code_of(frames, kRst, up.id), ErrorCode::kCancel);
  EXPECT_EQ(up.closed, ErrorCode::kCancel);
}

// ---- everything, at every callback

enum Action {
  kDie,        // detach and destroy itself
  kResetSelf,  // and live
  kResetSelfAndDie,
  kOtherDies,  // detach and destroy the other stream
  kResetOther,
  kResetBoth,
  kGoawayNow,
  kEverythingDies,
  kLastAction,
};
struct At : TunnelPair, testing::WithParamInterface<std::tuple<const char*, int, bool>> {
  void SetUp() override { exchange(); }
  static void kill(TunnelSide& side, StreamId id) {
    const auto at = side.streams.find(id);
    if (at == side.streams.end()) return;
    side.session.detach(*at->second);
    side.streams.erase(at);
  }
  static void act(TunnelSide& side, int action, StreamId self, StreamId other) {
    const auto reset = [&](StreamId id) {
      if (side.streams.contains(id)) side.session.reset(side.at(id), ErrorCode::kCancel);
    };
    if (action == kResetSelf || action == kResetSelfAndDie || action == kResetBoth) reset(self);
    if (action == kResetOther || action == kResetBoth) reset(other);
    if (action == kDie || action == kResetSelfAndDie || action == kEverythingDies) kill(side, self);
    if (action == kOtherDies || action == kEverythingDies) kill(side, other);
    if (action == kGoawayNow) side.session.goaway(ErrorCode::kNoError);
  }
};

TEST_P(At, TheSessionStandsIt) {
  const std::string_view where = std::get<0>(GetParam());
  const int action = std::get<1>(GetParam());
  const bool on_server = std::get<2>(GetParam());
  TestTunnel& a = connected();
  TestTunnel& b = connected();
  TestTunnel& bystander = connected();
  TunnelSide& side = on_server ? server : client;
  TunnelSide& peer = on_server ? client : server;
  const StreamId first = a.id, second = b.id;
  bool acted = false;
  for (const StreamId id : {first, second}) {
    const StreamId other = id == first ? second : first;
    side.at(id).hook = [&, id, other](std::string_view now) {
      if (now != where || acted) return;
      acted = true;
      act(side, action, id, other);
    };
    // Bulk, a little, and an end, in one read.
    send(side, id, std::string(200'000, 's'), true);
    send(peer, id, std::string(100'000, 'p'), true);
  }
  exchange(50'000);
  EXPECT_TRUE(acted);
  send(client, bystander.id, "well");
  exchange();
  EXPECT_EQ(server.at(bystander.id).input, "well");
  EXPECT_FALSE(bystander.closed);
  EXPECT_EQ(side.session.streams(), 1U);
  for (const StreamId id : {first, second})
    if (side.streams.contains(id)) EXPECT_TRUE(side.at(id).closed) << id;
  exchange();
  client.session.fail(ErrorCode::kInternalError);
  server.session.fail(ErrorCode::kInternalError);
  EXPECT_EQ(client.session.streams() + server.session.streams(), 0U);
}
INSTANTIATE_TEST_SUITE_P(Callbacks, At,
                         testing::Combine(testing::Values("data", "end", "closed", "produce"),
                                          testing::Range<int>(kDie, kLastAction), testing::Bool()));

struct AtHead : At {};
TEST_P(AtHead, TheSessionStandsIt) {
  const std::string_view where = std::get<0>(GetParam());
  const int action = std::get<1>(GetParam());
  const bool on_server = std::get<2>(GetParam());
  TestTunnel& other = connected();
  TunnelSide& side = on_server ? server : client;
  bool acted = false;
  const auto arm = [&](TestTunnel& stream) {
    stream.hook = [&, id = stream.id](std::string_view now) {
      if (now != where || acted) return;
      acted = true;
      act(side, action, id, other.id);
    };
  };
  server.on_accepted = [&](TestTunnel& stream) {
    if (on_server)
      arm(stream);
    else
      server.session.respond(stream, kTunnelOk, false);
  };
  const StreamId id = client.open().id;
  if (!on_server) arm(client.at(id));
  send(client, id, std::string(1000, 'x'), true);
  exchange(7);
  EXPECT_TRUE(acted);
  EXPECT_LE(client.session.held_bytes(), TunnelSession::kIdleBytes);
  EXPECT_LE(server.session.held_bytes(), TunnelSession::kIdleBytes);
}
INSTANTIATE_TEST_SUITE_P(Callbacks, AtHead,
                         testing::Combine(testing::Values("head"),
                                          testing::Range<int>(kDie, kLastAction), testing::Bool()));

// At fail() and at the error of a connection, streams die in each other's callbacks.
TEST_F(TunnelPair, StreamsMayDieWhileTheConnectionDoes) {
  for (const bool by_error : {false, true}) {
    TunnelSide other(Role::kServer, tunnel_settings());
    ASSERT_TRUE(other.feed(kClientPreface + frame(kSettings, 0, 0, "")));
    for (StreamId id = 1; id < 40; id += 2)
      ASSERT_TRUE(other.feed(frame(kHeaders, 4, id, kConnectBlock)));
    for (StreamId id = 1; id < 40; id += 4) other.session.reset(other.at(id), ErrorCode::kCancel);
    for (StreamId id = 1; id < 40; id += 2)
      other.at(id).hook = [&other, id](std::string_view) {
        for (const StreamId victim : {id, 40 - id, id + 2}) {
          const auto at = other.streams.find(victim);
          if (at == other.streams.end()) continue;
          other.session.detach(*at->second);
          other.streams.erase(at);
        }
      };
    if (by_error) {
      EXPECT_FALSE(other.feed(frame(kPing, 0, 1, std::string(8, '\0'))));
      other.drain();
    } else {
      other.session.fail(ErrorCode::kInternalError);
    }
    for (const auto& [id, stream] : other.streams) EXPECT_TRUE(stream->closed) << id;
    EXPECT_EQ(other.session.streams(), 0U);
  }
}

// The session resets a stream for an error; data that came before is its end.
TEST_F(TunnelRawClient, AStreamMayDieOfItsDataBeforeItsError) {
  StreamId id = 1;
  for (const std::string& bad : {window_update(0x11, 0), window_update(0x11, 0x7fffffff),
                                 frame(kHeaders, 4, 0x11, block({{"a", "b"}})),
                                 frame(kData, 0, 0x11, std::string(300'000, 'x'))}) {
    TestTunnel& stream = tunnel(id);
    stream.hook = [this, id](std::string_view) {
      server.session.detach(server.at(id));
      server.streams.erase(id);
    };
    std::string now = bad;
    now.replace(now.find(std::string("\0\0\0\x11", 4)), 4, be(static_cast<uint32_t>(id), 4));
    ASSERT_TRUE(feed(frame(kData, 0, id, "x") + now));
    EXPECT_EQ(count_of(drain(), kRst, id), 1U);
    EXPECT_FALSE(server.streams.contains(id));
    id += 2;
  }
}

TEST_F(TunnelRawServer, StreamsMayDieWhileGoawayRefusesThem) {
  greet(setting(3, 20));
  for (int i = 0; i < 40; ++i) client.open();
  drain();
  for (StreamId id = 1; id < 80; id += 2)
    client.at(id).hook = [this, id](std::string_view) {
      for (const StreamId victim : {id + 2, 80 - id, id}) {
        const auto at = client.streams.find(victim);
        if (at == client.streams.end()) continue;
        client.session.detach(*at->second);
        client.streams.erase(at);
      }
    };
  ASSERT_TRUE(feed(frame(kGoaway, 0, 0, be(0, 4) + be(0, 4))));
  EXPECT_EQ(client.session.streams(), 0U);
  EXPECT_TRUE(client.streams.empty());
}

// Requests held back are opened from the callback that made room for them.
TEST_F(TunnelRawServer, AnotherRequestMayBeOpenedInAnyCallback) {
  greet(setting(3, 1));
  TestTunnel& first = client.open();
  client.open();
  first.hook = [&](std::string_view where) {
    if (where == "closed") client.open();
  };
  drain();
  ASSERT_TRUE(feed(frame(kRst, 0, 1, be(8, 4))));
  EXPECT_EQ(count_of(drain(), kHeaders), 1U);
  ASSERT_TRUE(feed(frame(kRst, 0, 3, be(8, 4))));
  EXPECT_EQ(count_of(drain(), kHeaders), 1U);
  EXPECT_EQ(client.session.streams(), 1U);
}

}  // namespace
}  // namespace culvert::h2
