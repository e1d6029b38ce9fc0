#include "tests/unit/common/h2/tunnel_fixture.h"

// Frames that no good peer sends, and what RFC 9113 says of each.
namespace culvert::h2 {
namespace {

const std::string kOkBlock = block({{":status", "200"}});
std::string zeros(size_t n) { return std::string(n, '\0'); }

struct Case {
  const char* name;
  std::string text;
  StreamId stream;  // 0: the connection ends; else only this stream; -1: nothing happens
  ErrorCode code;
};
Case connection(const char* name, std::string text, ErrorCode code = ErrorCode::kProtocolError) {
  return {name, std::move(text), 0, code};
}
Case stream(const char* name, std::string text, StreamId id, ErrorCode code) {
  return {name, std::move(text), id, code};
}
Case nothing(const char* name, std::string text) {
  return {name, std::move(text), -1, ErrorCode::kNoError};
}

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

void expect(TunnelSide& side, const Case& c) {
  SCOPED_TRACE(c.name);
  const Result<> result = side.feed(c.text);
  const auto frames = parse(side.drain());
  if (c.stream == 0) {
    EXPECT_TRUE(fails_with(result, Errc::kProtocol));
    EXPECT_EQ(code_of(frames, kGoaway), c.code);
    EXPECT_EQ(count_of(frames, kGoaway), 1U);
    EXPECT_FALSE(side.session.accepts_requests());
    side.session.fail(c.code);
    EXPECT_TRUE(side.session.finished());
    for (const auto& [id, each] : side.streams) EXPECT_TRUE(each->closed) << id;
    return;
  }
  EXPECT_TRUE(result);
  EXPECT_EQ(count_of(frames, kGoaway), 0U);
  if (c.stream > 0) {
    EXPECT_EQ(code_of(frames, kRst, c.stream), c.code);
    EXPECT_EQ(count_of(frames, kRst), 1U);
  } else {
    EXPECT_EQ(count_of(frames, kRst), 0U);
  }
  // The connection goes on.
  EXPECT_TRUE(side.feed(frame(kPing, 0, 0, "12345678")));
  EXPECT_EQ(count_of(parse(side.drain()), kPing), 1U);
}

// A server with an open stream (1), one that the client has ended (3), one that both have (5), one
// that we reset (7), one the client reset (9); 11 is idle and 12 is nobody's.
struct Prepared : TunnelRawClient {
  Prepared() {
    for (const StreamId id : {1, 3, 5, 7, 9}) tunnel(id);
    EXPECT_TRUE(
        feed(frame(kData, 1, 3, "") + frame(kData, 1, 5, "") + frame(kRst, 0, 9, be(8, 4))));
    server.at(5).finish = true;
    server.session.resume(server.at(5));
    server.session.reset(server.at(7), ErrorCode::kCancel);
    drain();
    EXPECT_TRUE(server.at(5).closed && server.at(7).closed && server.at(9).closed);
  }
};
struct OfServer : Prepared, testing::WithParamInterface<Case> {};
TEST_P(OfServer, IsAnsweredAsTheRfcSays) {
  expect(server, GetParam());
  if (GetParam().stream <= 0) return;
  for (const StreamId id : {1, 3})
    EXPECT_EQ(server.at(id).closed.has_value(), id == GetParam().stream) << id;
}
// A server is the same with each of these cut into single bytes.
TEST_P(OfServer, InSingleBytesToo) {
  const Case& c = GetParam();
  if (c.stream != 0) return;
  Result<> result;
  for (size_t i = 0; i < c.text.size() && result; ++i) result = feed(c.text.substr(i, 1));
  EXPECT_TRUE(fails_with(result, Errc::kProtocol));
  EXPECT_EQ(code_of(drain(), kGoaway), c.code);
}

constexpr auto kSize = ErrorCode::kFrameSizeError;
constexpr auto kFlow = ErrorCode::kFlowControlError;
constexpr auto kClosed = ErrorCode::kStreamClosed;
constexpr auto kProto = ErrorCode::kProtocolError;
const std::string kBig = zeros((1U << 20) + 1);

std::string name_of(const testing::TestParamInfo<Case>& info) {
  std::string out = std::to_string(info.index) + "_";
  for (const char* c = info.param.name; *c != '\0'; ++c) out += std::isalnum(*c) != 0 ? *c : '_';
  return out;
}

INSTANTIATE_TEST_SUITE_P(
    Data, OfServer,
    testing::Values(connection("stream 0", frame(kData, 0, 0, "x")),
                    connection("idle", frame(kData, 0, 11, "x")),
                    connection("idle even", frame(kData, 0, 12, "x")),
                    connection("padding of all", frame(kData, 8, 1, "\x03pp")),
                    connection("padding of more", frame(kData, 8, 1, "\xffpp")),
                    connection("padded and empty", frame(kData, 8, 1, ""), kSize),
                    connection("too long", frame(kData, 0, 1, kBig), kSize),
                    stream("after the end", frame(kData, 0, 3, "x"), 3, kClosed),
                    stream("end after the end", frame(kData, 1, 3, ""), 3, kClosed),
                    nothing("after our reset", frame(kData, 1, 7, "x")),
                    nothing("exactly the longest frame is cut by windows only",
                            frame(kData, 0, 1, zeros(262144)))),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    Headers, OfServer,
    testing::Values(
        connection("stream 0", frame(kHeaders, 4, 0, kConnectBlock)),
        connection("even", frame(kHeaders, 4, 12, kConnectBlock)),
        connection("padding of more", frame(kHeaders, 0xc, 11, "\xff" + kConnectBlock)),
        connection("padding over all",
                   frame(kHeaders, 0xc, 11,
                         static_cast<char>(kConnectBlock.size() + 1) + kConnectBlock)),
        connection("padded and empty", frame(kHeaders, 0xc, 11, ""), kSize),
        connection("priority cut", frame(kHeaders, 0x24, 11, "abcd"), kSize),
        connection("too long", frame(kHeaders, 4, 11, kBig), kSize),
        connection("compression", frame(kHeaders, 4, 11, "\xff\xff\xff\xff\xff\xff"),
                   ErrorCode::kCompressionError),
        connection("cut block", frame(kHeaders, 4, 11, kConnectBlock.substr(0, 9)),
                   ErrorCode::kCompressionError),
        stream("after the end", frame(kHeaders, 5, 3, block({{"a", "b"}})), 3, kClosed),
        stream("trailers without end", frame(kHeaders, 4, 1, block({{"a", "b"}})), 1, kProto),
        stream("pseudo in trailers", frame(kHeaders, 5, 1, kConnectBlock), 1, kProto),
        stream("malformed", frame(kHeaders, 4, 11, block({{":method", "CONNECT"}})), 11, kProto),
        stream("empty", frame(kHeaders, 4, 11, ""), 11, kProto),
        nothing("after our reset", frame(kHeaders, 5, 7, block({{"a", "b"}}))),
        nothing("padding of the rest",
                frame(kHeaders, 0xc, 11, std::string("\x02") + kConnectBlock + "pp")),
        nothing("priority", frame(kHeaders, 0x24, 11, zeros(5) + kConnectBlock))),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    Others, OfServer,
    testing::Values(
        connection("PRIORITY stream 0", frame(kPriority, 0, 0, zeros(5))),
        stream("PRIORITY short", frame(kPriority, 0, 1, zeros(4)), 1, kSize),
        stream("PRIORITY long", frame(kPriority, 0, 1, zeros(6)), 1, kSize),
        stream("PRIORITY empty, half-closed", frame(kPriority, 0, 3, ""), 3, kSize),
        nothing("PRIORITY short after our reset", frame(kPriority, 0, 7, zeros(4))),
        nothing("PRIORITY short of what ended", frame(kPriority, 0, 5, zeros(4))),
        // RST_STREAM must not be sent for these (section 6.4).
        connection("PRIORITY short idle", frame(kPriority, 0, 99, zeros(4)), kSize),
        connection("PRIORITY short even", frame(kPriority, 0, 98, zeros(4)), kSize),
        nothing("PRIORITY idle", frame(kPriority, 0, 99, zeros(5))),
        nothing("PRIORITY even", frame(kPriority, 0, 98, zeros(5))),
        nothing("PRIORITY closed", frame(kPriority, 0, 5, zeros(5))),
        connection("RST_STREAM stream 0", frame(kRst, 0, 0, zeros(4))),
        connection("RST_STREAM idle", frame(kRst, 0, 11, zeros(4))),
        connection("RST_STREAM even", frame(kRst, 0, 12, zeros(4))),
        connection("RST_STREAM short", frame(kRst, 0, 1, zeros(3)), kSize),
        connection("RST_STREAM long", frame(kRst, 0, 1, zeros(5)), kSize),
        nothing("RST_STREAM after our reset", frame(kRst, 0, 7, zeros(4))),
        nothing("RST_STREAM of what ended", frame(kRst, 0, 5, zeros(4))),
        connection("SETTINGS on a stream", frame(kSettings, 0, 1, "")),
        connection("SETTINGS of 5 bytes", frame(kSettings, 0, 0, zeros(5)), kSize),
        connection("SETTINGS of 7 bytes", frame(kSettings, 0, 0, zeros(7)), kSize),
        connection("SETTINGS ack with payload", frame(kSettings, 1, 0, setting(4, 100)), kSize),
        connection("SETTINGS push 2", frame(kSettings, 0, 0, setting(2, 2))),
        connection("SETTINGS window", frame(kSettings, 0, 0, setting(4, 0x80000000)), kFlow),
        connection("SETTINGS frame small", frame(kSettings, 0, 0, setting(5, 16383))),
        connection("SETTINGS frame large", frame(kSettings, 0, 0, setting(5, 1U << 24))),
        connection("SETTINGS the second is bad",
                   frame(kSettings, 0, 0, setting(4, 100) + setting(5, 1))),
        nothing("SETTINGS limits",
                frame(kSettings, 0, 0,
                      setting(1, 0) + setting(2, 1) + setting(3, 0) + setting(4, 0x7fffffff) +
                          setting(5, 16384) + setting(5, (1U << 24) - 1) + setting(6, 0))),
        nothing("SETTINGS unknown", frame(kSettings, 0, 0, setting(0xffff, 0xffffffff))),
        connection("PUSH_PROMISE", frame(kPush, 4, 1, be(2, 4) + kConnectBlock)),
        connection("PING on a stream", frame(kPing, 0, 1, zeros(8))),
        connection("PING short", frame(kPing, 0, 0, zeros(7)), kSize),
        connection("PING long", frame(kPing, 0, 0, zeros(9)), kSize),
        nothing("PING ack nobody asked for", frame(kPing, 1, 0, zeros(8))),
        connection("GOAWAY on a stream", frame(kGoaway, 0, 1, zeros(8))),
        connection("GOAWAY short", frame(kGoaway, 0, 0, zeros(7)), kSize),
        nothing("GOAWAY", frame(kGoaway, 0, 0, zeros(8) + "debug")),
        connection("WINDOW_UPDATE zero", window_update(0, 0)),
        connection("WINDOW_UPDATE zero but for the reserved bit", window_update(0, 0x80000000)),
        stream("WINDOW_UPDATE zero of a stream", window_update(1, 0), 1, kProto),
        connection("WINDOW_UPDATE short", frame(kWindow, 0, 0, zeros(3)), kSize),
        connection("WINDOW_UPDATE long", frame(kWindow, 0, 1, zeros(5)), kSize),
        connection("WINDOW_UPDATE overflow", window_update(0, 0x7fffffff), kFlow),
        stream("WINDOW_UPDATE overflow of a stream", window_update(1, 0x7fffffff), 1, kFlow),
        connection("WINDOW_UPDATE idle", window_update(11, 1)),
        connection("WINDOW_UPDATE even", window_update(12, 1)),
        nothing("WINDOW_UPDATE of a half-closed stream", window_update(3, 1)),
        nothing("WINDOW_UPDATE of closed streams",
                window_update(5, 1) + window_update(7, 1) + window_update(9, 1)),
        nothing("WINDOW_UPDATE reserved bit", window_update(1, 0x80000001)),
        nothing("reserved bit of the stream",
                frame(kData, 0, static_cast<StreamId>(0x80000001), "x")),
        nothing("unknown type", frame(0x42, 0xff, 77, "anything")),
        nothing("unknown type on 0", frame(0x0a, 0xff, 0, "")),
        connection("unknown type too long", frame(0x42, 0, 0, kBig), kSize)),
    name_of);

const std::string kOpenBlock = frame(kHeaders, 0, 11, kConnectBlock.substr(0, 4));
INSTANTIATE_TEST_SUITE_P(
    Continuation, OfServer,
    testing::Values(
        connection("of nothing", frame(kContinuation, 4, 1, kConnectBlock)),
        connection("stream 0", frame(kContinuation, 4, 0, kConnectBlock)),
        connection("after the end of headers",
                   frame(kHeaders, 4, 11, kConnectBlock) + frame(kContinuation, 4, 11, "")),
        connection("another stream", kOpenBlock + frame(kContinuation, 4, 13, "")),
        connection("DATA between", kOpenBlock + frame(kData, 0, 1, "x")),
        connection("empty DATA between", kOpenBlock + frame(kData, 0, 1, "")),
        connection("HEADERS between", kOpenBlock + frame(kHeaders, 4, 11, kConnectBlock)),
        connection("HEADERS of another between",
                   kOpenBlock + frame(kHeaders, 4, 13, kConnectBlock)),
        connection("PING between", kOpenBlock + frame(kPing, 0, 0, zeros(8))),
        connection("SETTINGS between", kOpenBlock + frame(kSettings, 0, 0, "")),
        connection("PRIORITY between", kOpenBlock + frame(kPriority, 0, 11, zeros(5))),
        connection("RST_STREAM between", kOpenBlock + frame(kRst, 0, 11, zeros(4))),
        connection("WINDOW_UPDATE between", kOpenBlock + window_update(0, 1)),
        connection("GOAWAY between", kOpenBlock + frame(kGoaway, 0, 0, zeros(8))),
        connection("unknown type between", kOpenBlock + frame(0x42, 0, 11, "x")),  // section 5.5
        connection("too long", kOpenBlock + frame(kContinuation, 4, 11, kBig), kSize),
        nothing("empty ones", kOpenBlock + frame(kContinuation, 0, 11, "") +
                                  frame(kContinuation, 0, 11, kConnectBlock.substr(4)) +
                                  frame(kContinuation, 4, 11, "")),
        stream("a block in two is a head in one",
               frame(kHeaders, 0, 11, "") +
                   frame(kContinuation, 4, 11, block({{":method", "CONNECT"}})),
               11, kProto)),
    name_of);

// What these get is open to a receiver (section 5.1, closed), except that no stream comes of them.
TEST_F(Prepared, HeadersOfClosedStreamsMakeNoStream) {
  for (const StreamId id : {5, 9}) {
    TunnelRawClient::drain();
    const size_t before = server.session.streams();
    const auto result = feed(frame(kHeaders, 4, id, kConnectBlock));
    EXPECT_LE(server.session.streams(), before);
    if (!result) break;
  }
}
// Section 5.1.1: one that was skipped is closed, and never opens.
TEST(TunnelProtocol, AStreamThatWasSkippedNeverOpens) {
  for (const auto& [order, late] :
       std::vector<std::pair<std::vector<StreamId>, StreamId>>{{{5}, 1},
                                                               {{5}, 3},
                                                               {{1, 5}, 3},
                                                               {{3}, 1},
                                                               {{1, 3, 101}, 5},
                                                               {{1, 3, 101}, 99},
                                                               {{3, 7, 11, 15}, 1},
                                                               {{3, 7, 11, 15}, 13}}) {
    TunnelSide server(Role::kServer, tunnel_settings());
    ASSERT_TRUE(server.feed(kClientPreface + frame(kSettings, 0, 0, "")));
    for (const StreamId id : order) ASSERT_TRUE(server.feed(frame(kHeaders, 4, id, kConnectBlock)));
    // What else comes for it is late at most.
    ASSERT_TRUE(server.feed(frame(kRst, 0, late, zeros(4)) + window_update(late, 1)));
    server.drain();
    EXPECT_EQ(server.streams.size(), order.size());
    expect(server, connection("HEADERS", frame(kHeaders, 4, late, kConnectBlock)));
    EXPECT_EQ(server.streams.size(), order.size());
  }
}
// However often a peer skips, what is remembered of it is bounded, and no stream comes of it.
TEST(TunnelProtocol, ManySkippedStreams) {
  TunnelSide server(Role::kServer, tunnel_settings());
  ASSERT_TRUE(server.feed(kClientPreface + frame(kSettings, 0, 0, "")));
  for (StreamId id = 3; id < 400; id += 4)
    ASSERT_TRUE(server.feed(frame(kHeaders, 4, id, kConnectBlock)));
  const size_t before = server.streams.size();
  static_cast<void>(server.feed(frame(kHeaders, 4, 1, kConnectBlock)));
  EXPECT_EQ(server.streams.size(), before);
}

// ---- the beginning

TEST(TunnelPreface, SomethingElseIsNotHttp2) {
  const std::string text = "GET / HTTP/1.1\r\nHost: example\r\n\r\n";
  for (const size_t cut : {size_t{1}, size_t{3}, text.size()}) {
    TunnelSide server(Role::kServer, tunnel_settings());
    Result<> result = server.feed(text.substr(0, cut));
    if (result) result = server.feed(text.substr(cut));
    EXPECT_TRUE(fails_with(result, Errc::kHandshake)) << cut;
  }
}
TEST(TunnelPreface, EveryByteOfItCounts) {
  for (size_t i = 0; i < kClientPreface.size(); ++i) {
    TunnelSide server(Role::kServer, tunnel_settings());
    std::string text = kClientPreface;
    text[i] ^= 1;
    EXPECT_TRUE(fails_with(server.feed(text), Errc::kHandshake)) << i;
  }
}
TEST(TunnelPreface, TheFirstFrameIsSettings) {
  for (const std::string& first :
       {frame(kPing, 0, 0, zeros(8)), window_update(0, 1), frame(kHeaders, 4, 1, kConnectBlock),
        frame(kData, 0, 1, "x"), frame(kGoaway, 0, 0, zeros(8)), frame(kPriority, 0, 1, zeros(5)),
        frame(kSettings, 1, 0, ""), frame(0x42, 0, 0, "unknown")}) {
    TunnelSide server(Role::kServer, tunnel_settings());
    ASSERT_TRUE(server.feed(kClientPreface));
    expect(server, connection("server", first));
    TunnelSide client(Role::kClient, {});
    client.open();
    client.drain();
    expect(client, connection("client", first));
  }
}

// ---- of a server

struct OfClient : TunnelRawServer, testing::WithParamInterface<Case> {};
TEST_P(OfClient, IsAnsweredAsTheRfcSays) {
  greet();
  tunnel();                      // 1
  client.open();                 // 3, not answered
  TestTunnel& ended = tunnel();  // 5, ended by the server
  ASSERT_TRUE(feed(frame(kData, 1, ended.id, "")));
  drain();
  expect(client, GetParam());
}
INSTANTIATE_TEST_SUITE_P(
    Server, OfClient,
    testing::Values(
        connection("HEADERS idle", frame(kHeaders, 4, 7, kOkBlock)),
        connection("HEADERS even", frame(kHeaders, 4, 2, kOkBlock)),
        connection("HEADERS 0", frame(kHeaders, 4, 0, kOkBlock)),
        connection("DATA idle", frame(kData, 0, 7, "x")),
        connection("DATA even", frame(kData, 0, 2, "x")),
        stream("DATA before HEADERS", frame(kData, 0, 3, "x"), 3, kProto),
        stream("END_STREAM before HEADERS", frame(kData, 1, 3, ""), 3, kProto),
        stream("DATA after 1xx only",
               frame(kHeaders, 4, 3, block({{":status", "100"}})) + frame(kData, 0, 3, "x"), 3,
               kProto),
        stream("1xx with END_STREAM", frame(kHeaders, 5, 3, block({{":status", "100"}})), 3,
               kProto),  // section 8.1
        stream("status of two digits", frame(kHeaders, 4, 3, block({{":status", "20"}})), 3,
               kProto),
        stream("no status", frame(kHeaders, 4, 3, block({{"a", "b"}})), 3, kProto),
        stream("a request", frame(kHeaders, 4, 3, kConnectBlock), 3, kProto),
        stream("DATA after the end", frame(kData, 0, 5, "x"), 5, kClosed),
        stream("HEADERS after the end", frame(kHeaders, 5, 5, block({{"a", "b"}})), 5, kClosed),
        stream("a second answer", frame(kHeaders, 4, 1, kOkBlock), 1, kProto),
        connection("RST_STREAM idle", frame(kRst, 0, 7, zeros(4))),
        connection("RST_STREAM even", frame(kRst, 0, 2, zeros(4))),
        connection("WINDOW_UPDATE idle", window_update(7, 1)),
        connection("WINDOW_UPDATE even", window_update(2, 1)),
        connection("PUSH_PROMISE", frame(kPush, 4, 1, be(2, 4) + kConnectBlock)),
        connection("SETTINGS push 1", frame(kSettings, 0, 0, setting(2, 1))),  // section 6.5.2
        nothing("SETTINGS push 0", frame(kSettings, 0, 0, setting(2, 0))),
        nothing("an answer", frame(kHeaders, 4, 3, kOkBlock) + frame(kData, 1, 3, "x"))),
    name_of);

TEST_F(TunnelRawServer, GoawayEndsOnlyStreamsBeyondIt) {
  greet();
  TestTunnel& first = tunnel();
  TestTunnel& second = tunnel();
  ASSERT_TRUE(feed(frame(kGoaway, 0, 0, be(first.id, 4) + be(11, 4) + "too_many_pings")));
  EXPECT_FALSE(first.closed);
  EXPECT_EQ(second.closed, ErrorCode::kRefusedStream);
  EXPECT_EQ(client.goaways,
            (std::vector<std::pair<ErrorCode, StreamId>>{{ErrorCode::kEnhanceYourCalm, first.id}}));
  EXPECT_FALSE(client.session.accepts_requests());
  TestTunnel never;
  EXPECT_TRUE(fails_with(client.session.open(kTunnelConnect, never), Errc::kGoingAway));
  ASSERT_TRUE(feed(frame(kData, 0, first.id, "goes on")));
  EXPECT_EQ(first.input, "goes on");
}

// RFC 9113 section 6.8: the last stream of a GOAWAY never grows.
TEST_F(TunnelRawClient, ASecondGoawayNamesNoLaterStream) {
  tunnel(3);
  server.session.goaway(ErrorCode::kNoError);
  ASSERT_TRUE(feed(frame(kHeaders, 4, 5, kConnectBlock)));
  server.session.goaway(ErrorCode::kInternalError);
  for (const Frame& f : drain())
    if (f.type == kGoaway) EXPECT_EQ(be(std::string_view(f.payload).substr(0, 4)), 3U);
}

TEST_F(TunnelRawClient, NothingIsReadAfterAnErrorOfTheConnection) {
  TestTunnel& stream = tunnel(1);
  EXPECT_FALSE(feed(frame(kPing, 0, 1, zeros(8)) + frame(kData, 0, 1, "late") +
                    frame(kHeaders, 4, 3, kConnectBlock)));
  static_cast<void>(feed(frame(kData, 0, 1, "later")));
  EXPECT_EQ(stream.input, "");
  EXPECT_EQ(server.streams.size(), 1U);
  const auto frames = drain();
  EXPECT_EQ(count_of(frames, kGoaway), 1U);
  server.session.fail(ErrorCode::kProtocolError);
  EXPECT_EQ(stream.closed, ErrorCode::kProtocolError);
}

// The GOAWAY of an error names the last stream that was taken.
TEST_F(TunnelRawClient, GoawayNamesTheLastStreamTaken) {
  tunnel(1);
  tunnel(7);
  server.session.goaway(ErrorCode::kNoError);
  const auto frames = drain();
  ASSERT_EQ(count_of(frames, kGoaway), 1U);
  EXPECT_EQ(be(std::string_view(frames.back().payload).substr(0, 4)), 7U);
  // What comes now is not taken.
  ASSERT_TRUE(feed(frame(kHeaders, 4, 9, kConnectBlock) + frame(kData, 0, 9, "x") +
                   window_update(9, 1) + frame(kRst, 0, 9, be(8, 4))));
  EXPECT_FALSE(server.streams.contains(9));
  EXPECT_EQ(count_of(drain(), kGoaway), 0U);
}

}  // namespace
}  // namespace culvert::h2
