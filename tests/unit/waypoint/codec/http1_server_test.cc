#include "tests/unit/waypoint/codec/http1_server_support.h"

#include <chrono>
#include <string>

namespace culvert::waypoint::test {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre, testing::EndsWith, testing::HasSubstr, testing::IsEmpty, testing::Not,
    testing::StartsWith;

// ---- serve functions

net::Task<> answer_at_once(ServerExchange& exchange, Log& log) {
  log.requests.push_back(exchange.request().method + " " + exchange.request().path);
  const auto head = response(200);
  (void)co_await exchange.respond(head, BodySize{}, kNever);
}

net::Task<> answer_never(ServerExchange& exchange, Log& log) {
  const Running running(log);
  log.requests.push_back(exchange.request().path);
  net::Reactor unused;
  net::Event never(unused);
  co_await never.wait();
}

net::Task<> answer_chunked(ServerExchange& exchange, Log& log) {
  Running running(log);
  auto head = response(200);
  (void)head.headers.add("x-test", "1");
  const BodySize size{BodySize::Kind::kUnknown, 0};
  auto done = co_await exchange.respond(head, size, kNever);
  if (done) done = co_await exchange.write(as_bytes("hello"), kNever);
  if (done) done = co_await exchange.write(as_bytes(" world"), kNever);
  http::Headers trailers;
  (void)trailers.add("x-trailer", "t");
  if (done) done = co_await exchange.finish(trailers, kNever);
  running.returned = true;
}

net::Task<> copy_up(ServerExchange& exchange, Log& log, bool& ended) {
  for (;;) {
    const auto piece = co_await exchange.body().read(kNever);
    if (!piece) co_return;
    log.bodies.emplace_back(as_text(piece->data));
    if (piece->end) break;
  }
  ended = true;
}

// ---- requests and answers

TEST(Http1Server, KeepsTheConnectionForTheNextRequest) {
  Served served;
  served.start();
  EXPECT_EQ(served.ask("GET /a HTTP/1.1\r\nHost: x\r\n\r\n"),
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
  EXPECT_EQ(served.ask("POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"),
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc");
  EXPECT_THAT(served.log.requests, ElementsAre("GET /a", "POST /b"));
  served.client->finish_output();
  EXPECT_TRUE(served.wait_for_end());
  EXPECT_TRUE(served.client->ended());
  EXPECT_FALSE(served.client->was_reset());
}

TEST(Http1Server, HeadIsCleanedOfWhatBelongsToTheConnection) {
  std::string seen, upgrade;
  Served served([&](ServerExchange& exchange, Log& log) {
    exchange.request().headers.for_each([&](const http::Headers::Field& field) {
      seen += std::string(field.name) + "=" + std::string(field.value) + ";";
    });
    upgrade = exchange.upgrade();
    EXPECT_EQ(exchange.request().authority, "x:80");
    EXPECT_EQ(exchange.request().scheme, "http");
    return answer_at_once(exchange, log);
  });
  served.start();
  served.ask(
      "GET / HTTP/1.1\r\nHost: x:80\r\nConnection: x-private, keep-alive, Upgrade\r\n"
      "X-Private: 1\r\nTE: trailers, gzip\r\nKeep-Alive: 5\r\nUpgrade: WebSocket, other\r\n"
      "X-Kept: 2\r\n\r\n");
  EXPECT_EQ(seen, "x-kept=2;te=trailers;");
  EXPECT_EQ(upgrade, "websocket");
}

TEST(Http1Server, IgnoresUpgradesThatCannotBe) {
  std::vector<std::string> upgrades;
  Served served([&](ServerExchange& exchange, Log& log) {
    upgrades.push_back(exchange.upgrade());
    return echo(exchange, log);
  });
  served.start();
  const std::string offer = "Host: x\r\nConnection: Upgrade\r\n";
  EXPECT_THAT(served.ask("GET / HTTP/1.1\r\n" + offer + "Upgrade: h2c\r\n\r\n"), HasSubstr("200"));
  EXPECT_THAT(served.ask("POST / HTTP/1.1\r\n" + offer +
                         "Upgrade: websocket\r\nContent-Length: 2\r\n\r\nhi"),
              EndsWith("hi"));
  EXPECT_THAT(upgrades, ElementsAre("", ""));
}

TEST(Http1Server, ChunksAndTrailersBothWays) {
  Served served;
  served.start();
  EXPECT_THAT(served.ask("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                         "3\r\nabc\r\n2\r\nde\r\n0\r\nX-T: v\r\n\r\n"),
              EndsWith("\r\n\r\nabcde"));
  EXPECT_THAT(served.log.trailers, ElementsAre("x-t=v"));

  Served other(answer_chunked);
  other.start();
  EXPECT_EQ(other.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
            "HTTP/1.1 200 OK\r\nx-test: 1\r\ntransfer-encoding: chunked\r\n\r\n"
            "5\r\nhello\r\n6\r\n world\r\n0\r\nx-trailer: t\r\n\r\n");
  EXPECT_FALSE(other.ended());
}

TEST(Http1Server, AnswersWithoutBody) {
  int status = 200;
  Served served([&](ServerExchange& exchange, Log& log) -> net::Task<> {
    const auto serve = [](ServerExchange& to, Log& /*log*/, int code) -> net::Task<> {
      auto head = response(code);
      (void)head.headers.add("content-length", "5");
      (void)co_await to.respond(head, BodySize{}, kNever);
    };
    return serve(exchange, log, status);
  });
  served.start();
  EXPECT_EQ(served.ask("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"),
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n");
  status = 304;
  EXPECT_EQ(served.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
            "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n");
  status = 204;
  EXPECT_EQ(served.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_FALSE(served.ended());
}

TEST(Http1Server, OldClientsCloseUnlessTheyAskNotTo) {
  Served served(answer_chunked);
  served.start();
  const std::string answer = served.ask("GET / HTTP/1.0\r\nHost: x\r\n\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.0 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("connection: close"));
  EXPECT_THAT(answer, EndsWith("\r\n\r\nhello world"));
  EXPECT_TRUE(served.client->ended());

  Served kept;
  kept.start();
  EXPECT_THAT(kept.ask("GET / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n"),
              HasSubstr("connection: keep-alive"));
  EXPECT_FALSE(kept.client->ended());

  Served nameless;
  nameless.start();
  EXPECT_THAT(nameless.ask("GET / HTTP/1.0\r\n\r\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(nameless.log.requests, IsEmpty());
}

TEST(Http1Server, ClosesWhenTheClientWantsIt) {
  Served served;
  served.start();
  EXPECT_THAT(served.ask("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
              HasSubstr("connection: close"));
  EXPECT_TRUE(served.client->ended());
  EXPECT_FALSE(served.ended());  // the client may still read what we sent
  served.client->finish_output();
  EXPECT_TRUE(served.wait_for_end());
  EXPECT_FALSE(served.client->was_reset());
}

TEST(Http1Server, ConnectIsARequestAndEndsTheConnection) {
  Served served([](ServerExchange& exchange, Log& log) -> net::Task<> {
    const auto serve = [](ServerExchange& to, Log& to_log) -> net::Task<> {
      to_log.requests.push_back(to.request().method + " " + to.request().authority);
      EXPECT_EQ(to.request_size().kind, BodySize::Kind::kNone);
      const auto piece = co_await to.body().read(kNever);
      EXPECT_TRUE(piece && piece->end && piece->data.empty());
      const auto head = response(404);
      (void)co_await to.respond(head, BodySize{}, kNever);
    };
    return serve(exchange, log);
  });
  served.start();
  const std::string answer = served.ask(
      "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(answer, HasSubstr("connection: close"));
  EXPECT_THAT(served.log.requests, ElementsAre("CONNECT a:1"));
  EXPECT_TRUE(served.client->ended());
}

TEST(Http1Server, CountsBytes) {
  ServerExchange::Counts counts;
  Served served([&](ServerExchange& exchange, Log& log) -> net::Task<> {
    const auto serve = [](ServerExchange& to, Log& to_log,
                          ServerExchange::Counts& out) -> net::Task<> {
      co_await echo(to, to_log);
      out = to.counts();
    };
    return serve(exchange, log, counts);
  });
  served.start();
  for (int i = 0; i < 2; ++i) {
    const std::string request =
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    const std::string answer = served.ask(request);
    EXPECT_EQ(counts.wire_received, request.size());
    EXPECT_EQ(counts.wire_sent, answer.size());
    EXPECT_EQ(counts.body_received, 3U);
    EXPECT_EQ(counts.body_sent, 3U);
  }
}

// ---- pipelining

TEST(Http1Server, PipelinedRequestsAreAnsweredInOrder) {
  Served served;
  served.start();
  std::string requests, answers;
  for (int i = 0; i < 200; ++i) {
    requests += "POST /" + std::to_string(i) + " HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n" +
                std::to_string(100 + i);
    answers += "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n" + std::to_string(100 + i);
  }
  EXPECT_EQ(served.ask(requests), answers);
}

TEST(Http1Server, PipelinedBytesThatNobodyTakesStayWithTheClient) {
  Served served(answer_never);
  served.start();
  const std::string request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
  std::string requests;
  while (requests.size() < 100'000) requests += request;
  served.client->put(requests);
  served.settle();
  EXPECT_EQ(served.log.running, 1);
  // What is left in the pipe is what the server did not take.
  EXPECT_GT(served.side->take().size(), 80'000U);
}

// ---- 100-continue

TEST(Http1Server, TellsTheClientToGoOn) {
  Served served;
  served.start();
  const std::string head =
      "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
  EXPECT_EQ(served.ask(head), "HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_EQ(served.ask("hi"), "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi");
  EXPECT_FALSE(served.client->ended());
}

TEST(Http1Server, WithoutContinueTheBodyIsNotAwaited) {
  Served served(answer_at_once);
  served.start();
  EXPECT_THAT(
      served.ask("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"),
      HasSubstr("connection: close"));
  EXPECT_TRUE(served.client->ended());
  // Not the next request, whatever it looks like.
  EXPECT_EQ(served.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "");
  EXPECT_THAT(served.log.requests, ElementsAre("POST /"));
}

// ---- what is left of a request

TEST(Http1Server, DrainsAShortRestOfTheBody) {
  Served served(answer_at_once);
  served.start();
  const std::string body(100'000, 'b');
  EXPECT_THAT(served.ask("POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + body),
              StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(served.ask("GET /2 HTTP/1.1\r\nHost: x\r\n\r\n"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(served.log.requests, ElementsAre("POST /1", "GET /2"));
}

TEST(Http1Server, DoesNotDrainForEver) {
  Served served(answer_at_once);
  served.start();
  served.client->put("POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n");
  const std::string piece(64 * 1024, 'b');
  size_t sent = 0;
  while (!served.ended() && sent < 10'000'000) {
    served.client->put(piece);
    sent += piece.size();
    served.settle();
  }
  EXPECT_TRUE(served.ended());
  EXPECT_LT(sent, 1'000'000U);
}

TEST(Http1Server, DoesNotWaitLongForTheRestOfTheBody) {
  Served served(answer_at_once);
  served.start();
  const auto begun = Clock::now();
  served.client->put("POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n");
  EXPECT_TRUE(served.wait_for_end());
  EXPECT_GT(Clock::now() - begun, milliseconds(900));
}

// ---- invalid input

TEST(Http1Server, InvalidRequestsReachNobody) {
  const std::pair<const char*, const char*> cases[] = {
      {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
       "HTTP/1.1 400"},
      {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
       "HTTP/1.1 400"},
      {"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n", "HTTP/1.1 400"},
      {"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "HTTP/1.1 501"},
      {"GET / HTTP/1.1\r\nHost : x\r\n\r\n", "HTTP/1.1 400"},
      {"GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n", "HTTP/1.1 400"},
      {"GET / HTTP/1.1\r\nHost: x\nX: a\r\n\r\n", "HTTP/1.1 400"},
      {"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400"},
      {"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "HTTP/1.1 400"},
      {"GET / HTTP/3.0\r\nHost: x\r\n\r\n", "HTTP/1.1 505"},
      {"\x16\x03\x01", "HTTP/1.1 400"},
  };
  for (const auto& [input, answer] : cases) {
    Served served;
    served.start();
    const std::string got = served.ask(input);
    EXPECT_THAT(got, StartsWith(answer)) << input;
    EXPECT_THAT(got, HasSubstr("connection: close\r\n")) << input;
    EXPECT_THAT(got, HasSubstr("content-type: text/plain\r\n")) << input;
    EXPECT_THAT(served.log.requests, IsEmpty()) << input;
    EXPECT_TRUE(served.client->ended()) << input;
    served.ask(std::string(100'000, 'x'));  // what it sends on does not cost it the answer
    EXPECT_FALSE(served.client->was_reset()) << input;
  }
}

TEST(Http1Server, HeadsHaveLimits) {
  ServerCodecOptions options;
  options.max_header_bytes = 2000;
  options.max_header_fields = 3;
  Served large(echo, options);
  large.start();
  EXPECT_THAT(large.ask("GET / HTTP/1.1\r\nHost: x\r\nA: " + std::string(3000, 'a') + "\r\n\r\n"),
              StartsWith("HTTP/1.1 431"));
  Served many(echo, options);
  many.start();
  EXPECT_THAT(many.ask("GET / HTTP/1.1\r\nHost: x\r\nA: 1\r\nA: 2\r\nA: 3\r\nA: 4\r\n\r\n"),
              StartsWith("HTTP/1.1 431"));
  Served wide;
  wide.start();
  EXPECT_THAT(wide.ask("GET /" + std::string(40'000, 'u') + " HTTP/1.1\r\nHost: x\r\n\r\n"),
              StartsWith("HTTP/1.1 200"));
}

TEST(Http1Server, InvalidBodyIsTheReadersToAnswer) {
  Served served;
  served.start();
  const std::string answer =
      served.ask("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(answer, HasSubstr("connection: close"));
  EXPECT_THAT(served.log.errors, ElementsAre(make_error_code(ExchangeErrc::kBadMessage)));
  EXPECT_TRUE(served.client->ended());
}

// ---- time

TEST(Http1Server, SlowHeadsAreAnswered408) {
  ServerCodecOptions options;
  options.header_timeout = milliseconds(20);
  Served served(echo, options);
  served.start();
  served.client->put("GET / HT");
  std::string got;
  culvert::test::run_until(served.reactor, [&] {
    got += served.client->take();
    return served.client->ended();
  });
  EXPECT_THAT(got, StartsWith("HTTP/1.1 408"));
  EXPECT_THAT(served.log.requests, IsEmpty());
}

TEST(Http1Server, IdleConnectionsCloseSilently) {
  ServerCodecOptions options;
  options.idle_timeout = milliseconds(20);
  options.header_timeout = milliseconds(1);  // does not begin without a byte
  Served served(echo, options);
  served.start();
  served.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  culvert::test::run_until(served.reactor, [&] { return served.client->ended(); });
  EXPECT_EQ(served.client->take(), "");
}

TEST(Http1Server, TimeDoesNotRunWhileARequestIsServed) {
  ServerCodecOptions options;
  options.idle_timeout = options.header_timeout = milliseconds(1);
  Served served(answer_never, options);
  served.start();
  served.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  const Time until = Clock::now() + milliseconds(20);
  culvert::test::run_until(served.reactor, [&] { return Clock::now() > until; });
  EXPECT_EQ(served.log.running, 1);
}

// ---- drain

TEST(Http1Server, DrainEndsIdleConnections) {
  Served served;
  served.start();
  served.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  served.server->drain();
  served.settle();
  EXPECT_TRUE(served.client->ended());
  served.client->finish_output();
  EXPECT_TRUE(served.wait_for_end());
  EXPECT_FALSE(served.client->was_reset());
}

TEST(Http1Server, DrainLetsARequestFinish) {
  Served served;
  served.start();
  served.ask("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n");
  served.server->drain();
  EXPECT_EQ(served.ask("hi"),
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi");
  EXPECT_TRUE(served.client->ended());
}

TEST(Http1Server, DrainBeforeTheStart) {
  Served served;
  served.server->drain();
  served.client->put("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  served.start();
  EXPECT_TRUE(served.client->ended() || served.log.requests.size() == 1);
}

// ---- the client goes

TEST(Http1Server, AClientThatLeavesEndsItsRequest) {
  for (const bool reset : {false, true}) {
    Served served(answer_never);
    served.start();
    served.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_EQ(served.log.running, 1);
    if (reset) {
      served.client->reset();
    } else {
      served.client->finish_output();
    }
    served.settle();
    EXPECT_EQ(served.log.running, 0);
    EXPECT_EQ(served.log.destroyed, 1);
    EXPECT_TRUE(served.ended());
    EXPECT_TRUE(served.client->was_reset());
  }
}

TEST(Http1Server, AClientThatLeavesBehindAPipelinedRequest) {
  Served served(answer_never);
  served.start();
  served.ask("GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n");
  served.client->finish_output();
  served.settle();
  EXPECT_TRUE(served.ended());
  EXPECT_THAT(served.log.requests, ElementsAre("/1"));
}

TEST(Http1Server, AnAnswerWithoutEndIsAReset) {
  Served served([](ServerExchange& exchange, Log& log) -> net::Task<> {
    const auto serve = [](ServerExchange& to, Log& /*log*/) -> net::Task<> {
      const auto head = response(200);
      const BodySize size{BodySize::Kind::kUnknown, 0};
      (void)co_await to.respond(head, size, kNever);
      (void)co_await to.write(as_bytes("part"), kNever);
      to.reset();
    };
    return serve(exchange, log);
  });
  served.start();
  served.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(served.client->was_reset());
  EXPECT_TRUE(served.ended());
}

// ---- upgrades

TEST(Http1Server, AfterAnUpgradeBytesPassBothWays) {
  bool up_ended = false;
  Served served([&](ServerExchange& exchange, Log& log) -> net::Task<> {
    const auto serve = [](ServerExchange& to, Log& to_log, net::Reactor& reactor,
                          bool& ended) -> net::Task<> {
      Running running(to_log);
      net::Scope up(reactor);
      // Before the answer, as the proxy does.
      up.spawn(copy_up(to, to_log, ended));
      EXPECT_FALSE(ended);
      const auto head = response(101);
      const BodySize size{BodySize::Kind::kTunnel, 0};
      auto done = co_await to.respond(head, size, kNever);
      EXPECT_TRUE(done.has_value());
      done = co_await to.write(as_bytes("down"), kNever);
      co_await up.drained();
      done = co_await to.write(as_bytes("late"), kNever);
      done = co_await to.finish({}, kNever);
      running.returned = true;
    };
    return serve(exchange, log, served.reactor, up_ended);
  });
  served.start();
  EXPECT_EQ(served.ask("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: "
                       "websocket\r\n\r\nearly"),
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: "
            "websocket\r\n\r\ndown");
  EXPECT_THAT(served.log.bodies, ElementsAre("early"));
  served.ask("more");
  EXPECT_THAT(served.log.bodies, ElementsAre("early", "more"));
  EXPECT_FALSE(up_ended);
  served.client->finish_output();
  served.settle();
  EXPECT_TRUE(up_ended);
  EXPECT_EQ(served.client->take(), "late");
  EXPECT_TRUE(served.client->ended());
  EXPECT_TRUE(served.ended());
  EXPECT_FALSE(served.client->was_reset());
}

TEST(Http1Server, ARefusedUpgradeIsARequestLikeAnyOther) {
  Served served;
  served.start();
  const std::string offer =
      "GET /1 HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
  served.ask(offer + "GET /2 HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(served.log.requests, ElementsAre("GET /1", "GET /2"));
}

}  // namespace
}  // namespace culvert::waypoint::test
