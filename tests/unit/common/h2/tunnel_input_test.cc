#include "tests/unit/common/h2/tunnel_fixture.h"

// How what arrives is handed on.
namespace culvert::h2 {
namespace {

const std::string kMiB(1U << 20, 'm');

// A conversation with everything in it that a good client says.
std::string conversation() {
  const std::string head =
      block({{":method", "CONNECT"}, {":authority", "10.0.0.1:80"}, {"x", std::string(300, 'v')}});
  const std::string padded = std::string("\x03") + "padded" + std::string(3, '\0');
  return kClientPreface + frame(kSettings, 0, 0, setting(4, 70'000) + setting(99, 1)) +
         frame(kHeaders, 4, 1, head) + frame(kData, 0, 1, "first") +
         frame(kPriority, 0, 3, std::string(5, '\0')) + frame(kHeaders, 0, 3, head.substr(0, 7)) +
         frame(kContinuation, 0, 3, head.substr(7, 9)) + frame(kContinuation, 0, 3, "") +
         frame(kContinuation, 4, 3, head.substr(16)) + frame(kData, 8, 3, padded) +
         frame(kData, 0, 1, "") + frame(0x77, 0xff, 9, "unknown") + window_update(1, 1000) +
         window_update(0, 1000) + frame(kPing, 0, 0, "pingping") +
         frame(kData, 1, 1, std::string(100, 'd')) + frame(kSettings, 1, 0, "") +
         frame(kHeaders, 0x2d, 5, std::string("\x02") + std::string(5, '\0') + head + "pp") +
         frame(kRst, 0, 3, be(8, 4)) + frame(kGoaway, 0, 0, be(0, 4) + be(2, 4) + "why");
}

struct Told {
  std::string text, output;
};
// What a server tells of `text`, which comes in pieces of `piece` bytes from `from` on.
Told told(const std::string& text, size_t from, size_t piece) {
  TunnelSide server(Role::kServer, tunnel_settings());
  for (size_t at = 0; at < text.size();) {
    const size_t n = at < from ? from : std::min(piece, text.size() - at);
    EXPECT_TRUE(server.feed(std::string_view(text).substr(at, n))) << "at " << at;
    at += n;
  }
  Told out;
  for (auto& [id, stream] : server.streams) {
    out.text += std::to_string(id) + ": " + stream->log + stream->input + "\n";
    for (const auto& field : stream->head.fields) out.text += field.name + "=" + field.value + ";";
  }
  for (const auto& [code, last] : server.goaways)
    out.text += std::string(to_string(code)) + std::to_string(last);
  out.output = server.drain();
  return out;
}

TEST(TunnelInput, ACutAtAnyByteMakesNoDifference) {
  const std::string text = conversation();
  const Told whole = told(text, 0, text.size());
  EXPECT_NE(whole.text.find("1: head end first" + std::string(100, 'd')), std::string::npos)
      << whole.text;
  EXPECT_NE(whole.text.find("3: head closed:CANCELpadded"), std::string::npos) << whole.text;
  EXPECT_NE(whole.text.find("5: head-end end "), std::string::npos) << whole.text;
  EXPECT_NE(whole.text.find("INTERNAL_ERROR0"), std::string::npos) << whole.text;
  for (size_t cut = 1; cut < text.size(); ++cut) {
    const Told cut_once = told(text, cut, text.size());
    EXPECT_EQ(cut_once.text, whole.text) << "cut at " << cut;
    EXPECT_EQ(cut_once.output, whole.output) << "cut at " << cut;
  }
  for (const size_t piece : {1, 2, 3, 10}) {
    const Told pieces = told(text, 0, piece);
    EXPECT_EQ(pieces.text, whole.text) << "pieces of " << piece;
    EXPECT_EQ(pieces.output, whole.output) << "pieces of " << piece;
  }
}

TEST_F(TunnelRawClient, DataIsHandedOnBeforeItsFrameIsComplete) {
  TestTunnel& stream = tunnel(1);
  const std::string whole = frame(kData, 1, 1, std::string(1000, 'x'));
  ASSERT_TRUE(feed(whole.substr(0, 509)));
  EXPECT_EQ(stream.input.size(), 500U);
  drain();
  EXPECT_LE(server.session.held_bytes(), TunnelSession::kIdleBytes);
  ASSERT_TRUE(feed(whole.substr(509)));
  EXPECT_EQ(stream.input.size(), 1000U);
  EXPECT_EQ(stream.log, "head end ");
}

TEST_F(TunnelRawClient, AReadIsHandedOnAtOnceAndLiesWhereItWasRead) {
  TestTunnel& stream = tunnel(1);
  std::string text = frame(kData, 0, 1, "one") + frame(kPing, 0, 0, "12345678") +
                     frame(kData, 0, 1, "two") + frame(kData, 0, 1, "") + window_update(1, 10) +
                     frame(kData, 0, 1, "three");
  const MutableBytes bytes{reinterpret_cast<uint8_t*>(text.data()), text.size()};
  ASSERT_TRUE(server.session.feed(bytes));
  EXPECT_TRUE(stream.calls.empty());  // more may come
  server.session.end_of_read();
  EXPECT_EQ(stream.calls, std::vector<size_t>{3});
  EXPECT_EQ(stream.input, "onetwothree");
  for (size_t i = 0; i < 3; ++i) {
    const char* expected = text.data() + text.find(i == 0 ? "one" : i == 1 ? "two" : "three");
    EXPECT_EQ(stream.places[i].iov_base, expected);
  }
  server.session.end_of_read();  // nothing is left
  EXPECT_EQ(stream.calls.size(), 1U);
}

TEST_F(TunnelRawClient, SeveralReadsBeforeTheEndAreGatheredTogether) {
  TestTunnel& stream = tunnel(1);
  std::string a = frame(kData, 0, 1, "abc"), b = frame(kData, 0, 1, "def");
  ASSERT_TRUE(server.session.feed({reinterpret_cast<uint8_t*>(a.data()), a.size()}));
  ASSERT_TRUE(server.session.feed({reinterpret_cast<uint8_t*>(b.data()), b.size()}));
  server.session.end_of_read();
  EXPECT_EQ(stream.input, "abcdef");
  EXPECT_EQ(stream.calls, std::vector<size_t>{2});
}

TEST_F(TunnelRawClient, AnotherStreamsDataHandsOnWhatWasGathered) {
  TestTunnel& a = tunnel(1);
  TestTunnel& b = tunnel(3);
  std::string order;
  a.hook = [&](std::string_view) { order += "a"; };
  b.hook = [&](std::string_view) { order += "b"; };
  ASSERT_TRUE(feed(frame(kData, 0, 1, "1") + frame(kData, 0, 1, "2") + frame(kData, 0, 3, "3") +
                   frame(kData, 0, 1, "4")));
  EXPECT_EQ(order, "aba");
  EXPECT_EQ(a.input, "124");
  EXPECT_EQ(a.calls, (std::vector<size_t>{2, 1}));
  EXPECT_EQ(b.calls, std::vector<size_t>{1});
}

TEST_F(TunnelRawClient, AtMost64PiecesAreGathered) {
  TestTunnel& stream = tunnel(1);
  std::string text, expected;
  for (int i = 0; i < 130; ++i) {
    expected += static_cast<char>('a' + i % 26);
    text += frame(kData, 0, 1, expected.substr(static_cast<size_t>(i)));
  }
  ASSERT_TRUE(feed(text));
  EXPECT_EQ(stream.calls, (std::vector<size_t>{64, 64, 2}));
  EXPECT_EQ(stream.input, expected);
}

TEST_F(TunnelRawClient, DataComesBeforeWhatFollowsIt) {
  std::vector<std::string> order;
  const auto watch = [&](TestTunnel& stream) {
    stream.hook = [&](std::string_view where) { order.emplace_back(where); };
  };
  watch(tunnel(1));
  ASSERT_TRUE(feed(frame(kData, 0, 1, "x") + frame(kData, 1, 1, "y")));
  EXPECT_EQ(order, (std::vector<std::string>{"data", "end"}));
  order.clear();
  watch(tunnel(3));
  ASSERT_TRUE(feed(frame(kData, 0, 3, "x") + frame(kRst, 0, 3, be(8, 4))));
  EXPECT_EQ(order, (std::vector<std::string>{"data", "closed"}));
  order.clear();
  watch(tunnel(5));
  ASSERT_TRUE(feed(frame(kData, 0, 5, "x") + frame(kHeaders, 5, 5, block({{"t", "v"}}))));
  EXPECT_EQ(order, (std::vector<std::string>{"data", "end"}));
  order.clear();
  watch(tunnel(7));
  ASSERT_TRUE(feed(frame(kData, 0, 7, "x") + frame(kData, 1, 7, "")));
  EXPECT_EQ(order, (std::vector<std::string>{"data", "end"}));
}

// What came before the error is good.
TEST_F(TunnelRawClient, DataBeforeAConnectionErrorIsHandedOn) {
  TestTunnel& stream = tunnel(1);
  EXPECT_FALSE(feed(frame(kData, 0, 1, "good") + frame(kPush, 4, 1, be(2, 4) + kConnectBlock)));
  EXPECT_EQ(stream.input, "good");
}

TEST_F(TunnelRawClient, TrailersAreTheEndAndNobodyIsToldOfThem) {
  TestTunnel& stream = tunnel(1);
  ASSERT_TRUE(feed(frame(kData, 0, 1, "x") + frame(kHeaders, 5, 1, block({{"grpc-status", "0"}}))));
  EXPECT_EQ(stream.log, "head end ");
  EXPECT_EQ(stream.head.get("grpc-status"), std::nullopt);
}

TEST_F(TunnelRawClient, PaddingIsLeftOut) {
  TestTunnel& stream = tunnel(1);
  for (const size_t padding : {size_t{0}, size_t{1}, size_t{255}}) {
    for (const std::string& data : {std::string(), std::string("d"), std::string(1000, 'e')}) {
      stream.input.clear();
      const std::string text =
          frame(kData, 8, 1, static_cast<char>(padding) + data + std::string(padding, 'P'));
      for (size_t cut = 1; cut < std::min<size_t>(text.size(), 20); ++cut) {
        stream.input.clear();
        ASSERT_TRUE(feed(text.substr(0, cut)));
        ASSERT_TRUE(feed(text.substr(cut)));
        ASSERT_EQ(stream.input, data) << "padding " << padding << " cut " << cut;
      }
    }
  }
  ASSERT_TRUE(feed(frame(kData, 9, 1, std::string("\x02") + "xyPP")));
  EXPECT_TRUE(stream.input.ends_with("xy"));
  EXPECT_EQ(stream.log, "head end ");
}

TEST_F(TunnelRawClient, LongFramesAndCutControlFramesAreKeptOnlyAsLongAsNeeded) {
  TestTunnel& stream = tunnel(1);
  ASSERT_TRUE(feed(frame(kData, 0, 1, kMiB.substr(0, 200'000))));
  EXPECT_EQ(stream.input.size(), 200'000U);
  drain();
  EXPECT_LE(server.session.held_bytes(), TunnelSession::kIdleBytes);
  const size_t idle = server.session.held_bytes();
  const std::string ping = frame(kPing, 0, 0, "12345678");
  ASSERT_TRUE(feed(ping.substr(0, 12)));
  EXPECT_GT(server.session.held_bytes(), idle);
  ASSERT_TRUE(feed(ping.substr(12)));
  EXPECT_EQ(count_of(drain(), kPing), 1U);
  EXPECT_LE(server.session.held_bytes(), TunnelSession::kIdleBytes);
  const std::string head = frame(kHeaders, 0, 3, kConnectBlock.substr(0, 5));
  const size_t before = server.session.held_bytes();
  ASSERT_TRUE(feed(head));
  EXPECT_GT(server.session.held_bytes(), before);
  ASSERT_TRUE(feed(frame(kContinuation, 4, 3, kConnectBlock.substr(5))));
  EXPECT_EQ(server.at(3).log, "head ");
  EXPECT_LE(server.session.held_bytes(), TunnelSession::kIdleBytes);
}

TEST_F(TunnelRawServer, AnInformationalAnswerIsNotTheAnswer) {
  greet();
  TestTunnel& stream = client.open();
  drain();
  ASSERT_TRUE(feed(frame(kHeaders, 4, 1, block({{":status", "103"}, {"link", "x"}}))));
  EXPECT_EQ(stream.log, "");
  ASSERT_TRUE(feed(frame(kHeaders, 4, 1, block({{":status", "200"}}))));
  EXPECT_EQ(stream.log, "head ");
  EXPECT_EQ(stream.head.get("link"), std::nullopt);
}

TEST_F(TunnelRawServer, AnAnswerThatNeverBeginsIsReset) {
  greet();
  TestTunnel& stream = client.open();
  drain();
  const std::string early = frame(kHeaders, 4, 1, block({{":status", "103"}}));
  for (int i = 0; i < 16; ++i) ASSERT_TRUE(feed(early));
  EXPECT_FALSE(code_of(drain(), kRst, 1));
  ASSERT_TRUE(feed(early));
  EXPECT_EQ(code_of(drain(), kRst, 1), ErrorCode::kEnhanceYourCalm);
  EXPECT_EQ(stream.closed, ErrorCode::kEnhanceYourCalm);
}

// An answer that ends at once ends our input only: what we send still goes.
TEST_F(TunnelRawServer, AnAnswerWithEndStreamLeavesOurDirectionOpen) {
  greet();
  TestTunnel& stream = client.open();
  drain();
  ASSERT_TRUE(feed(frame(kHeaders, 5, 1, block({{":status", "200"}}))));
  EXPECT_EQ(stream.log, "head-end end ");
  stream.output = "still";
  stream.finish = true;
  client.session.resume(stream);
  EXPECT_EQ(data_in(drain(), 1), "still");
  EXPECT_EQ(stream.closed, ErrorCode::kNoError);
}

TEST_F(TunnelRawServer, UnknownResetCodesAreToldAsTheyAre) {
  greet();
  TestTunnel& stream = tunnel();
  ASSERT_TRUE(feed(frame(kRst, 0, 1, be(0xabcdef01, 4))));
  EXPECT_EQ(stream.closed, static_cast<ErrorCode>(0xabcdef01));
}

}  // namespace
}  // namespace culvert::h2
