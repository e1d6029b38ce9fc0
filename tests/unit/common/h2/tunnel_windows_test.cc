#include "tests/unit/common/h2/tunnel_fixture.h"

// Flow control, both ways (RFC 9113 section 5.2 and 6.9).
namespace culvert::h2 {
namespace {

TunnelSettings windows(uint32_t initial, uint32_t max, uint32_t connection = 16U << 20) {
  TunnelSettings settings = tunnel_settings();
  settings.initial_window = initial;
  settings.max_window = max;
  settings.connection_window = connection;
  return settings;
}
constexpr uint32_t kInitial = 256U << 10;
const std::string kKiB64(65536, 'k');

// ---- what we may send

TEST_F(TunnelRawServer, BeforeThePeersSettingsAStreamMaySendTheDefault) {
  TestTunnel& stream = client.open();
  stream.output = std::string(200'000, 'x');
  client.session.resume(stream);
  ASSERT_TRUE(feed(frame(kSettings, 0, 0, setting(3, 100)) + window_update(0, 1 << 20)));
  EXPECT_EQ(data_in(drain(), 1).size(), 65535U);
  EXPECT_FALSE(client.session.wants_write());
}

TEST_F(TunnelRawServer, TheConnectionsWindowBindsAllStreams) {
  greet(setting(4, 1 << 20));
  TestTunnel& a = tunnel();
  TestTunnel& b = tunnel();
  for (TestTunnel* stream : {&a, &b}) {
    stream->output = std::string(60'000, 'x');
    stream->finish = true;
    client.session.resume(*stream);
  }
  EXPECT_EQ(data_in(drain()).size(), 65535U);
  EXPECT_FALSE(client.session.wants_write());
  ASSERT_TRUE(feed(window_update(0, 54'464)));
  EXPECT_TRUE(client.session.wants_write());
  EXPECT_EQ(data_in(drain()).size(), 54'464U);
  EXPECT_EQ(a.left() + b.left(), 1U);
  ASSERT_TRUE(feed(window_update(0, 1)));
  EXPECT_EQ(data_in(drain()).size(), 1U);
  EXPECT_TRUE(a.finish && b.finish && a.left() + b.left() == 0);
}

// The end costs no window.
TEST_F(TunnelRawServer, EndStreamNeedsNoWindow) {
  greet();
  TestTunnel& stream = tunnel();
  stream.output = std::string(65535, 'x');
  client.session.resume(stream);
  EXPECT_EQ(data_in(drain(), 1).size(), 65535U);
  stream.finish = true;
  client.session.resume(stream);
  // "When window and connection have room" it is asked: it may wait for the window, not for ever.
  std::vector<Frame> frames = drain();
  if (frames.empty()) {
    ASSERT_TRUE(feed(window_update(0, 1) + window_update(1, 1)));
    frames = drain();
  }
  ASSERT_EQ(frames.size(), 1U);
  EXPECT_EQ(frames[0].flags, flags::kEndStream);
  EXPECT_EQ(frames[0].payload, "");
}

TEST_F(TunnelRawServer, AStreamsWindowStopsItAlone) {
  greet();
  ASSERT_TRUE(feed(window_update(0, 10 << 20)));
  TestTunnel& stopped = tunnel();
  TestTunnel& free = tunnel();
  ASSERT_TRUE(feed(window_update(free.id, 1 << 20)));
  stopped.output = free.output = std::string(300'000, 'x');
  client.session.resume(stopped);
  client.session.resume(free);
  const auto frames = drain();
  EXPECT_EQ(data_in(frames, stopped.id).size(), 65535U);
  EXPECT_EQ(data_in(frames, free.id).size(), 300'000U);
  EXPECT_FALSE(client.session.wants_write());
  ASSERT_TRUE(feed(window_update(stopped.id, 7)));
  EXPECT_EQ(data_in(drain(), stopped.id).size(), 7U);
}

TEST_F(TunnelRawServer, InitialWindowSizeChangesOpenStreamsUpAndDown) {
  greet();
  ASSERT_TRUE(feed(window_update(0, 10 << 20)));
  TestTunnel& stream = tunnel();
  stream.output = std::string(1'000'000, 'x');
  client.session.resume(stream);
  EXPECT_EQ(data_in(drain()).size(), 65535U);
  ASSERT_TRUE(feed(frame(kSettings, 0, 0, setting(4, 70'000))));
  EXPECT_EQ(data_in(drain()).size(), 70'000U - 65535);
  // Now 60,000 below zero (section 6.9.2).
  ASSERT_TRUE(feed(frame(kSettings, 0, 0, setting(4, 10'000))));
  EXPECT_EQ(data_in(drain()).size(), 0U);
  ASSERT_TRUE(feed(window_update(1, 60'000)));
  EXPECT_EQ(data_in(drain()).size(), 0U);
  EXPECT_FALSE(client.session.wants_write());
  ASSERT_TRUE(feed(window_update(1, 1)));
  EXPECT_EQ(data_in(drain()).size(), 1U);
  // A stream that begins now has the new value.
  TestTunnel& other = tunnel();
  other.output = std::string(20'000, 'y');
  client.session.resume(other);
  EXPECT_EQ(data_in(drain(), other.id).size(), 10'000U);
  ASSERT_TRUE(feed(frame(kSettings, 0, 0, setting(4, 10'100))));
  const auto frames = drain();
  EXPECT_EQ(data_in(frames, other.id).size(), 100U);
  EXPECT_EQ(data_in(frames, stream.id).size(), 100U);
  // The connection's window is not theirs to change.
  ASSERT_TRUE(feed(frame(kSettings, 0, 0, setting(4, 0))));
  EXPECT_EQ(data_in(drain()).size(), 0U);
}

// Also for one that was about to send.
TEST_F(TunnelRawServer, ASettingBelowWhatWasSentStopsAStreamThatIsReady) {
  greet();
  ASSERT_TRUE(feed(window_update(0, 10 << 20)));
  TestTunnel& stream = tunnel();
  stream.output = std::string(60'000, 'x');
  client.session.resume(stream);
  EXPECT_EQ(data_in(drain()).size(), 60'000U);
  stream.output = std::string(100'000, 'y');
  client.session.resume(stream);
  ASSERT_TRUE(feed(frame(kSettings, 0, 0, setting(4, 10'000))));
  EXPECT_EQ(data_in(drain()).size(), 0U);
  EXPECT_FALSE(client.session.wants_write());
  ASSERT_TRUE(feed(frame(kSettings, 0, 0, setting(4, 60'000))));  // exactly none
  EXPECT_EQ(data_in(drain()).size(), 0U);
  ASSERT_TRUE(feed(frame(kSettings, 0, 0, setting(4, 60'005))));
  EXPECT_EQ(data_in(drain()).size(), 5U);
}

TEST_F(TunnelRawServer, SettingsApplyInOrderAndTheLastCounts) {
  greet();
  ASSERT_TRUE(feed(window_update(0, 10 << 20)));
  TestTunnel& stream = tunnel();
  stream.output = std::string(1'000'000, 'x');
  client.session.resume(stream);
  ASSERT_TRUE(
      feed(frame(kSettings, 0, 0,
                 setting(4, 0) + setting(4, 0x7fffffff) + setting(4, 100) + setting(0x4242, 7))));
  EXPECT_EQ(data_in(drain()).size(), 100U);
}

TEST_F(TunnelRawServer, ASettingThatOverflowsAStreamsWindowEndsTheConnection) {
  greet();
  tunnel();
  ASSERT_TRUE(feed(window_update(1, 0x7fffffff - 65535)));
  EXPECT_TRUE(fails_with(feed(frame(kSettings, 0, 0, setting(4, 65536))), Errc::kProtocol));
  EXPECT_EQ(code_of(drain(), kGoaway), ErrorCode::kFlowControlError);
}

TEST_F(TunnelRawServer, TheLargestWindowsAreFine) {
  greet();
  tunnel();
  ASSERT_TRUE(feed(window_update(1, 0x7fffffff - 65535) + window_update(0, 0x7fffffff - 65535)));
  EXPECT_EQ(count_of(drain(), kRst), 0U);
}

// ---- what the peer may send

TEST_F(TunnelRawClient, AStreamsWindowIsReturnedAtHalf) {
  TestTunnel& stream = tunnel(1);
  stream.consume = false;
  ASSERT_TRUE(feed(frame(kData, 0, 1, std::string(kInitial, 'x'))));
  EXPECT_EQ(window_in(drain(), 1), 0U);
  server.session.consume(stream, kInitial / 2 - 1);
  EXPECT_EQ(window_in(drain(), 1), 0U);
  server.session.consume(stream, 1);
  EXPECT_EQ(window_in(drain(), 1), kInitial / 2);
  server.session.consume(stream, kInitial / 2);
  EXPECT_EQ(window_in(drain(), 1), kInitial / 2);
}

TEST_F(TunnelRawClient, AStreamThatHasEndedGetsNoWindow) {
  TestTunnel& stream = tunnel(1);
  stream.consume = false;
  ASSERT_TRUE(feed(frame(kData, 1, 1, std::string(kInitial, 'x'))));
  server.session.consume(stream, kInitial);
  EXPECT_EQ(window_in(drain(), 1), 0U);
}

TEST_F(TunnelRawClient, ExactlyTheWindowIsFineAndOneMoreIsNot) {
  TestTunnel& stream = tunnel(1);
  stream.consume = false;
  ASSERT_TRUE(feed(frame(kData, 0, 1, std::string(kInitial, 'x'))));
  EXPECT_EQ(count_of(drain(), kRst), 0U);
  const auto result = feed(frame(kData, 0, 1, "y"));
  const auto frames = drain();
  EXPECT_TRUE(code_of(frames, kRst, 1) == ErrorCode::kFlowControlError ||
              code_of(frames, kGoaway) == ErrorCode::kFlowControlError);
  EXPECT_EQ(stream.closed, ErrorCode::kFlowControlError);
  EXPECT_EQ(stream.input.size(), kInitial);
}

// Padding is flow-controlled, and given back at once since nobody consumes it.
TEST_F(TunnelRawClient, PaddingTakesAndGivesWindow) {
  TestTunnel& stream = tunnel(1);
  const std::string padded = frame(kData, 8, 1, '\xff' + std::string("d") + std::string(255, 'P'));
  uint64_t stream_window = kInitial, connection_window = 16U << 20;
  for (int i = 0; i < 100'000; ++i) {
    ASSERT_GE(stream_window, 257U) << i;
    ASSERT_GE(connection_window, 257U) << i;
    ASSERT_TRUE(feed(padded));
    stream_window -= 257;
    connection_window -= 257;
    if (!server.session.wants_write()) continue;
    const auto frames = drain();
    ASSERT_EQ(count_of(frames, kRst), 0U);
    stream_window += window_in(frames, 1);
    connection_window += window_in(frames, 0);
    ASSERT_LE(connection_window, 16U << 20);
  }
  EXPECT_EQ(stream.input.size(), 100'000U);
}

// A stream that nobody reads must not take the connection's window with it.
TEST_F(TunnelRawClient, TheConnectionsWindowIsReturnedAsBytesArrive) {
  uint64_t window = 16U << 20;
  StreamId id = 1;
  for (int i = 0; i < 100; ++i, id += 2) {  // 25 MiB, none of it consumed
    tunnel(id).consume = false;
    for (int k = 0; k < 4; ++k) {
      ASSERT_GE(window, kKiB64.size());
      ASSERT_TRUE(feed(frame(kData, 0, id, kKiB64)));
      window = window - kKiB64.size() + window_in(drain(), 0);
      ASSERT_LE(window, 16U << 20);
    }
  }
}

TEST_F(TunnelRawClient, DataForStreamsThatAreGoneGivesTheConnectionsWindowBack) {
  tunnel(1);
  server.session.reset(server.at(1), ErrorCode::kCancel);
  drain();
  tunnel(3);
  server.session.detach(server.at(3));
  drain();
  uint64_t window = 16U << 20;
  for (int i = 0; i < 600; ++i) {
    ASSERT_GE(window, kKiB64.size());
    ASSERT_TRUE(feed(frame(kData, 0, i % 2 == 0 ? 1 : 3, kKiB64)));
    const auto frames = drain();
    ASSERT_EQ(count_of(frames, kGoaway), 0U);
    window = window - kKiB64.size() + window_in(frames, 0);
  }
  EXPECT_EQ(server.at(1).input, "");
  EXPECT_EQ(server.at(3).input, "");
}

struct SmallConnection : TunnelRawClient {
  SmallConnection() : TunnelRawClient(windows(1 << 20, 1 << 20, 100'000)) {}
};
TEST_F(SmallConnection, MoreThanTheConnectionsWindowIsAnErrorOfTheConnection) {
  tunnel(1).consume = false;
  // In one frame: no part of it can have been given back.
  const auto result = feed(frame(kData, 0, 1, std::string(100'001, 'x')));
  EXPECT_TRUE(fails_with(result, Errc::kProtocol));
  EXPECT_EQ(code_of(drain(), kGoaway), ErrorCode::kFlowControlError);
}
TEST_F(SmallConnection, ExactlyTheConnectionsWindowIsFine) {
  TestTunnel& stream = tunnel(1);
  ASSERT_TRUE(feed(frame(kData, 0, 1, std::string(100'000, 'x'))));
  EXPECT_EQ(stream.input.size(), 100'000U);
  EXPECT_EQ(window_in(drain(), 0), 100'000U);
}

// ---- growth

struct Grows : TunnelRawClient {
  Grows() : TunnelRawClient(windows(64 << 10, 1 << 20)) {}
  // Sends what it may, `round` bytes at a time, and lets the PING's answer take that long.
  void send(TestTunnel& stream, size_t total, size_t round) {
    for (size_t sent = 0; sent < total; sent += round) {
      size_t allowed = std::min<uint64_t>({round, credit[stream.id], credit[0]});
      most = std::max<uint64_t>(most, credit[stream.id]);
      credit[0] -= allowed;
      credit[stream.id] -= allowed;
      std::string text;
      while (allowed > 0) {
        const size_t n = std::min<size_t>(allowed, 16384);
        text += frame(kData, 0, stream.id, std::string(n, 'x'));
        allowed -= n;
      }
      ASSERT_TRUE(feed(text + answers));
      answers.clear();
      for (const Frame& f : drain()) {
        ASSERT_NE(f.type, kRst);
        ASSERT_NE(f.type, kGoaway);
        if (f.type == kWindow) credit[f.id] += be(f.payload);
        if (f.type == kPing && (f.flags & flags::kAck) == 0) {
          ++pings;
          answers += frame(kPing, 1, 0, f.payload);
        }
        if (f.type == kSettings && f.payload.size() == 6) FAIL() << "not expected";
      }
    }
  }
  TestTunnel& fresh(StreamId id) {
    EXPECT_TRUE(feed(frame(kHeaders, 4, id, kConnectBlock)));
    server.respond(id);
    credit[id] = 64 << 10;
    for (const Frame& f : drain())
      if (f.type == kWindow) credit[f.id] += be(f.payload);
    return server.at(id);
  }
  std::map<StreamId, uint64_t> credit{{0, 16 << 20}};
  std::string answers;
  uint64_t most = 0;
  int pings = 0;
};

TEST_F(Grows, AStreamsWindowGrowsUpToItsLimitAsARoundTripCarriesMore) {
  TestTunnel& stream = fresh(1);
  send(stream, 64 << 20, 2 << 20);
  EXPECT_GT(pings, 1);
  EXPECT_GE(most, 1U << 19);
  EXPECT_LE(most, 1U << 20);
}

TEST_F(Grows, NoWindowGrowsWhileMemoryIsTight) {
  HeldBytes held(server.memory);
  ASSERT_TRUE(held.resize(server.memory.budget() / 2 + 1));
  TestTunnel& stream = fresh(1);
  send(stream, 64 << 20, 2 << 20);
  EXPECT_EQ(most, 64U << 10);
  held.release();
  send(stream, 64 << 20, 2 << 20);
  EXPECT_GE(most, 1U << 19);
}

// What is not given back makes it smaller, until it is what was announced.
TEST_F(Grows, AWindowThatHasGrownShrinksWhileMemoryIsTight) {
  TestTunnel& stream = fresh(1);
  send(stream, 64 << 20, 2 << 20);
  ASSERT_GE(most, 1U << 19);
  HeldBytes held(server.memory);
  ASSERT_TRUE(held.resize(server.memory.budget() / 2 + 1));
  send(stream, 8 << 20, 2 << 20);
  most = 0;
  send(stream, 8 << 20, 2 << 20);
  EXPECT_EQ(most, 64U << 10);
  EXPECT_GT(stream.input.size(), 8U << 20);
}

TEST_F(Grows, AWindowThatIsNotUsedUpStaysAsItIs) {
  TestTunnel& stream = fresh(1);
  send(stream, 8 << 20, 4096);  // a round trip carries little
  EXPECT_LE(most, 64U << 10);
}

TEST_F(Grows, WhatIsNotConsumedIsNotWidened) {
  TestTunnel& slow = fresh(1);
  slow.consume = false;
  TestTunnel& quick = fresh(3);
  send(slow, 64 << 10, 64 << 10);
  send(quick, 64 << 20, 2 << 20);
  EXPECT_GE(most, 1U << 19);
  EXPECT_LE(credit[1], (1U << 20) - (64U << 10));
  EXPECT_EQ(slow.input.size(), 64U << 10);
}

TEST_F(Grows, AnAnswerNobodyAskedForChangesNothing) {
  TestTunnel& stream = fresh(1);
  for (int i = 0; i < 50; ++i) {
    answers = frame(kPing, 1, 0, std::string_view("measure\0", 8)) +
              frame(kPing, 1, 0, "whatever") + frame(kPing, 1, 0, "shutdown");
    send(stream, 4096, 4096);
  }
  EXPECT_LE(most, 64U << 10);
  EXPECT_EQ(server.pongs, 0);
  EXPECT_EQ(server.noticed, 0);
}

TEST_F(TunnelPair, AStalledStreamStopsItselfAndNobodyElse) {
  std::vector<TestTunnel*> stalled;
  for (int i = 0; i < 70; ++i) {  // seventy windows: more than the connection's
    TestTunnel& up = connected();
    server.at(up.id).consume = false;
    send(client, up.id, std::string(kInitial + 1000, 's'));
    stalled.push_back(&up);
  }
  exchange();
  for (TestTunnel* up : stalled) {
    EXPECT_EQ(server.at(up->id).input.size(), kInitial);
    EXPECT_EQ(up->left(), 1000U);
  }
  TestTunnel& free = connected();
  send(client, free.id, std::string(8 << 20, 'f'));
  exchange();
  EXPECT_EQ(server.at(free.id).input.size(), 8U << 20);
  // Taking what lies there lets the rest come.
  server.session.consume(server.at(stalled[0]->id), kInitial);
  exchange();
  EXPECT_EQ(server.at(stalled[0]->id).input.size(), kInitial + 1000);
}

}  // namespace
}  // namespace culvert::h2
