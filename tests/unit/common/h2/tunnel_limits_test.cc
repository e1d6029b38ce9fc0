#include "tests/unit/common/h2/tunnel_fixture.h"

// What a peer may make us do, at each limit and one beyond.
namespace culvert::h2 {
namespace {

struct FewTunnels : TunnelRawClient {
  FewTunnels() : TunnelRawClient(tunnel_settings(2)) {}
};
struct ManyTunnels : TunnelRawClient {
  ManyTunnels() : TunnelRawClient(tunnel_settings(100'000)) {}
};

using Fields = std::vector<std::pair<std::string, std::string>>;

TEST_F(TunnelRawClient, MalformedHeadsResetOnlyTheirStream) {
  const Fields good{{":method", "CONNECT"}, {":authority", "a:1"}};
  const auto with = [&](std::string name, std::string value) {
    Fields fields = good;
    fields.emplace_back(std::move(name), std::move(value));
    return fields;
  };
  const std::vector<Fields> malformed{
      {{":method", "CONNECT"}},  // no authority
      with(":scheme", "http"),   // not for CONNECT
      with(":path", "/"),
      with(":protocol", "websocket"),
      {{":method", "GET"}, {":scheme", "http"}},                                // no path
      {{":method", "CONNECT"}, {":method", "CONNECT"}, {":authority", "a:1"}},  // twice
      with(":status", "200"),
      with("connection", "close"),                                        // hop-by-hop
      {{":method", "CONNECT"}, {"baggage", "x"}, {":authority", "a:1"}},  // pseudo too late
      with("x", "\x01"),
      with("X", "upper"),
  };
  StreamId id = 1;
  for (const auto& fields : malformed) {
    ASSERT_TRUE(feed(frame(kHeaders, 4, id, block(fields))));
    EXPECT_EQ(code_of(drain(), kRst, id), ErrorCode::kProtocolError) << "case " << id / 2;
    const auto told = server.streams.find(id);
    if (told != server.streams.end())
      EXPECT_EQ(told->second->log, "closed:PROTOCOL_ERROR") << "case " << id / 2;
    id += 2;
  }
  EXPECT_EQ(server.session.streams(), 0U);
  ASSERT_TRUE(feed(frame(kHeaders, 4, id, kConnectBlock)));
  EXPECT_EQ(server.at(id).log, "head ");
}

// The limit is of decoded fields with 32 bytes each (RFC 9113 section 6.5.2).
TEST_F(TunnelRawClient, AHeadOfTheListLimitIsFineAndOneByteMoreIsNot) {
  const Fields base{{":method", "CONNECT"}, {":authority", "a:1"}};
  size_t used = 0;
  for (const auto& [name, value] : base) used += name.size() + value.size() + 32;
  Fields fields = base;
  fields.emplace_back("x", std::string(16384 - used - 1 - 32, 'v'));
  ASSERT_TRUE(feed(frame(kHeaders, 4, 1, block(fields))));
  EXPECT_EQ(server.at(1).log, "head ");
  fields.back().second += 'v';
  ASSERT_TRUE(feed(frame(kHeaders, 4, 3, block(fields))));
  EXPECT_EQ(code_of(drain(), kRst, 3), ErrorCode::kEnhanceYourCalm);
  EXPECT_EQ(server.session.streams(), 1U);
  ASSERT_TRUE(feed(frame(kHeaders, 4, 5, kConnectBlock)));
  EXPECT_EQ(server.at(5).log, "head ");
}

TEST_F(TunnelRawClient, ManySmallFieldsAreALargeHead) {
  Fields fields{{":method", "CONNECT"}, {":authority", "a:1"}};
  fields.resize(470, {"x", "y"});
  ASSERT_TRUE(feed(frame(kHeaders, 4, 1, block(fields))));
  EXPECT_EQ(server.at(1).log, "head ");
  fields.resize(500, {"x", "y"});
  ASSERT_TRUE(feed(frame(kHeaders, 4, 3, block(fields))));
  EXPECT_EQ(code_of(drain(), kRst, 3), ErrorCode::kEnhanceYourCalm);
}

// A block far beyond the limit is not worth reading, and is not kept.
TEST_F(TunnelRawClient, AnEndlessHeaderBlockIsNotKept) {
  const std::string start = frame(kHeaders, 0, 1, kConnectBlock);
  ASSERT_TRUE(feed(start));
  Result<> result;
  size_t most = 0;
  for (int i = 0; i < 64 && result; ++i) {
    result = feed(frame(kContinuation, 0, 1, std::string(100'000, '\0')));
    most = std::max(most, server.session.held_bytes());
  }
  EXPECT_FALSE(result);
  EXPECT_LE(most, 2U << 20);
  EXPECT_TRUE(code_of(drain(), kGoaway));
}

TEST_F(TunnelRawClient, AControlFrameLongerThanAnyHeadEndsTheConnection) {
  for (const uint8_t type : {kHeaders, kSettings, kGoaway}) {
    SCOPED_TRACE(static_cast<int>(type));
    TunnelSide other(Role::kServer, tunnel_settings());
    ASSERT_TRUE(other.feed(kClientPreface + frame(kSettings, 0, 0, "")));
    const std::string text = frame(type, 4, type == kHeaders ? 1 : 0, std::string(600'000, '\0'));
    Result<> result;
    size_t most = 0;
    for (size_t i = 0; i < text.size() && result; i += 10'000) {
      result = other.feed(std::string_view(text).substr(i, 10'000));
      most = std::max(most, other.session.held_bytes());
    }
    EXPECT_FALSE(result);
    EXPECT_LE(most, 1U << 20);
  }
}

TEST_F(TunnelRawClient, ContinuationsAreLimited) {
  std::string text = frame(kHeaders, 0, 1, kConnectBlock);
  for (int i = 0; i < 63; ++i) text += frame(kContinuation, 0, 1, "");
  ASSERT_TRUE(feed(text + frame(kContinuation, 4, 1, "")));
  EXPECT_EQ(server.at(1).log, "head ");
  text = frame(kHeaders, 0, 3, kConnectBlock);
  for (int i = 0; i < 64; ++i) text += frame(kContinuation, 0, 3, "");
  ASSERT_TRUE(feed(text));
  EXPECT_TRUE(fails_with(feed(frame(kContinuation, 4, 3, "")), Errc::kFlood));
  EXPECT_EQ(code_of(drain(), kGoaway), ErrorCode::kEnhanceYourCalm);
  EXPECT_FALSE(server.streams.contains(3));
}

TEST_F(FewTunnels, MoreStreamsThanAnnouncedAreRefused) {
  ASSERT_TRUE(feed(frame(kHeaders, 4, 1, kConnectBlock) + frame(kHeaders, 4, 3, kConnectBlock) +
                   frame(kHeaders, 4, 5, kConnectBlock)));
  const auto frames = drain();
  EXPECT_EQ(server.streams.size(), 2U);
  EXPECT_EQ(code_of(frames, kRst, 5), ErrorCode::kRefusedStream);
  // Half-closed ones count, ended ones do not (RFC 9113 section 5.1.2).
  ASSERT_TRUE(feed(frame(kData, 1, 1, "") + frame(kHeaders, 4, 7, kConnectBlock)));
  EXPECT_EQ(code_of(drain(), kRst, 7), ErrorCode::kRefusedStream);
  server.respond(1, kTunnelOk, true);
  drain();
  ASSERT_TRUE(feed(frame(kHeaders, 4, 9, kConnectBlock)));
  EXPECT_EQ(server.at(9).log, "head ");
}

TEST_F(TunnelRawClient, AHandlerMayRefuse) {
  server.refuse = true;
  ASSERT_TRUE(feed(frame(kHeaders, 4, 1, kConnectBlock)));
  EXPECT_EQ(code_of(drain(), kRst, 1), ErrorCode::kRefusedStream);
  EXPECT_EQ(server.session.streams(), 0U);
}

TEST_F(TunnelRawClient, EmptyDataFramesAreAFlood) {
  tunnel(1);
  tunnel(3);
  const std::string empty = frame(kData, 0, 1, ""), padded = frame(kData, 8, 3, "\x02pp");
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(feed(i % 2 == 0 ? empty : padded)) << i;
  EXPECT_TRUE(fails_with(feed(empty), Errc::kFlood));
  EXPECT_EQ(code_of(drain(), kGoaway), ErrorCode::kEnhanceYourCalm);
}

TEST_F(TunnelRawClient, DataInBetweenMakesEmptyFramesHarmless) {
  tunnel(1);
  for (int i = 0; i < 3000; ++i)
    ASSERT_TRUE(feed(frame(kData, 0, 1, "") + (i % 500 == 0 ? frame(kData, 0, 1, "x") : "")));
}

// An empty frame that ends its stream carries the end.
TEST_F(ManyTunnels, EndsAreNoEmptyFrames) {
  for (StreamId id = 1; id < 4000; id += 2) {
    ASSERT_TRUE(feed(frame(kHeaders, 4, id, kConnectBlock) + frame(kData, 1, id, "")));
    server.respond(id, kTunnelOk, true);
    drain();
  }
}

// Of acknowledgements that the peer makes us queue but does not read.
TEST_F(TunnelRawClient, PingsAreAFloodWhenTheAnswersArePilingUp) {
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(feed(frame(kPing, 0, 0, "12345678"))) << i;
  EXPECT_TRUE(fails_with(feed(frame(kPing, 0, 0, "12345678")), Errc::kFlood));
  EXPECT_EQ(code_of(drain(), kGoaway), ErrorCode::kEnhanceYourCalm);
}
TEST_F(TunnelRawClient, SettingsAreAFloodWhenTheAnswersArePilingUp) {
  for (int i = 0; i < 1000; ++i)
    ASSERT_TRUE(feed(i % 2 == 0 ? frame(kSettings, 0, 0, "") : frame(kPing, 0, 0, "12345678")));
  EXPECT_TRUE(fails_with(feed(frame(kSettings, 0, 0, "")), Errc::kFlood));
}
TEST_F(TunnelRawClient, PingsThatAreAnsweredAreNoFlood) {
  for (int i = 0; i < 5000; ++i) {
    ASSERT_TRUE(feed(frame(kPing, 0, 0, "12345678")));
    if (i % 900 == 0) drain();
  }
}
TEST_F(TunnelRawClient, AnswersFromThePeerAreNoFlood) {
  for (int i = 0; i < 5000; ++i) ASSERT_TRUE(feed(frame(kPing, 1, 0, "12345678")));
  for (int i = 0; i < 5000; ++i) ASSERT_TRUE(feed(frame(kSettings, 1, 0, "")));
  EXPECT_FALSE(server.session.wants_write());
}

TEST_F(TunnelRawClient, RapidResetsEndTheConnection) {
  StreamId id = 1;
  for (int i = 0; i < 1000; ++i, id += 2) {
    ASSERT_TRUE(feed(frame(kHeaders, 4, id, kConnectBlock) + frame(kRst, 0, id, be(8, 4)))) << i;
    drain();
  }
  EXPECT_TRUE(fails_with(feed(frame(kHeaders, 4, id, kConnectBlock) + frame(kRst, 0, id, be(8, 4))),
                         Errc::kFlood));
  EXPECT_EQ(code_of(drain(), kGoaway), ErrorCode::kEnhanceYourCalm);
}

// Applications that give up tunnels that work are no flood.
TEST_F(TunnelRawClient, ResetsOfAnsweredStreamsAreNoFlood) {
  for (StreamId id = 1; id < 6000; id += 2) {
    tunnel(id);
    ASSERT_TRUE(feed(frame(kRst, 0, id, be(8, 4))));
  }
}

// The peer breaks good streams in ways that make us send the reset, which limits on its own resets
// do not see.
TEST_F(TunnelRawClient, ResetsThePeerForcesAreAFlood) {
  StreamId id = 1;
  const auto broken = [&] {
    return frame(kHeaders, 4, id, kConnectBlock) + window_update(id, 0x7fffffff);
  };
  for (int i = 0; i < 1000; ++i, id += 2) {
    ASSERT_TRUE(feed(broken())) << i;
    EXPECT_EQ(code_of(drain(), kRst, id), ErrorCode::kFlowControlError);
  }
  EXPECT_TRUE(fails_with(feed(broken()), Errc::kFlood));
  EXPECT_EQ(code_of(drain(), kGoaway), ErrorCode::kEnhanceYourCalm);
}
TEST_F(TunnelRawClient, MalformedHeadsAreAFlood) {
  StreamId id = 1;
  for (int i = 0; i < 1000; ++i, id += 2) {
    ASSERT_TRUE(feed(frame(kHeaders, 4, id, block({{":method", "CONNECT"}})))) << i;
    drain();
  }
  EXPECT_TRUE(
      fails_with(feed(frame(kHeaders, 4, id, block({{":method", "CONNECT"}}))), Errc::kFlood));
}

// A long-lived tunnel may see any number of broken streams if as many do well.
TEST_F(TunnelRawClient, AStreamThatEndsWellMakesUpForOneThatDidNot) {
  for (StreamId id = 1; id < 6000; id += 4) {
    ASSERT_TRUE(feed(frame(kHeaders, 4, id, kConnectBlock) + window_update(id, 0x7fffffff) +
                     frame(kHeaders, 5, id + 2, kConnectBlock)));
    server.respond(id + 2, kTunnelOk, true);
    drain();
    ASSERT_EQ(server.at(id + 2).closed, ErrorCode::kNoError);
  }
}

// But not in advance.
TEST_F(TunnelRawClient, GoodStreamsAreNoCreditForBadOnes) {
  StreamId id = 1;
  for (int i = 0; i < 2000; ++i, id += 2) {
    ASSERT_TRUE(feed(frame(kHeaders, 5, id, kConnectBlock)));
    server.respond(id, kTunnelOk, true);
    drain();
  }
  Result<> result;
  int broken = 0;
  for (; result && broken < 3000; ++broken, id += 2) {
    result = feed(frame(kHeaders, 4, id, kConnectBlock) + window_update(id, 0x7fffffff));
    drain();
  }
  EXPECT_EQ(broken, 1001);
}

// More than it was told it may have is an error of the peer's.
TEST_F(FewTunnels, StreamsBeyondTheLimitAreAFlood) {
  tunnel(1);
  tunnel(3);
  StreamId id = 5;
  for (int i = 0; i < 1000; ++i, id += 2) {
    ASSERT_TRUE(feed(frame(kHeaders, 4, id, kConnectBlock))) << i;
    EXPECT_EQ(code_of(drain(), kRst, id), ErrorCode::kRefusedStream);
  }
  EXPECT_TRUE(fails_with(feed(frame(kHeaders, 4, id, kConnectBlock)), Errc::kFlood));
}

// Refusals are no errors of the peer, but it has to read them.
TEST_F(TunnelRawClient, FramesThatThePeerCausesAndDoesNotReadAreAFlood) {
  server.refuse = true;
  StreamId id = 1;
  for (int i = 0; i < 10'000; ++i, id += 2)
    ASSERT_TRUE(feed(frame(kHeaders, 4, id, kConnectBlock))) << i;
  EXPECT_TRUE(fails_with(feed(frame(kHeaders, 4, id, kConnectBlock)), Errc::kFlood));
  EXPECT_EQ(code_of(drain(), kGoaway), ErrorCode::kEnhanceYourCalm);
}
TEST_F(TunnelRawClient, RefusalsThatAreReadAreNoFlood) {
  server.refuse = true;
  for (StreamId id = 1; id < 30'000; id += 2) {
    ASSERT_TRUE(feed(frame(kHeaders, 4, id, kConnectBlock)));
    if (id % 1001 == 0) drain();
  }
}

TEST_F(TunnelRawClient, ResetsOfOurOwnAreNoFlood) {
  for (StreamId id = 1; id < 6000; id += 2) {
    ASSERT_TRUE(feed(frame(kHeaders, 4, id, kConnectBlock)));
    server.session.reset(server.at(id),
                         id % 4 == 1 ? ErrorCode::kCancel : ErrorCode::kConnectError);
    EXPECT_TRUE(code_of(drain(), kRst, id));
  }
}

}  // namespace
}  // namespace culvert::h2
