#include "tests/unit/common/h2/session_fixture.h"

namespace culvert::h2 {
namespace {

struct FewStreams : RawClient {
  FewStreams() : RawClient(2) {}
};
struct ManyStreams : RawClient {
  ManyStreams() : RawClient(100'000) {}
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
  EXPECT_EQ(server.at(3).log, "too-large closed:ENHANCE_YOUR_CALM");
}

// Decoded fields cost more than their bytes (RFC 9113 section 6.5.2).
TEST_F(RawClient, ManySmallFieldsAreALargeHead) {
  std::vector<std::pair<std::string, std::string>> fields{{":method", "CONNECT"},
                                                          {":authority", "a:1"}};
  fields.resize(1900, {"x", "y"});
  ASSERT_TRUE(feed(frame(kHeaders, 4, 1, block(fields))));
  EXPECT_EQ(server.at(1).log, "head ");
  fields.resize(2000, {"x", "y"});
  ASSERT_TRUE(feed(frame(kHeaders, 4, 3, block(fields))));
  EXPECT_EQ(code_of(drain(), kRst, 3), ErrorCode::kEnhanceYourCalm);
}

TEST_F(RawClient, AHandlerMayAnswerAHeadThatIsTooLarge) {
  server.answers_too_large = true;
  std::vector<std::pair<std::string, std::string>> fields{{":method", "CONNECT"},
                                                          {":authority", "a:1"}};
  fields.resize(3000, {"x", "y"});
  ASSERT_TRUE(feed(frame(kHeaders, 4, 1, block(fields))));
  EXPECT_EQ(server.at(1).log, "too-large ");
  const auto frames = drain();
  EXPECT_TRUE(std::ranges::any_of(frames, [](const Frame& f) { return f.type == kHeaders; }));
  EXPECT_EQ(code_of(frames, kRst, 1), ErrorCode::kNoError);  // what is left of it is not wanted
}

// nghttp2 alone would leave the field out and go on, and a policy on it would not match.
TEST_F(RawClient, AFieldThatIsNoneMakesTheWholeHeadMalformed) {
  ASSERT_TRUE(feed(frame(kHeaders, 4, 1,
                         block({{":method", "CONNECT"}, {":authority", "a:1"}, {"x", "\x01"}}))));
  EXPECT_EQ(code_of(drain(), kRst, 1), ErrorCode::kProtocolError);
  EXPECT_EQ(server.at(1).log, "closed:PROTOCOL_ERROR");
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

// A long-lived tunnel may see any number of broken streams if as many do well.
TEST_F(RawClient, AStreamThatEndsWellMakesUpForOneThatDidNot) {
  for (StreamId id = 1; id < 6000; id += 4) {
    ASSERT_TRUE(feed(frame(kHeaders, 4, id, kConnectBlock) +
                     frame(kWindow, 0, id, be(0x7fffffff, 4)) +
                     frame(kHeaders, 5, id + 2, kConnectBlock)));
    server.session.respond(id + 2, kOk, true);
    drain();
    ASSERT_TRUE(server.drained) << id;
    ASSERT_EQ(server.at(id + 2).closed, ErrorCode::kNoError);
  }
}

// Nothing of this is an acknowledgement, which nghttp2 has limits for.
TEST_F(ManyStreams, FramesThatThePeerCausesAndDoesNotReadAreAFlood) {
  const std::string malformed = block({{":method", "CONNECT"}});
  Result<> result;
  int sent = 0;
  for (; result && sent < 20'000; ++sent)
    result = feed(frame(kHeaders, 4, 2 * sent + 1, malformed));
  EXPECT_TRUE(is(result, Errc::kFlood));
  EXPECT_LE(sent, 10'100);
}

TEST_F(RawClient, ADrainEndsNearItsLimit) {
  ASSERT_TRUE(feed(frame(kSettings, 0, 0, be(4, 2) + be(0x7fffffff, 4)) +
                   frame(kWindow, 0, 0, be(0x3fffffff, 4)) + frame(kHeaders, 4, 1, kConnectBlock)));
  server.session.respond(1, kOk, false);
  server.at(1).output.assign(4U << 20, 'x');
  ByteQueue out;
  ASSERT_TRUE(server.session.drain(out, 65536));
  EXPECT_GE(out.size(), 65536U - 16384);
  EXPECT_LE(out.size(), 65536U + 16384);
  EXPECT_TRUE(server.session.wants_write());
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
  EXPECT_EQ(held.closed, ErrorCode::kRefusedStream);  // at once: it may go to another connection
  client.drain();
  ASSERT_TRUE(feed(frame(kHeaders, 5, 1, block({{":status", "200"}}))));
  client.session.reset(1, ErrorCode::kCancel);
  client.drain();
  EXPECT_TRUE(first.closed);
  EXPECT_EQ(client.session.streams(), 0U);
}

// The notice of a graceful shutdown names no last stream (RFC 9113 section 6.8), but forbids new
// ones.
TEST_F(RawServer, ARequestHeldBackIsRefusedAfterTheNoticeOfAShutdown) {
  ASSERT_TRUE(feed(frame(kSettings, 0, 0, be(3, 2) + be(1, 4))));
  TestStream& first = client.open();
  TestStream& held = client.open();
  client.drain();
  ASSERT_TRUE(feed(frame(kGoaway, 0, 0, be(0x7fffffff, 4) + be(0, 4))));
  EXPECT_FALSE(client.session.accepts_requests());
  EXPECT_FALSE(first.closed);
  ASSERT_TRUE(feed(frame(kHeaders, 5, 1, block({{":status", "200"}}))));
  client.session.reset(1, ErrorCode::kCancel);
  const auto frames = parse(client.drain());
  EXPECT_TRUE(std::ranges::none_of(frames, [](const Frame& f) { return f.type == kHeaders; }));
  EXPECT_EQ(held.closed, ErrorCode::kRefusedStream);
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

TEST_F(RawServer, AnAnswerThatNeverBeginsIsReset) {
  ASSERT_TRUE(feed(frame(kSettings, 0, 0, "")));
  TestStream& stream = client.open();
  client.drain();
  const std::string early = frame(kHeaders, 4, 1, block({{":status", "103"}}));
  for (int i = 0; i < 16; ++i) ASSERT_TRUE(feed(early));
  EXPECT_FALSE(code_of(parse(client.drain()), kRst, 1));
  ASSERT_TRUE(feed(early));
  EXPECT_EQ(code_of(parse(client.drain()), kRst, 1), ErrorCode::kEnhanceYourCalm);
  EXPECT_EQ(stream.closed, ErrorCode::kEnhanceYourCalm);
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
