#include "tests/unit/common/h2/session_fixture.h"

namespace culvert::h2 {
namespace {

struct FewStreams : RawClient {
  FewStreams() : RawClient(2) {}
};

bool is(const Result<>& result, Errc expected) {
  return !result && result.error().code == make_error_code(expected);
}

TEST(SessionPreface, SomethingElseIsNotHttp2) {
  Side server(Role::kServer, server_settings());
  const std::string text = "GET / HTTP/1.1\r\nHost: example\r\n\r\n";
  EXPECT_TRUE(is(server.session.feed(as_bytes(text)), Errc::kHandshake));
}

TEST_F(RawClient, MalformedHeadsResetOnlyTheirStream) {
  using Fields = std::vector<std::pair<std::string, std::string>>;
  const std::vector<Fields> malformed{
      {{":method", "CONNECT"}},                                              // no authority
      {{":method", "CONNECT"}, {":authority", "a:1"}, {":scheme", "http"}},  // not for CONNECT
      {{":method", "CONNECT"}, {":authority", "a:1"}, {":path", "/"}},
      {{":method", "CONNECT"}, {":authority", "a:1"}, {":protocol", "websocket"}},
      {{":method", "GET"}, {":scheme", "http"}},                                // no path
      {{":method", "CONNECT"}, {":method", "CONNECT"}, {":authority", "a:1"}},  // twice
      {{":method", "CONNECT"}, {":authority", "a:1"}, {":status", "200"}},
      {{":method", "CONNECT"}, {":authority", "a:1"}, {"connection", "close"}},  // hop-by-hop
      {{":method", "CONNECT"}, {"baggage", "x"}, {":authority", "a:1"}},         // pseudo too late
  };
  StreamId id = 1;
  for (const auto& fields : malformed) {
    ASSERT_TRUE(feed(frame(kHeaders, 4, id, block(fields))));
    EXPECT_EQ(code_of(drain(), kRst, id), ErrorCode::kProtocolError) << "case " << id / 2;
    EXPECT_EQ(server.at(id).log, "closed:PROTOCOL_ERROR") << "case " << id / 2;
    id += 2;
  }
  ASSERT_TRUE(feed(frame(kHeaders, 4, id, kConnectBlock)));
  EXPECT_EQ(server.at(id).log, "head ");
}

TEST_F(RawClient, BrokenCompressionEndsTheConnection) {
  static_cast<void>(feed(frame(kHeaders, 4, 1, "\xff\xff\xff\xff\xff\xff")));
  EXPECT_EQ(code_of(drain(), kGoaway), ErrorCode::kCompressionError);
  EXPECT_TRUE(server.session.finished());
}

TEST_F(RawClient, HeadersBeyondTheListLimitResetTheStream) {
  // Five fields of 15,000: 75 KB, in a frame of less than the 1 MiB we allow.
  std::vector<std::pair<std::string, std::string>> fields{{":method", "CONNECT"},
                                                          {":authority", "a:1"}};
  for (int i = 0; i < 4; ++i) fields.emplace_back("x", std::string(15'000, 'v'));
  ASSERT_TRUE(feed(frame(kHeaders, 4, 1, block(fields))));
  EXPECT_EQ(server.at(1).log, "head ");
  fields.emplace_back("x", std::string(15'000, 'v'));
  ASSERT_TRUE(feed(frame(kHeaders, 4, 3, block(fields))));
  EXPECT_EQ(code_of(drain(), kRst, 3), ErrorCode::kEnhanceYourCalm);
  EXPECT_EQ(server.at(3).log, "closed:ENHANCE_YOUR_CALM");
}

TEST_F(FewStreams, MoreStreamsThanAnnouncedAreNotServed) {
  static_cast<void>(feed(frame(kHeaders, 4, 1, kConnectBlock) +
                         frame(kHeaders, 4, 3, kConnectBlock) +
                         frame(kHeaders, 4, 5, kConnectBlock)));
  const auto frames = drain();
  EXPECT_EQ(server.streams.size(), 2U);
  EXPECT_TRUE(code_of(frames, kRst, 5) || code_of(frames, kGoaway));
}

TEST_F(RawClient, AHandlerMayRefuse) {
  server.refuse = true;
  ASSERT_TRUE(feed(frame(kHeaders, 4, 1, kConnectBlock)));
  EXPECT_EQ(code_of(drain(), kRst, 1), ErrorCode::kRefusedStream);
  EXPECT_EQ(server.session.streams(), 0U);
}

TEST_F(RawClient, EmptyDataFramesAreAFlood) {
  ASSERT_TRUE(feed(frame(kHeaders, 4, 1, kConnectBlock)));
  const std::string empty = frame(kData, 0, 1, "");
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(feed(empty)) << i;
  EXPECT_TRUE(is(feed(empty), Errc::kFlood));
  EXPECT_EQ(code_of(drain(), kGoaway), ErrorCode::kEnhanceYourCalm);
}

TEST_F(RawClient, DataInBetweenMakesEmptyFramesHarmless) {
  ASSERT_TRUE(feed(frame(kHeaders, 4, 1, kConnectBlock)));
  for (int i = 0; i < 3000; ++i)
    ASSERT_TRUE(feed(frame(kData, 0, 1, "") + (i % 500 == 0 ? frame(kData, 0, 1, "x") : "")));
}

// Of acknowledgements that the peer makes us queue but does not read.
TEST_F(RawClient, PingsAreAFloodWhenTheAnswersArePilingUp) {
  Result<> result;
  int sent = 0;
  for (; result && sent < 5000; ++sent) result = feed(frame(kPing, 0, 0, "12345678"));
  EXPECT_TRUE(is(result, Errc::kFlood));
  EXPECT_LE(sent, 1100);
  EXPECT_EQ(code_of(drain(), kGoaway), ErrorCode::kEnhanceYourCalm);
}

TEST_F(RawClient, SettingsAreAFloodWhenTheAnswersArePilingUp) {
  Result<> result;
  int sent = 0;
  for (; result && sent < 5000; ++sent) result = feed(frame(kSettings, 0, 0, ""));
  EXPECT_TRUE(is(result, Errc::kFlood));
  EXPECT_LE(sent, 1100);
}

TEST_F(RawClient, RapidResetsEndTheConnection) {
  StreamId id = 1;
  bool ended = false;
  for (; !ended && id < 20'000; id += 2) {
    const auto result = feed(frame(kHeaders, 4, id, kConnectBlock) + frame(kRst, 0, id, be(8, 4)));
    ended = !result || code_of(drain(), kGoaway).has_value();
  }
  EXPECT_TRUE(ended);
  EXPECT_LE(id, 2400);
}

// The peer breaks good streams in ways that make us send the reset, which limits on its own resets
// do not see.
TEST_F(RawClient, ResetsThePeerForcesAreAFlood) {
  StreamId id = 1;
  bool ended = false;
  for (; !ended && id < 20'000; id += 2) {
    const auto result = feed(frame(kHeaders, 4, id, kConnectBlock) +
                             frame(kWindow, 0, id, be(0x7fffffff, 4)));  // window overflow
    const auto frames = drain();
    ended = !result || !server.drained;
    if (!ended) EXPECT_EQ(code_of(frames, kRst, id), ErrorCode::kFlowControlError);
  }
  EXPECT_TRUE(ended);
  EXPECT_LE(id, 2100);
  EXPECT_EQ(code_of(drain(), kGoaway), ErrorCode::kEnhanceYourCalm);
}

TEST_F(RawClient, ResetsOfOurOwnAreNoFlood) {
  for (StreamId id = 1; id < 6000; id += 2) {
    ASSERT_TRUE(feed(frame(kHeaders, 4, id, kConnectBlock)));
    server.session.reset(id, id % 4 == 1 ? ErrorCode::kCancel : ErrorCode::kConnectError);
    EXPECT_TRUE(code_of(drain(), kRst, id));
    ASSERT_TRUE(server.drained);
  }
}

TEST_F(RawClient, MoreThanTheWindowIsAnError) {
  ASSERT_TRUE(feed(frame(kHeaders, 4, 1, kConnectBlock)));
  server.at(1).consume = false;
  const std::string mib(1U << 20, 'x');
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(feed(frame(kData, 0, 1, mib)));
  static_cast<void>(feed(frame(kData, 0, 1, "y")));
  const auto frames = drain();
  EXPECT_TRUE(code_of(frames, kRst, 1) == ErrorCode::kFlowControlError ||
              code_of(frames, kGoaway) == ErrorCode::kFlowControlError);
  EXPECT_EQ(server.at(1).closed, ErrorCode::kFlowControlError);
}

// Padding and data for streams that are gone count against the connection's window as well.
TEST_F(RawClient, WhatNobodyReadsGivesTheConnectionWindowBack) {
  ASSERT_TRUE(feed(frame(kHeaders, 4, 1, kConnectBlock)));
  server.session.reset(1, ErrorCode::kCancel);
  drain();
  const std::string mib(1U << 20, 'x');
  for (int i = 0; i < 64; ++i) {
    ASSERT_TRUE(feed(frame(kData, 0, 1, mib)));
    EXPECT_FALSE(code_of(drain(), kGoaway));
  }
  ASSERT_TRUE(feed(frame(kHeaders, 4, 3, kConnectBlock)));
  const std::string padded = '\xff' + std::string("d") + std::string(255, '\0');
  for (int i = 0; i < 100'000; ++i) {
    ASSERT_TRUE(feed(frame(kData, 8, 3, padded)));
    if (i % 1000 == 0) ASSERT_FALSE(code_of(drain(), kRst, 3));
  }
  EXPECT_EQ(server.at(3).input.size(), 100'000U);
}

class RawServer : public testing::Test {
 protected:
  RawServer() { client.drain(); }
  Result<> feed(std::string_view bytes) { return client.session.feed(as_bytes(bytes)); }
  Side client{Role::kClient, {}};
};

TEST_F(RawServer, ThePeersStreamLimitIsKnownAndHeldToAndARequestHeldBackIsRefusedAtGoaway) {
  EXPECT_EQ(client.session.peer_max_streams(), 100U);
  ASSERT_TRUE(feed(frame(kSettings, 0, 0, be(3, 2) + be(1, 4))));
  EXPECT_EQ(client.session.peer_max_streams(), 1U);
  EXPECT_EQ(client.settings_seen, 1);
  TestStream& first = client.open();
  TestStream& held = client.open();
  const auto frames = parse(client.drain());
  EXPECT_EQ(std::ranges::count_if(frames, [](const Frame& f) { return f.type == kHeaders; }), 1);
  ASSERT_TRUE(feed(frame(kGoaway, 0, 0, be(1, 4) + be(0, 4))));
  client.drain();
  ASSERT_TRUE(feed(frame(kHeaders, 5, 1, block({{":status", "200"}}))));
  client.session.reset(1, ErrorCode::kCancel);
  client.drain();
  EXPECT_TRUE(first.closed);
  EXPECT_EQ(held.closed, ErrorCode::kRefusedStream);
  EXPECT_EQ(client.session.streams(), 0U);
}

TEST_F(RawServer, AnInformationalAnswerIsNotTheAnswer) {
  ASSERT_TRUE(feed(frame(kSettings, 0, 0, "")));
  TestStream& stream = client.open();
  client.drain();
  ASSERT_TRUE(feed(frame(kHeaders, 4, 1, block({{":status", "103"}, {"link", "x"}}))));
  EXPECT_EQ(stream.log, "");
  ASSERT_TRUE(feed(frame(kHeaders, 4, 1, block({{":status", "200"}}))));
  EXPECT_EQ(stream.log, "head ");
  EXPECT_EQ(stream.head.get("link"), std::nullopt);
}

TEST_F(RawServer, PushIsRefused) {
  ASSERT_TRUE(feed(frame(kSettings, 0, 0, "") + frame(kSettings, 1, 0, "")));
  client.open();
  client.drain();
  static_cast<void>(feed(frame(kPush, 4, 1, be(2, 4) + kConnectBlock)));
  EXPECT_EQ(code_of(parse(client.drain()), kGoaway), ErrorCode::kProtocolError);
}

}  // namespace
}  // namespace culvert::h2
