#include "waypoint/codec/http2_client.h"

#include "tests/support/loop.h"
#include "tests/unit/waypoint/codec/http2_support.h"

namespace culvert::waypoint {
namespace {

using namespace test;

const std::string kNoUpgrade;
constexpr BodySize kNoBody{};
constexpr BodySize kTunnel{BodySize::Kind::kTunnel, 0};

http::RequestHead request(std::string method, const FieldList& fields = {}) {
  http::RequestHead head;
  head.method = std::move(method);
  head.scheme = "https";
  head.authority = "a.example";
  head.path = "/x?y";
  for (const auto& [name, value] : fields) EXPECT_TRUE(head.headers.add(name, value));
  return head;
}

struct Http2Clients : ::testing::Test {
  void start(const h2::Settings& server = {}, ClientCodecOptions options = {}) {
    scope.cancel();
    client.reset();
    auto stream = wire.stream();
    peer = std::make_unique<H2Peer>(wire, h2::Role::kServer, server);
    client = std::make_unique<Http2Client>(reactor, std::move(stream), options);
    peer->settle();
  }
  // A GET, sent.
  std::unique_ptr<ClientExchange> get(std::string method = "GET") {
    auto exchange = client->start();
    const auto head = request(std::move(method));
    EXPECT_TRUE(culvert::test::run(reactor, exchange->send(head, kNoBody, kNoUpgrade, kNever)));
    const size_t before = peer->requests();
    peer->until([&] { return peer->requests() > before; });
    return exchange;
  }
  // What a call comes to, with the peer's help.
  template <class T>
  T wait(net::Task<T> task) {
    std::optional<T> result;
    scope.spawn(keep(std::move(task), result));
    peer->until([&] { return result.has_value(); });
    return std::move(*result);
  }
  template <class T>
  static net::Task<> keep(net::Task<T> task, std::optional<T>& out) {
    out.emplace(co_await std::move(task));
  }
  std::error_code response_error(ClientExchange& exchange) {
    auto response = wait(exchange.response(kNever));
    return response ? std::error_code() : response.error().code;
  }
  std::string body(ClientExchange& exchange, http::Headers* trailers = nullptr) {
    return wait(read_body(exchange.body(), trailers));
  }

  net::Reactor reactor;
  Wire wire{reactor};
  std::unique_ptr<H2Peer> peer;
  std::unique_ptr<Http2Client> client;
  net::Scope scope{reactor};
};

TEST_F(Http2Clients, ARequestAndItsResponse) {
  start();
  EXPECT_TRUE(client->usable());
  auto exchange = client->start();
  EXPECT_EQ(client->running(), 1U);
  const auto head = request("GET", {{"x-a", "1"},
                                    {"connection", "close"},
                                    {"keep-alive", "1"},
                                    {"proxy-connection", "x"},
                                    {"transfer-encoding", "chunked"},
                                    {"upgrade", "h2c"},
                                    {"host", "other"},
                                    {"te", "gzip, trailers"}});
  ASSERT_TRUE(wait(exchange->send(head, kNoBody, kNoUpgrade, kNever)));
  ASSERT_TRUE(peer->until([&] { return peer->requests() == 1 && peer->request(0).head; }));
  auto& stream = peer->request(0);
  EXPECT_TRUE(stream.head_ended);
  EXPECT_EQ(stream.get(":method"), "GET");
  EXPECT_EQ(stream.get(":scheme"), "http");
  EXPECT_EQ(stream.get(":authority"), "a.example");
  EXPECT_EQ(stream.get(":path"), "/x?y");
  EXPECT_EQ(stream.get("x-a"), "1");
  EXPECT_EQ(stream.get("te"), "trailers");
  EXPECT_EQ(stream.head->fields.size(), 6U) << "hop-by-hop fields were sent";

  stream.inform({{":status", "100"}});
  stream.inform({{":status", "103"}, {"link", "x"}});
  stream.respond({{":status", "200"}, {"content-length", "5"}, {"x-b", "2"}});
  auto response = wait(exchange->response(kNever));
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(response->version, http::Version::kHttp2);
  EXPECT_EQ(response->headers.get("x-b"), "2");
  EXPECT_FALSE(response->headers.contains("link"));
  EXPECT_EQ(exchange->response_size().kind, BodySize::Kind::kLength);
  EXPECT_EQ(exchange->response_size().length, 5U);
  EXPECT_FALSE(exchange->trailers_only());
  stream.send("hello");
  stream.end();
  EXPECT_EQ(body(*exchange), "hello");
  EXPECT_EQ(client->running(), 0U);
  exchange.reset();
  peer->settle();
  EXPECT_FALSE(stream.reset_received);
  EXPECT_TRUE(client->usable());
}

TEST_F(Http2Clients, BodiesAndTrailersBothWays) {
  start();
  auto exchange = client->start();
  const auto head = request("POST");
  ASSERT_TRUE(wait(exchange->send(head, kUnknownSize, kNoUpgrade, kNever)));
  const std::string large(1 << 20, 'l');
  ASSERT_TRUE(wait(exchange->write(as_bytes(large), kNever)));
  http::Headers trailers;
  ASSERT_TRUE(trailers.add("x-sum", "9"));
  ASSERT_TRUE(wait(exchange->finish(trailers, kNever)));
  ASSERT_TRUE(peer->until([&] { return peer->request(0).ended; }));
  EXPECT_EQ(peer->request(0).data, large);
  EXPECT_EQ(peer->request(0).trailer("x-sum"), "9");
  peer->request(0).respond({{":status", "200"}});
  peer->request(0).send(large);
  peer->request(0).end({{"grpc-status", "0"}});
  ASSERT_TRUE(wait(exchange->response(kNever)));
  EXPECT_EQ(exchange->response_size().kind, BodySize::Kind::kUnknown);
  http::Headers got;
  EXPECT_EQ(body(*exchange, &got), large);
  EXPECT_EQ(got.get("grpc-status"), "0");
}

TEST_F(Http2Clients, TrailersOnly) {
  start();
  auto exchange = get();
  peer->request(0).respond({{":status", "200"}, {"grpc-status", "14"}}, true);
  ASSERT_TRUE(wait(exchange->response(kNever)));
  EXPECT_TRUE(exchange->trailers_only());
  EXPECT_EQ(exchange->response_size().kind, BodySize::Kind::kNone);
  EXPECT_EQ(body(*exchange), "");
}

TEST_F(Http2Clients, AResponseBeforeTheRequestIsOver) {
  start();
  auto exchange = client->start();
  const auto head = request("POST");
  ASSERT_TRUE(wait(exchange->send(head, kUnknownSize, kNoUpgrade, kNever)));
  peer->until([&] { return peer->requests() == 1; });
  peer->request(0).respond({{":status", "413"}}, true);
  auto response = wait(exchange->response(kNever));
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 413);
  peer->settle();
  // The session stopped us with NO_ERROR.
  auto written = wait(exchange->write(as_bytes("x"), kNever));
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, ExchangeErrc::kPeerReset);
  EXPECT_EQ(body(*exchange), "");
}

TEST_F(Http2Clients, ErrorsOfAStream) {
  start();
  const std::vector<std::pair<h2::ErrorCode, ExchangeErrc>> cases = {
      {h2::ErrorCode::kRefusedStream, ExchangeErrc::kRefused},
      {h2::ErrorCode::kInternalError, ExchangeErrc::kPeerReset},
      {h2::ErrorCode::kProtocolError, ExchangeErrc::kPeerReset},
      {h2::ErrorCode::kNoError, ExchangeErrc::kPeerReset},
      {h2::ErrorCode::kCancel, ExchangeErrc::kPeerReset},
  };
  for (const auto& [code, error] : cases) {
    auto exchange = get();
    peer->request(peer->requests() - 1).reset(code);
    EXPECT_EQ(response_error(*exchange), error) << to_string(code);
    EXPECT_EQ(client->running(), 0U);
  }
  // In the middle of a body: what came is read first.
  auto exchange = get();
  auto& stream = peer->request(peer->requests() - 1);
  stream.respond({{":status", "200"}});
  stream.send("half");
  ASSERT_TRUE(wait(exchange->response(kNever)));
  peer->settle();
  stream.reset(h2::ErrorCode::kInternalError);
  peer->settle();
  EXPECT_EQ(body(*exchange), "half!the peer reset the exchange");
  EXPECT_TRUE(client->usable());
}

TEST_F(Http2Clients, ResponsesThatAreNotValid) {
  ClientCodecOptions options;
  options.max_header_bytes = 1000;
  options.max_header_fields = 10;
  start({}, options);
  FieldList many{{":status", "200"}};
  for (int i = 0; i < 11; ++i) many.emplace_back("x-" + std::to_string(i), "1");
  const std::vector<std::pair<FieldList, ExchangeErrc>> cases = {
      {{{":status", "2x0"}}, ExchangeErrc::kBadMessage},
      {{{":status", "101"}}, ExchangeErrc::kBadMessage},
      {{{"x-a", "1"}}, ExchangeErrc::kBadMessage},
      {{{":status", "200"}, {"connection", "close"}}, ExchangeErrc::kBadMessage},
      {{{":status", "200"}, {"transfer-encoding", "chunked"}}, ExchangeErrc::kBadMessage},
      {{{":status", "200"}, {"x-a", "a\rb"}}, ExchangeErrc::kBadMessage},
      {{{":status", "200"}, {"x-a", std::string(1000, 'a')}}, ExchangeErrc::kTooLarge},
      {{{":status", "200"}, {"x-a", std::string(50000, 'a')}}, ExchangeErrc::kTooLarge},
      {many, ExchangeErrc::kTooLarge},
  };
  for (size_t i = 0; i < cases.size(); ++i) {
    auto exchange = get();
    auto& stream = peer->request(peer->requests() - 1);
    stream.respond(cases[i].first);
    EXPECT_EQ(response_error(*exchange), cases[i].second) << i;
    peer->settle();
    EXPECT_TRUE(stream.reset_received) << i;
  }
  EXPECT_TRUE(client->usable());
  // A body that is not as long as it says.
  auto exchange = get();
  auto& stream = peer->request(peer->requests() - 1);
  stream.respond({{":status", "200"}, {"content-length", "10"}});
  stream.send("short");
  stream.end();
  ASSERT_TRUE(wait(exchange->response(kNever)));
  EXPECT_EQ(body(*exchange), "short!not valid HTTP");
}

TEST_F(Http2Clients, EndlessInformationalResponses) {
  start();
  for (const int count : {16, 17}) {
    auto exchange = get();
    auto& stream = peer->request(peer->requests() - 1);
    for (int i = 0; i < count; ++i) stream.inform({{":status", "103"}});
    stream.respond({{":status", "200"}}, true);
    EXPECT_EQ(wait(exchange->response(kNever)).has_value(), count == 16);
  }
}

TEST_F(Http2Clients, ADestroyedExchangeIsReset) {
  start();
  for (const int stage : {0, 1, 2, 3}) {
    SCOPED_TRACE(stage);
    auto exchange = client->start();
    const auto head = request("POST");
    if (stage == 0) {
      exchange.reset();
      EXPECT_EQ(client->running(), 0U);
      continue;
    }
    const size_t n = peer->requests();
    ASSERT_TRUE(wait(exchange->send(head, kUnknownSize, kNoUpgrade, kNever)));
    ASSERT_TRUE(peer->until([&] { return peer->requests() > n; }));
    auto& stream = peer->request(n);
    if (stage >= 2) stream.respond({{":status", "200"}});
    if (stage >= 3) stream.end();
    peer->settle();
    if (stage == 1) exchange->reset();
    exchange.reset();
    EXPECT_EQ(client->running(), 0U);
    ASSERT_TRUE(peer->until([&] { return stream.closed.has_value(); }));
    EXPECT_EQ(*stream.closed, h2::ErrorCode::kCancel);
  }
  EXPECT_TRUE(client->usable());
}

TEST_F(Http2Clients, TimesThatRunOut) {
  h2::Settings settings;
  settings.stream_window = 0;
  start(settings);
  auto exchange = client->start();
  const auto head = request("POST");
  ASSERT_TRUE(wait(exchange->send(head, kUnknownSize, kNoUpgrade, kNever)));
  const Time soon = Clock::now() + std::chrono::milliseconds(1);
  EXPECT_EQ(wait(exchange->write(as_bytes("x"), soon)).error().code, culvert::Errc::kTimedOut);
  EXPECT_EQ(wait(exchange->response(soon)).error().code, culvert::Errc::kTimedOut);
}

TEST_F(Http2Clients, ThePeersLimitOfStreams) {
  h2::Settings settings;
  settings.max_concurrent_streams = 2;
  start(settings);
  auto a = get();
  EXPECT_TRUE(client->usable());
  auto b = get();
  EXPECT_FALSE(client->usable());
  peer->request(0).respond({{":status", "200"}}, true);
  ASSERT_TRUE(wait(a->response(kNever)));
  EXPECT_TRUE(client->usable());
}

TEST_F(Http2Clients, AHundredUntilThePeerHasSpoken) {
  auto stream = wire.stream();
  client = std::make_unique<Http2Client>(reactor, std::move(stream), ClientCodecOptions{});
  std::vector<std::unique_ptr<ClientExchange>> exchanges;
  while (client->usable() && exchanges.size() < 1000) exchanges.push_back(client->start());
  EXPECT_EQ(exchanges.size(), 100U);
}

TEST_F(Http2Clients, AHundredStreamsAtOnce) {
  start();
  std::vector<std::unique_ptr<ClientExchange>> exchanges;
  for (int i = 0; i < 100; ++i) exchanges.push_back(get());
  for (size_t i = 100; i-- > 0;) {
    peer->request(i).respond({{":status", "200"}});
    peer->request(i).send("body " + std::to_string(i));
    peer->request(i).end();
  }
  for (size_t i = 0; i < 100; ++i) {
    ASSERT_TRUE(wait(exchanges[i]->response(kNever)));
    EXPECT_EQ(body(*exchanges[i]), "body " + std::to_string(i));
  }
  EXPECT_EQ(client->running(), 0U);
}

// Heads grow on their way through a proxy; nghttp2 by itself would not send one over 64 KiB.
TEST_F(Http2Clients, LargeHeadsAreSent) {
  h2::Settings settings;
  settings.max_header_list = 1 << 20;
  start(settings);
  auto exchange = client->start();
  const std::string third(33'000, '~');
  const auto head = request("GET", {{"x-a", third}, {"x-b", third}, {"x-c", third}});
  ASSERT_TRUE(wait(exchange->send(head, kNoBody, kNoUpgrade, kNever)));
  ASSERT_TRUE(peer->until([&] { return peer->requests() == 1 && peer->request(0).head; }));
  EXPECT_EQ(peer->request(0).get("x-c"), third);
}

TEST_F(Http2Clients, AResponseNobodyReadsStallsNoOther) {
  start();
  std::vector<std::unique_ptr<ClientExchange>> stuck;
  for (size_t i = 0; i < 10; ++i) {
    stuck.push_back(get());
    peer->request(i).respond({{":status", "200"}});
    peer->request(i).send(std::string(1 << 20, 's'));
  }
  peer->settle();
  for (size_t i = 0; i < 10; ++i)
    EXPECT_EQ(peer->request(i).unsent(), (1 << 20) - 256 * 1024U) << i;
  auto other = get();
  peer->request(10).respond({{":status", "200"}});
  peer->request(10).send(std::string(3 << 20, 'o'));
  peer->request(10).end();
  ASSERT_TRUE(wait(other->response(kNever)));
  EXPECT_EQ(body(*other).size(), 3U << 20);
}

// ---- upgrades

TEST_F(Http2Clients, AnUpgradeIsExtendedConnect) {
  h2::Settings settings;
  settings.extended_connect = true;
  start(settings);
  auto exchange = client->start();
  const auto head = request("GET", {{"sec-websocket-key", "x"}, {"sec-websocket-version", "13"}});
  ASSERT_TRUE(wait(exchange->send(head, kNoBody, "websocket", kNever)));
  ASSERT_TRUE(peer->until([&] { return peer->requests() == 1 && peer->request(0).head; }));
  auto& stream = peer->request(0);
  EXPECT_EQ(stream.get(":method"), "CONNECT");
  EXPECT_EQ(stream.get(":protocol"), "websocket");
  EXPECT_EQ(stream.get(":path"), "/x?y");
  EXPECT_EQ(stream.get("sec-websocket-version"), "13");
  EXPECT_EQ(stream.get("sec-websocket-key"), "x") << "a proxy behind may speak HTTP/1 again";
  EXPECT_FALSE(stream.head_ended);
  stream.respond({{":status", "200"}});
  auto response = wait(exchange->response(kNever));
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 101);
  EXPECT_EQ(exchange->response_size().kind, kTunnel.kind);
  ASSERT_TRUE(wait(exchange->write(as_bytes("ping"), kNever)));
  ASSERT_TRUE(peer->until([&] { return stream.data == "ping"; }));
  stream.send("pong");
  stream.end();
  EXPECT_EQ(body(*exchange), "pong");
}

TEST_F(Http2Clients, AnUpgradeThatIsRefused) {
  h2::Settings settings;
  settings.extended_connect = true;
  start(settings);
  auto exchange = client->start();
  const auto head = request("GET");
  ASSERT_TRUE(wait(exchange->send(head, kNoBody, "websocket", kNever)));
  peer->until([&] { return peer->requests() == 1; });
  peer->request(0).respond({{":status", "403"}}, true);
  auto response = wait(exchange->response(kNever));
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 403);
  EXPECT_EQ(exchange->response_size().kind, BodySize::Kind::kNone);
}

TEST_F(Http2Clients, AnUpgradeThePeerDoesNotKnow) {
  start();
  auto exchange = client->start();
  const auto head = request("GET");
  auto sent = wait(exchange->send(head, kNoBody, "websocket", kNever));
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().code, ExchangeErrc::kConnectFailed);
  EXPECT_TRUE(client->usable());
}

TEST_F(Http2Clients, AnUpgradeWaitsForTheSettings) {
  auto stream = wire.stream();
  client = std::make_unique<Http2Client>(reactor, std::move(stream), ClientCodecOptions{});
  auto late = client->start();
  auto lost = client->start();
  const auto head = request("GET");
  const Time soon = Clock::now() + std::chrono::milliseconds(1);
  auto sent = culvert::test::run(reactor, late->send(head, kNoBody, "websocket", soon));
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().code, culvert::Errc::kTimedOut);
  std::optional<Result<>> result;
  scope.spawn(keep(lost->send(head, kNoBody, "websocket", kNever), result));
  client.reset();
  ASSERT_TRUE(culvert::test::run_until(reactor, [&] { return result.has_value(); }));
  EXPECT_EQ(result->error().code, ExchangeErrc::kRefused);
}

TEST_F(Http2Clients, PlainConnect) {
  start();
  auto exchange = client->start();
  auto head = request("CONNECT");
  head.path.clear();
  ASSERT_TRUE(wait(exchange->send(head, kUnknownSize, kNoUpgrade, kNever)));
  ASSERT_TRUE(peer->until([&] { return peer->requests() == 1 && peer->request(0).head; }));
  EXPECT_EQ(peer->request(0).get(":method"), "CONNECT");
  EXPECT_EQ(peer->request(0).head->fields.size(), 2U);
}

// ---- the end of connections

TEST_F(Http2Clients, EveryWayALostConnectionShows) {
  for (const int how : {0, 1, 2, 3, 4}) {
    SCOPED_TRACE(how);
    start();
    auto waiting = get();
    auto reading = get();
    auto unsent = client->start();
    peer->request(1).respond({{":status", "200"}});
    peer->request(1).send("half");
    ASSERT_TRUE(wait(reading->response(kNever)));
    peer->settle();
    if (how == 0) wire.end_input = true;
    if (how == 1) wire.fail_input = true;
    if (how == 2) {
      wire.fail_output = true;
      peer->session.ping();
    }
    if (how == 3) wire.to_codec.append(as_bytes(std::string_view("\0\0\1\0\0\0\0\0\0x", 10)));
    if (how == 4) client.reset();
    EXPECT_EQ(response_error(*waiting), ExchangeErrc::kConnectionLost);
    EXPECT_EQ(body(*reading), "half!the connection ended");
    const auto head = request("GET");
    auto sent = wait(unsent->send(head, kNoBody, kNoUpgrade, kNever));
    ASSERT_FALSE(sent);
    EXPECT_EQ(sent.error().code, ExchangeErrc::kRefused);
    if (how == 4) {
      EXPECT_TRUE(wire.reset);
      continue;
    }
    EXPECT_TRUE(client->closed());
    EXPECT_FALSE(client->usable());
    peer->settle();
    EXPECT_EQ(client->running(), how == 0 ? 0U : client->running());
    if (how == 3) {
      EXPECT_GT(peer->goaways, 0U);
    }
  }
}

TEST_F(Http2Clients, AGoawayRefusesWhatWasNotTaken) {
  start();
  auto taken = get();
  peer->session.notify_shutdown();
  peer->session.goaway(h2::ErrorCode::kNoError);
  // Crosses the GOAWAY.
  auto crossing = client->start();
  const auto head = request("GET");
  ASSERT_TRUE(wait(crossing->send(head, kNoBody, kNoUpgrade, kNever)));
  EXPECT_EQ(response_error(*crossing), ExchangeErrc::kRefused);
  EXPECT_FALSE(client->usable());
  EXPECT_FALSE(client->closed());
  peer->request(0).respond({{":status", "200"}}, true);
  ASSERT_TRUE(wait(taken->response(kNever)));
  ASSERT_TRUE(peer->until([&] { return client->closed(); }));
  ASSERT_TRUE(peer->until([&] { return wire.shut_down; }));
}

TEST_F(Http2Clients, DrainClosesAfterTheLast) {
  start();
  auto exchange = get();
  auto unsent = client->start();
  client->drain();
  EXPECT_FALSE(client->usable());
  peer->settle();
  EXPECT_EQ(peer->goaways, 0U);
  const auto head = request("GET");
  ASSERT_TRUE(wait(unsent->send(head, kNoBody, kNoUpgrade, kNever)));
  peer->until([&] { return peer->requests() == 2; });
  for (const size_t i : {0U, 1U}) peer->request(i).respond({{":status", "200"}}, true);
  ASSERT_TRUE(wait(exchange->response(kNever)));
  ASSERT_TRUE(wait(unsent->response(kNever)));
  ASSERT_TRUE(peer->until([&] { return client->closed(); }));
  peer->settle();
  EXPECT_EQ(peer->goaways, 1U);
  EXPECT_TRUE(wire.shut_down);

  start();
  client->drain();
  ASSERT_TRUE(peer->until([&] { return client->closed(); }));
}

TEST_F(Http2Clients, AnySplitOfTheBytes) {
  for (const size_t step : {1U, 2U, 5U, 64U}) {
    SCOPED_TRACE(step);
    wire.max_read = step;
    start();
    auto exchange = get();
    peer->request(0).respond({{":status", "200"}, {"x-a", "1"}});
    peer->request(0).send(std::string(1000, 'b'));
    peer->request(0).end({{"x-t", "2"}});
    auto response = wait(exchange->response(kNever));
    ASSERT_TRUE(response);
    EXPECT_EQ(response->headers.get("x-a"), "1");
    http::Headers trailers;
    EXPECT_EQ(body(*exchange, &trailers), std::string(1000, 'b'));
    EXPECT_EQ(trailers.get("x-t"), "2");
  }
}

// A task that waits in a call can be destroyed, and the exchange as well.
TEST_F(Http2Clients, TasksDestroyedInEveryCall) {
  h2::Settings settings;
  settings.stream_window = 0;
  for (const int call : {0, 1, 2}) {
    SCOPED_TRACE(call);
    start(settings);
    auto exchange = client->start();
    const auto head = request("POST");
    ASSERT_TRUE(wait(exchange->send(head, kUnknownSize, kNoUpgrade, kNever)));
    peer->until([&] { return peer->requests() == 1; });
    {
      net::Scope doomed(reactor);
      std::optional<Result<http::ResponseHead>> response;
      std::optional<Result<>> written;
      std::optional<Result<BodyPiece>> piece;
      const std::string data("gone after the task");
      if (call == 0) doomed.spawn(keep(exchange->response(kNever), response));
      if (call == 1) doomed.spawn(keep(exchange->write(as_bytes(data), kNever), written));
      if (call == 2) doomed.spawn(keep(exchange->body().read(kNever), piece));
      peer->settle();
      EXPECT_FALSE(response || written || piece);
    }
    peer->request(0).respond({{":status", "200"}}, true);
    peer->settle();
    exchange.reset();
    peer->settle();
    EXPECT_EQ(client->running(), 0U);
  }
}

}  // namespace
}  // namespace culvert::waypoint
