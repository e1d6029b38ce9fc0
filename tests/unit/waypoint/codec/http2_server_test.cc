#include "tests/unit/waypoint/codec/http2_support.h"

#include <random>

namespace culvert::waypoint {
namespace {

using namespace test;
using Http2Server = ServerFixture;

// Answers with the request's body and trailers.
net::Task<> echo(ServerExchange& exchange) {
  const auto head = response(200, {{"content-type", "text/plain"}});
  if (!co_await exchange.respond(head, kUnknownSize, kNever)) co_return;
  for (;;) {
    auto piece = co_await exchange.body().read(kNever);
    if (!piece) co_return;
    if (!co_await exchange.write(piece->data, kNever)) co_return;
    if (!piece->end) continue;
    (void)co_await exchange.finish(piece->trailers, kNever);
    co_return;
  }
}

TEST_F(Http2Server, PresentsARequestAndSendsTheAnswer) {
  http::RequestHead seen;
  BodySize size;
  bool complete = false;
  ServerExchange::Counts counts;
  start([&](ServerExchange& exchange) -> net::Task<> {
    seen = exchange.request();
    size = exchange.request_size();
    EXPECT_FALSE(exchange.responded());
    const auto head = response(200, {{"x-a", "1"},
                                     {"connection", "x-b"},
                                     {"transfer-encoding", "chunked"},
                                     {"keep-alive", "5"},
                                     {"proxy-connection", "x"},
                                     {"upgrade", "h2c"},
                                     {"te", "trailers"}});
    const BodySize five{BodySize::Kind::kLength, 5};
    EXPECT_TRUE(co_await exchange.respond(head, five, kNever));
    EXPECT_TRUE(exchange.responded());
    EXPECT_TRUE(co_await exchange.write(as_bytes("hello"), kNever));
    const http::Headers none;
    EXPECT_TRUE(co_await exchange.finish(none, kNever));
    counts = exchange.counts();
    complete = true;
  });
  auto& stream = peer->open(
      get({{"cookie", "a=1"}, {"x-b", "2"}, {"cookie", "b=2"}, {"te", "trailers"}}), true);
  ASSERT_TRUE(peer->until([&] { return stream.closed.has_value(); }));
  EXPECT_EQ(*stream.closed, h2::ErrorCode::kNoError);
  EXPECT_FALSE(stream.reset_received);
  EXPECT_TRUE(complete);
  EXPECT_EQ(seen.method, "GET");
  EXPECT_EQ(seen.scheme, "http");
  EXPECT_EQ(seen.authority, "a.example");
  EXPECT_EQ(seen.path, "/x");
  EXPECT_EQ(seen.version, http::Version::kHttp2);
  EXPECT_EQ(seen.headers.get("cookie"), "a=1; b=2");
  EXPECT_EQ(seen.headers.count("cookie"), 1U);
  EXPECT_EQ(seen.headers.get("x-b"), "2");
  EXPECT_EQ(seen.headers.get("te"), "trailers");
  EXPECT_EQ(size.kind, BodySize::Kind::kNone);
  EXPECT_EQ(stream.get(":status"), "200");
  EXPECT_EQ(stream.get("x-a"), "1");
  EXPECT_EQ(stream.head->fields.size(), 2U) << "hop-by-hop fields were sent";
  EXPECT_EQ(stream.data, "hello");
  EXPECT_EQ(counts.body_sent, 5U);
  EXPECT_EQ(counts.body_received, 0U);
  EXPECT_EQ(counts.wire_sent, 7 + 3 + 4 + 3 + 1 + 4 + 5U);
  EXPECT_GT(counts.wire_received, 100U);
}

TEST_F(Http2Server, BodySizes) {
  std::vector<BodySize> sizes;
  std::vector<std::string> bodies;
  start([&](ServerExchange& exchange) -> net::Task<> {
    sizes.push_back(exchange.request_size());
    bodies.push_back(co_await read_body(exchange.body()));
    co_await answer_empty(exchange, 200);
  });
  auto& a = peer->open(post({{"content-length", "3"}}), false);
  a.send("abc");
  a.end();
  peer->until([&] { return a.closed.has_value(); });
  auto& b = peer->open(post(), false);
  b.send("defg");
  b.end();
  peer->until([&] { return b.closed.has_value(); });
  ASSERT_EQ(sizes.size(), 2U);
  EXPECT_EQ(sizes[0].kind, BodySize::Kind::kLength);
  EXPECT_EQ(sizes[0].length, 3U);
  EXPECT_EQ(sizes[1].kind, BodySize::Kind::kUnknown);
  EXPECT_EQ(bodies, (std::vector<std::string>{"abc", "defg"}));
}

TEST_F(Http2Server, TrailersBothWays) {
  start(echo);
  auto& stream = peer->open(post({{"te", "trailers"}}), false);
  stream.send("message");
  stream.end({{"x-sum", "7"}});
  ASSERT_TRUE(peer->until([&] { return stream.closed.has_value(); }));
  EXPECT_EQ(*stream.closed, h2::ErrorCode::kNoError);
  EXPECT_EQ(stream.data, "message");
  EXPECT_EQ(stream.trailer("x-sum"), "7");
  EXPECT_TRUE(stream.ended);
}

TEST_F(Http2Server, TrailersWithoutABodyAndTrailersOnly) {
  int count = 0;
  start([&](ServerExchange& exchange) -> net::Task<> {
    if (count++ == 0) {
      const auto head = response(200);
      EXPECT_TRUE(co_await exchange.respond(head, kUnknownSize, kNever));
      http::Headers trailers;
      EXPECT_TRUE(trailers.add("grpc-status", "5"));
      EXPECT_TRUE(trailers.add("connection", "x"));
      EXPECT_TRUE(co_await exchange.finish(trailers, kNever));
    } else {
      const auto head = response(200, {{"grpc-status", "12"}});
      EXPECT_TRUE(co_await exchange.respond(head, {}, kNever));
    }
  });
  auto& a = peer->open(post(), true);
  ASSERT_TRUE(peer->until([&] { return a.closed.has_value(); }));
  EXPECT_EQ(a.trailer("grpc-status"), "5");
  EXPECT_EQ(a.trailers->fields.size(), 1U);
  auto& b = peer->open(post(), true);
  ASSERT_TRUE(peer->until([&] { return b.closed.has_value(); }));
  EXPECT_TRUE(b.head_ended);
  EXPECT_EQ(b.get("grpc-status"), "12");
}

// Trailers that hold nothing but what must not be sent: the stream ends all the same.
TEST_F(Http2Server, TrailersOfHopByHopFieldsOnlyEndTheStream) {
  start([&](ServerExchange& exchange) -> net::Task<> {
    const auto head = response(200);
    EXPECT_TRUE(co_await exchange.respond(head, kUnknownSize, kNever));
    http::Headers trailers;
    EXPECT_TRUE(trailers.add("connection", "x"));
    EXPECT_TRUE(co_await exchange.finish(trailers, kNever));
  });
  auto& stream = peer->open(get(), true);
  ASSERT_TRUE(peer->until([&] { return stream.closed.has_value(); }));
  EXPECT_TRUE(stream.ended);
  EXPECT_FALSE(stream.trailers);
}

TEST_F(Http2Server, MalformedRequestsAreStreamErrorsAndServedByNobody) {
  int served = 0;
  start([&](ServerExchange& exchange) -> net::Task<> {
    ++served;
    co_await answer_empty(exchange, 200);
  });
  const auto with = [](FieldList fields, std::string_view name, std::string value) {
    for (auto& field : fields)
      if (field.first == name) field.second = std::move(value);
    return fields;
  };
  const std::vector<FieldList> bad = {
      get({{"connection", "close"}}),
      get({{"transfer-encoding", "chunked"}}),
      get({{"upgrade", "websocket"}}),
      get({{"keep-alive", "1"}}),
      get({{"te", "gzip"}}),
      get({{"x-a", "a\nb"}}),
      get({{"x a", "b"}}),
      get({{"host", "other.example"}}),
      get({{"content-length", "1"}, {"content-length", "2"}}),
      get({{"content-length", "x"}}),
      get({{":unknown", "x"}}),
      get({{":protocol", "websocket"}}),  // not with GET
      with(get(), ":authority", "user@a.example"),
      with(get(), ":authority", "a.example:0"),
      with(get(), ":authority", ""),
      with(get(), ":path", "x"),
      with(get(), ":path", ""),
      with(get(), ":method", "G ET"),
      {{":method", "GET"}, {":path", "/"}, {":authority", "a"}},
      {{":method", "CONNECT"}, {":authority", "a:1"}, {":path", "/"}, {":scheme", "http"}},
  };
  for (size_t i = 0; i < bad.size(); ++i) {
    auto& stream = peer->open(bad[i], true);
    ASSERT_TRUE(peer->until([&] { return stream.closed.has_value(); })) << i;
    EXPECT_EQ(*stream.closed, h2::ErrorCode::kProtocolError) << i;
  }
  EXPECT_EQ(served, 0);
  // The connection is as good as before.
  auto& stream = peer->open(get({{"host", "A.example"}}), true);
  ASSERT_TRUE(peer->until([&] { return stream.closed.has_value(); }));
  EXPECT_EQ(stream.get(":status"), "200");
}

TEST_F(Http2Server, BodiesMustHaveTheLengthTheyAnnounce) {
  std::vector<std::string> bodies;
  start([&](ServerExchange& exchange) -> net::Task<> {
    bodies.push_back(co_await read_body(exchange.body()));
  });
  for (const std::string_view body : {"ab", "abcd"}) {
    auto& stream = peer->open(post({{"content-length", "3"}}), false);
    stream.send(body);
    stream.end();
    ASSERT_TRUE(peer->until([&] { return stream.closed.has_value(); }));
    EXPECT_EQ(*stream.closed, h2::ErrorCode::kProtocolError);
    EXPECT_FALSE(stream.head);
  }
  for (const std::string& body : bodies) EXPECT_NE(body.find("!not valid HTTP"), body.npos) << body;
}

TEST_F(Http2Server, HeadsOverTheLimitsAre431AndLowerCaseMethods400) {
  int served = 0;
  ServerCodecOptions options;
  options.max_header_bytes = 1000;
  options.max_header_fields = 10;
  start(
      [&](ServerExchange& exchange) -> net::Task<> {
        ++served;
        co_await answer_empty(exchange, 200);
      },
      options);
  FieldList crumbs = get();
  for (int i = 0; i < 20; ++i) crumbs.emplace_back("cookie", "a=1");
  FieldList many = get();
  for (int i = 0; i < 11; ++i) many.emplace_back("x-" + std::to_string(i), "1");
  FieldList lower = get();
  lower[0].second = "get";
  const std::vector<std::pair<FieldList, std::string>> cases = {
      {get({{"x", std::string(1000, 'a')}}), "431"},   // the codec's limit
      {get({{"x", std::string(9000, 'a')}}), "431"},   // the session's
      {get({{"x", std::string(40000, 'a')}}), "431"},  // in CONTINUATION
      {many, "431"},
      {crumbs, "200"},
      {lower, "400"},
      {get(), "200"},
  };
  for (const auto& [fields, status] : cases) {
    for (const bool end : {true, false}) {
      auto& stream = peer->open(fields, end);
      if (!end && status != "200") stream.send(std::string(100000, 'b'));
      ASSERT_TRUE(peer->until([&] { return stream.closed.has_value(); }));
      EXPECT_EQ(stream.get(":status"), status);
      EXPECT_EQ(*stream.closed, h2::ErrorCode::kNoError);
    }
  }
  EXPECT_EQ(served, 4);
}

TEST_F(Http2Server, ExpectContinue) {
  std::vector<bool> expects;
  start([&](ServerExchange& exchange) -> net::Task<> {
    expects.push_back(exchange.expects_continue());
    if (exchange.expects_continue()) EXPECT_TRUE(co_await exchange.send_continue(kNever));
    const std::string body = co_await read_body(exchange.body());
    co_await answer_empty(exchange, body == "abc" ? 200 : 500);
  });
  auto& stream = peer->open(post({{"expect", "100-Continue"}}), false);
  peer->settle();
  EXPECT_FALSE(stream.head) << "the session skips 1xx";
  stream.send("abc");
  stream.end();
  ASSERT_TRUE(peer->until([&] { return stream.closed.has_value(); }));
  EXPECT_EQ(stream.get(":status"), "200");
  auto& other = peer->open(get(), true);
  ASSERT_TRUE(peer->until([&] { return other.closed.has_value(); }));
  EXPECT_EQ(expects, (std::vector<bool>{true, false}));
}

TEST_F(Http2Server, ExtendedConnectIsAnUpgrade) {
  start([&](ServerExchange& exchange) -> net::Task<> {
    EXPECT_EQ(exchange.upgrade(), "websocket");
    EXPECT_EQ(exchange.request().method, "GET");
    EXPECT_EQ(exchange.request().path, "/chat");
    EXPECT_EQ(exchange.request_size().kind, BodySize::Kind::kNone);
    const auto key = exchange.request().headers.get("sec-websocket-key");
    EXPECT_EQ(key.value_or("").size(), 24U);
    const auto head = response(101, {{"upgrade", "websocket"},
                                     {"connection", "upgrade"},
                                     {"sec-websocket-accept", "x"},
                                     {"sec-websocket-protocol", "chat"}});
    const BodySize tunnel{BodySize::Kind::kTunnel, 0};
    EXPECT_TRUE(co_await exchange.respond(head, tunnel, kNever));
    auto piece = co_await exchange.body().read(kNever);
    EXPECT_TRUE(piece);
    EXPECT_EQ(as_text(piece->data), "ping");
    EXPECT_TRUE(co_await exchange.write(as_bytes("pong"), kNever));
    EXPECT_EQ(co_await read_body(exchange.body()), "");
    const http::Headers none;
    EXPECT_TRUE(co_await exchange.finish(none, kNever));
  });
  ASSERT_TRUE(peer->until([&] { return peer->settings > 0; }));
  EXPECT_TRUE(peer->session.peer_extended_connect());
  auto& stream = peer->open({{":method", "CONNECT"},
                             {":protocol", "WebSocket"},
                             {":scheme", "http"},
                             {":path", "/chat"},
                             {":authority", "a.example"}},
                            false);
  ASSERT_TRUE(peer->until([&] { return stream.head.has_value(); }));
  EXPECT_EQ(stream.get(":status"), "200");
  EXPECT_EQ(stream.get("sec-websocket-protocol"), "chat");
  EXPECT_EQ(stream.head->fields.size(), 2U);
  stream.send("ping");
  ASSERT_TRUE(peer->until([&] { return stream.data == "pong"; }));
  stream.end();
  ASSERT_TRUE(peer->until([&] { return stream.closed.has_value(); }));
  EXPECT_EQ(*stream.closed, h2::ErrorCode::kNoError);
}

// As from a proxy that carries WebSocket of HTTP/1 over HTTP/2.
TEST_F(Http2Server, AKeyOfTheClientIsKept) {
  start([&](ServerExchange& exchange) -> net::Task<> {
    EXPECT_EQ(exchange.request().headers.get("sec-websocket-key"), "theirs");
    const auto head = response(101, {{"sec-websocket-accept", "y"}, {"content-length", "0"}});
    const BodySize tunnel{BodySize::Kind::kTunnel, 0};
    EXPECT_TRUE(co_await exchange.respond(head, tunnel, kNever));
    const http::Headers none;
    EXPECT_TRUE(co_await exchange.finish(none, kNever));
  });
  auto& stream = peer->open({{":method", "CONNECT"},
                             {":protocol", "websocket"},
                             {":scheme", "http"},
                             {":path", "/"},
                             {":authority", "a"},
                             {"sec-websocket-key", "theirs"}},
                            true);
  ASSERT_TRUE(peer->until([&] { return stream.closed.has_value(); }));
  EXPECT_EQ(stream.get("sec-websocket-accept"), "y");
  EXPECT_EQ(stream.get("content-length"), "(absent)");
}

// A 2xx would tell the client that its tunnel stands.
TEST_F(Http2Server, AnUpgradeThatIsIgnoredIsNotGranted) {
  int status = 200;
  start([&](ServerExchange& exchange) -> net::Task<> { return answer_empty(exchange, status); });
  for (const auto& [given, sent] : {std::pair{200, "502"}, {403, "403"}}) {
    status = given;
    auto& stream = peer->open({{":method", "CONNECT"},
                               {":protocol", "websocket"},
                               {":scheme", "http"},
                               {":path", "/"},
                               {":authority", "a"}},
                              false);
    ASSERT_TRUE(peer->until([&] { return stream.closed.has_value(); }));
    EXPECT_EQ(stream.get(":status"), sent);
  }
}

TEST_F(Http2Server, PlainConnectIsPassedOn) {
  start([&](ServerExchange& exchange) -> net::Task<> {
    EXPECT_TRUE(exchange.request().is_connect());
    EXPECT_EQ(exchange.request().authority, "b:443");
    EXPECT_EQ(exchange.request().path, "");
    EXPECT_EQ(exchange.upgrade(), "");
    EXPECT_EQ(exchange.request_size().kind, BodySize::Kind::kUnknown);
    co_await echo(exchange);
  });
  auto& stream = peer->open({{":method", "CONNECT"}, {":authority", "b:443"}}, false);
  stream.send("bytes");
  stream.end();
  ASSERT_TRUE(peer->until([&] { return stream.closed.has_value(); }));
  EXPECT_EQ(stream.get(":status"), "200");
  EXPECT_EQ(stream.data, "bytes");
}

TEST_F(Http2Server, AHundredStreamsAtOnceAndOneMoreIsRefused) {
  int served = 0;
  net::Event go(reactor);
  bool open = false;
  start([&](ServerExchange& exchange) -> net::Task<> {
    ++served;
    while (!open) co_await go.wait();
    co_await echo(exchange);
  });
  ASSERT_TRUE(peer->until([&] { return peer->settings > 0; }));
  EXPECT_EQ(peer->session.peer_max_streams(), 100U);
  std::vector<H2Peer::Stream*> streams;
  for (int i = 0; i < 101; ++i) {
    streams.push_back(&peer->open(post(), false));
    streams.back()->send("body " + std::to_string(i));
    streams.back()->end();
  }
  ASSERT_TRUE(peer->until([&] { return served == 100; }));
  peer->settle();
  EXPECT_EQ(served, 100) << "our client keeps the 101st back";
  open = true;
  go.wake_all();
  for (int i = 0; i < 101; ++i) {
    ASSERT_TRUE(peer->until([&] { return streams[i]->closed.has_value(); }));
    EXPECT_EQ(streams[i]->data, "body " + std::to_string(i));
  }
  EXPECT_EQ(served, 101);
}

TEST_F(Http2Server, MoreStreamsThanAnnouncedAreRefused) {
  ServerCodecOptions options;
  options.max_streams = 2;
  net::Event never(reactor);
  start([&](ServerExchange&) -> net::Task<> { co_await never.wait(); }, options);
  // Opened before the client knows the limit.
  std::vector<H2Peer::Stream*> streams;
  for (int i = 0; i < 3; ++i) streams.push_back(&peer->open(get(), true));
  ASSERT_TRUE(peer->session.drain(wire.to_codec, 100'000));
  ASSERT_TRUE(peer->until([&] { return streams[2]->closed.has_value(); }));
  EXPECT_EQ(*streams[2]->closed, h2::ErrorCode::kRefusedStream);
  EXPECT_FALSE(streams[0]->closed);
}

TEST_F(Http2Server, AStreamNobodyReadsStopsAtItsWindowAndStallsNoOther) {
  net::Event never(reactor);
  start([&](ServerExchange& exchange) -> net::Task<> {
    if (exchange.request().headers.contains("x-stuck")) co_await never.wait();
    co_await echo(exchange);
  });
  std::vector<H2Peer::Stream*> stuck;
  for (int i = 0; i < 10; ++i) {
    stuck.push_back(&peer->open(post({{"x-stuck", "1"}}), false));
    stuck.back()->send(std::string(1 << 20, 's'));
  }
  peer->settle();
  for (const auto* stream : stuck) EXPECT_EQ(stream->unsent(), (1 << 20) - 256 * 1024U);
  auto& other = peer->open(post(), false);
  other.send(std::string(3 << 20, 'o'));
  other.end();
  ASSERT_TRUE(peer->until([&] { return other.closed.has_value(); }));
  EXPECT_EQ(other.data.size(), 3U << 20);
}

TEST_F(Http2Server, AClientThatDoesNotReadStopsTheWriter) {
  uint64_t sent = 0;
  h2::Settings client;
  client.stream_window = 100'000;
  start(
      [&](ServerExchange& exchange) -> net::Task<> {
        const auto head = response(200);
        EXPECT_TRUE(co_await exchange.respond(head, kUnknownSize, kNever));
        const std::string chunk(10'000, 'x');
        for (int i = 0; i < 100; ++i) {
          EXPECT_TRUE(co_await exchange.write(as_bytes(chunk), kNever));
          sent += chunk.size();
        }
        EXPECT_EQ((co_await exchange.finish(http::Headers(), kNever)).has_value(), true);
      },
      {}, client);
  peer->auto_consume = false;
  auto& stream = peer->open(get(), true);
  peer->settle();
  EXPECT_EQ(sent, 100'000U);
  peer->auto_consume = true;
  peer->session.consume(stream.id(), stream.data.size());
  ASSERT_TRUE(peer->until([&] { return stream.closed.has_value(); }));
  EXPECT_EQ(stream.data.size(), 1'000'000U);
}

TEST_F(Http2Server, AByteStreamThatTakesNothingStopsTheWriter) {
  uint64_t sent = 0;
  wire.capacity = 1000;
  h2::Settings client;
  client.stream_window = 1 << 30;
  client.connection_window = 1 << 30;
  start(
      [&](ServerExchange& exchange) -> net::Task<> {
        const auto head = response(200);
        EXPECT_TRUE(co_await exchange.respond(head, kUnknownSize, kNever));
        const std::string chunk(10'000, 'x');
        for (int i = 0; i < 1000; ++i) {
          EXPECT_TRUE(co_await exchange.write(as_bytes(chunk), kNever));
          sent += chunk.size();
        }
        const http::Headers none;
        EXPECT_TRUE(co_await exchange.finish(none, kNever));
      },
      {}, client);
  auto& stream = peer->open(get(), true);
  peer->pump();
  for (int i = 0; i < 20; ++i) reactor.turn(std::chrono::milliseconds(0));
  EXPECT_LE(sent, 160'000U);
  wire.capacity = SIZE_MAX;
  ASSERT_TRUE(peer->until([&] { return stream.closed.has_value(); }));
  EXPECT_EQ(stream.data.size(), 10'000'000U);
}

TEST_F(Http2Server, ATimeThatRunsOut) {
  std::vector<bool> late;
  h2::Settings client;
  client.stream_window = 0;
  start(
      [&](ServerExchange& exchange) -> net::Task<> {
        const Time soon = Clock::now() + std::chrono::milliseconds(1);
        auto piece = co_await exchange.body().read(soon);
        late.push_back(!piece && piece.error().code == culvert::Errc::kTimedOut);
        const auto head = response(200);
        EXPECT_TRUE(co_await exchange.respond(head, kUnknownSize, kNever));
        auto written = co_await exchange.write(as_bytes("x"), soon);
        late.push_back(!written && written.error().code == culvert::Errc::kTimedOut);
        exchange.reset();
      },
      {}, client);
  auto& stream = peer->open(post(), false);
  ASSERT_TRUE(peer->until([&] { return stream.closed.has_value(); }));
  EXPECT_EQ(late, (std::vector<bool>{true, true}));
  EXPECT_EQ(*stream.closed, h2::ErrorCode::kInternalError);
}

TEST_F(Http2Server, AnAnswerThatIsCompleteStopsTheRequest) {
  for (const bool with_body : {false, true}) {
    SCOPED_TRACE(with_body);
    start([&](ServerExchange& exchange) -> net::Task<> {
      const auto head = response(413);
      EXPECT_TRUE(co_await exchange.respond(head, with_body ? kUnknownSize : BodySize{}, kNever));
      if (!with_body) co_return;
      EXPECT_TRUE(co_await exchange.write(as_bytes("too large"), kNever));
      const http::Headers none;
      EXPECT_TRUE(co_await exchange.finish(none, kNever));
    });
    auto& stream = peer->open(post(), false);
    stream.send("some");
    ASSERT_TRUE(peer->until([&] { return stream.closed.has_value(); }));
    EXPECT_EQ(stream.get(":status"), "413");
    EXPECT_EQ(stream.data, with_body ? "too large" : "");
    EXPECT_TRUE(stream.ended);
    EXPECT_TRUE(stream.reset_received);
    EXPECT_EQ(*stream.closed, h2::ErrorCode::kNoError);
  }
}

TEST_F(Http2Server, ATaskThatDoesNotFinishResetsTheStream) {
  start([&](ServerExchange& exchange) -> net::Task<> {
    if (exchange.request().method == "GET") co_return;
    const auto head = response(200);
    EXPECT_TRUE(co_await exchange.respond(head, kUnknownSize, kNever));
    EXPECT_TRUE(co_await exchange.write(as_bytes("half"), kNever));
  });
  auto& a = peer->open(get(), true);
  auto& b = peer->open(post(), true);
  ASSERT_TRUE(peer->until([&] { return a.closed && b.closed; }));
  EXPECT_EQ(*a.closed, h2::ErrorCode::kInternalError);
  EXPECT_EQ(*b.closed, h2::ErrorCode::kInternalError);
  EXPECT_FALSE(b.ended);
}

// Every way of cutting the bytes gives the same requests.
TEST_F(Http2Server, AnySplitOfTheBytes) {
  for (const size_t step : {1U, 2U, 3U, 7U, 100U}) {
    SCOPED_TRACE(step);
    wire.max_read = step;
    start(echo);
    std::vector<H2Peer::Stream*> streams;
    for (int i = 0; i < 3; ++i) {
      streams.push_back(&peer->open(post({{"x-n", std::to_string(i)}}), false));
      streams.back()->send(std::string(static_cast<size_t>(300 * i), 'b'));
      streams.back()->end({{"x-t", std::to_string(i)}});
    }
    for (int i = 0; i < 3; ++i) {
      ASSERT_TRUE(peer->until([&] { return streams[i]->closed.has_value(); }));
      EXPECT_EQ(streams[i]->data.size(), 300U * i);
      EXPECT_EQ(streams[i]->trailer("x-t"), std::to_string(i));
    }
  }
}

}  // namespace
}  // namespace culvert::waypoint
