#include "waypoint/codec/http1_client.h"

#include "tests/support/loop.h"
#include "tests/support/memory_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <random>
#include <string>
#include <string_view>

namespace culvert::waypoint {
namespace {

using testing::EndsWith;

const std::string kNoUpgrade;

// What one exchange brought.
struct Outcome {
  std::optional<http::ResponseHead> head;
  BodySize size;
  std::string body, trailers;
  std::error_code error;  // of whatever failed
  bool trailers_only = false, sent = false, ended = false;
};

struct Request {
  std::string method = "GET";
  BodySize size;
  std::string body;
  std::string upgrade;
  bool finish = true;
  Time deadline = kNever;
};

net::Task<> write_body(ClientExchange& exchange, const Request& request, Outcome& out) {
  if (!request.body.empty()) {
    if (!co_await exchange.write(as_bytes(request.body), request.deadline)) co_return;
  }
  if (!request.finish) co_return;
  http::Headers trailers;
  if (request.size.kind == BodySize::Kind::kUnknown) (void)trailers.add("x-up", "1");
  out.sent = (co_await exchange.finish(trailers, request.deadline)).has_value();
}

net::Task<> read_answer(ClientExchange& exchange, Time deadline, Outcome& out) {
  auto head = co_await exchange.response(deadline);
  if (!head) {
    out.error = head.error().code;
    co_return;
  }
  out.head = std::move(*head);
  out.size = exchange.response_size();
  out.trailers_only = exchange.trailers_only();
  while (out.size.kind != BodySize::Kind::kNone) {
    const auto piece = co_await exchange.body().read(deadline);
    if (!piece) {
      out.error = piece.error().code;
      co_return;
    }
    out.body += as_text(piece->data);
    if (!piece->end) continue;
    piece->trailers.for_each([&](const http::Headers::Field& field) {
      out.trailers += std::string(field.name) + "=" + std::string(field.value) + ";";
    });
    break;
  }
  out.ended = true;
}

// As the proxy does it: the body is written while the answer is awaited.
net::Task<> exchange_once(ClientExchange& exchange, Request request, net::Scope& writers,
                          Outcome& out) {
  http::RequestHead head;
  head.method = request.method;
  head.authority = "x";
  head.path = "/";
  (void)head.headers.add("connection", "x-hidden");
  (void)head.headers.add("x-hidden", "1");
  (void)head.headers.add("x-shown", "1");
  auto sent = co_await exchange.send(head, request.size, request.upgrade, request.deadline);
  if (!sent) {
    out.error = sent.error().code;
    co_return;
  }
  if (request.size.kind != BodySize::Kind::kNone) {
    writers.spawn(write_body(exchange, request, out));
  }
  co_await read_answer(exchange, request.deadline, out);
}

class Connected {
 public:
  explicit Connected(size_t capacity = 64 * 1024, ClientCodecOptions options = {})
      : tasks(reactor), writers(reactor) {
    auto [near, far] = test::MemoryStream::pair(reactor, capacity);
    server = std::move(far);
    side = near.get();
    client = std::make_unique<Http1Client>(reactor, std::move(near), options);
  }
  ~Connected() { end(); }
  Connected(const Connected&) = delete;
  Connected& operator=(const Connected&) = delete;

  void settle() {
    for (int i = 0; i < 4; ++i) reactor.turn(Duration::zero());
  }
  // Starts an exchange, and gives what the server got by then.
  std::string ask(Request request = {}) {
    end();
    out = {};
    exchange = client->start();
    tasks.spawn(exchange_once(*exchange, request_ = std::move(request), writers, out));
    settle();
    return server->take();
  }
  Outcome& answer(std::string_view text) {
    server->put(text);
    settle();
    return out;
  }
  // Ends the exchange, finished or not.
  void end() {
    tasks.cancel();
    writers.cancel();
    exchange.reset();
    settle();
  }
  // An exchange on a connection that served before.
  std::string ask_again(const Request& request = {}) {
    ask();
    answer("HTTP/1.1 204 No Content\r\n\r\n");
    return ask(request);
  }

  net::Reactor reactor;
  std::unique_ptr<test::MemoryStream> server;
  test::MemoryStream* side;  // the client's end
  std::unique_ptr<Http1Client> client;
  std::unique_ptr<ClientExchange> exchange;
  Outcome out;
  net::Scope tasks, writers;

 private:
  Request request_;
};

BodySize length(uint64_t n) { return {BodySize::Kind::kLength, n}; }
const BodySize kUnknown{BodySize::Kind::kUnknown, 0};
const std::string kOk = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

// ---- requests

TEST(Http1Client, ExchangesFollowEachOther) {
  Connected c;
  EXPECT_TRUE(c.client->usable());
  for (uint64_t i = 1; i <= 3; ++i) {
    EXPECT_EQ(c.ask(), "GET / HTTP/1.1\r\nhost: x\r\nx-shown: 1\r\n\r\n");
    EXPECT_FALSE(c.client->usable());
    const Outcome& out = c.answer(kOk);
    EXPECT_EQ(out.head->status, 200);
    EXPECT_EQ(out.body, "ok");
    EXPECT_TRUE(out.ended);
    c.end();
    EXPECT_TRUE(c.client->usable());
    EXPECT_EQ(c.client->started(), i);
  }
  c.client.reset();
  EXPECT_TRUE(c.server->was_reset());
}

TEST(Http1Client, SendsBodies) {
  Connected c;
  EXPECT_EQ(c.ask({.method = "POST", .size = length(3), .body = "abc"}),
            "POST / HTTP/1.1\r\nhost: x\r\nx-shown: 1\r\ncontent-length: 3\r\n\r\nabc");
  c.answer(kOk);
  EXPECT_EQ(c.ask({.method = "POST", .size = kUnknown, .body = "abc"}),
            "POST / HTTP/1.1\r\nhost: x\r\nx-shown: 1\r\ntransfer-encoding: chunked\r\n\r\n"
            "3\r\nabc\r\n0\r\nx-up: 1\r\n\r\n");
  c.answer(kOk);
  c.end();
  EXPECT_TRUE(c.client->usable());
  const std::string big(50'000, 'b');
  EXPECT_THAT(c.ask({.method = "POST", .size = kUnknown, .body = big}),
              EndsWith("\r\n\r\nc350\r\n" + big + "\r\n0\r\nx-up: 1\r\n\r\n"));
}

TEST(Http1Client, DoesNotSendMoreThanItSaid) {
  Connected c;
  EXPECT_THAT(c.ask({.method = "POST", .size = length(2), .body = "abc"}), EndsWith("\r\n\r\n"));
  EXPECT_FALSE(c.out.sent);
  c.answer(kOk);
  c.end();
  EXPECT_FALSE(c.client->usable());
}

// ---- answers

TEST(Http1Client, AnswersWithoutBody) {
  const std::pair<const char*, const char*> cases[] = {
      {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"},
      {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"},
      {"GET", "HTTP/1.1 204 No Content\r\n\r\n"},
      {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
  };
  Connected c;
  for (const auto& [method, text] : cases) {
    c.ask({.method = method});
    const Outcome& out = c.answer(text);
    EXPECT_TRUE(out.ended) << text;
    EXPECT_EQ(out.body, "");
    c.end();
    EXPECT_TRUE(c.client->usable()) << text;
  }
}

TEST(Http1Client, ChunkedAnswerWithTrailers) {
  Connected c;
  c.ask();
  const Outcome& out = c.answer(
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-T: "
      "v\r\n\r\n");
  EXPECT_EQ(out.size.kind, BodySize::Kind::kUnknown);
  EXPECT_EQ(out.body, "abcde");
  EXPECT_EQ(out.trailers, "x-t=v;");
  c.end();
  EXPECT_TRUE(c.client->usable());
}

TEST(Http1Client, BodyUntilTheClose) {
  Connected c;
  c.ask();
  EXPECT_FALSE(c.answer("HTTP/1.1 200 OK\r\n\r\nsome").ended);
  c.server->finish_output();
  c.settle();
  EXPECT_TRUE(c.out.ended);
  EXPECT_EQ(c.out.body, "some");
  c.end();
  EXPECT_FALSE(c.client->usable());

  Connected cut;
  cut.ask();
  cut.answer("HTTP/1.1 200 OK\r\n\r\nsome");
  cut.server->reset();
  cut.settle();
  EXPECT_EQ(cut.out.error, ExchangeErrc::kConnectionLost);
}

TEST(Http1Client, SkipsInformationalAnswers) {
  Connected c;
  c.ask({.method = "POST", .size = length(1), .body = "a"});
  const Outcome& out =
      c.answer("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + kOk);
  EXPECT_EQ(out.head->status, 200);
  EXPECT_FALSE(out.head->headers.contains("link"));
  c.end();
  EXPECT_TRUE(c.client->usable());
}

TEST(Http1Client, AnswersLoseWhatBelongsToTheConnection) {
  Connected c;
  c.ask();
  const Outcome& out = c.answer(
      "HTTP/1.1 200 OK\r\nConnection: close, x-private\r\nX-Private: 1\r\nKeep-Alive: 1\r\nX-Kept: "
      "1\r\nContent-Length: 0\r\n\r\n");
  std::string names;
  out.head->headers.for_each(
      [&](const http::Headers::Field& field) { names += std::string(field.name) + ";"; });
  EXPECT_EQ(names, "x-kept;content-length;");
  c.end();
  EXPECT_FALSE(c.client->usable());  // "close"
}

TEST(Http1Client, TrailersOnlyIsAGrpcStatusInTheHead) {
  Connected c;
  c.ask();
  EXPECT_TRUE(
      c.answer("HTTP/1.1 200 OK\r\nGrpc-Status: 5\r\nContent-Length: 0\r\n\r\n").trailers_only);
  c.ask();
  EXPECT_FALSE(
      c.answer("HTTP/1.1 200 OK\r\nGrpc-Status: 5\r\nContent-Length: 1\r\n\r\na").trailers_only);
}

TEST(Http1Client, BadAnswers) {
  const std::pair<std::string, ExchangeErrc> cases[] = {
      {"SMTP\r\n", ExchangeErrc::kBadMessage},
      {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
       ExchangeErrc::kBadMessage},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", ExchangeErrc::kBadMessage},
      {"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: a\r\n\r\n",
       ExchangeErrc::kBadMessage},
      {"HTTP/1.1 200 OK\r\nA: " + std::string(70'000, 'a') + "\r\n\r\n", ExchangeErrc::kTooLarge},
  };
  for (const auto& [text, error] : cases) {
    Connected c;
    c.ask();
    EXPECT_EQ(c.answer(text).error, error) << text.substr(0, 80);
    c.end();
    EXPECT_FALSE(c.client->usable());
    EXPECT_TRUE(c.server->was_reset());
  }
}

// ---- the end of connections

TEST(Http1Client, NoticesThatAnIdleConnectionEnds) {
  for (const bool fresh : {true, false}) {
    for (const std::string end : {"fin", "reset", "bytes"}) {
      Connected c;
      if (!fresh) {
        c.ask();
        c.answer(kOk);
        c.end();
      }
      EXPECT_TRUE(c.client->usable());
      if (end == "fin") c.server->finish_output();
      if (end == "reset") c.server->reset();
      if (end == "bytes") c.server->put("HTTP/1.1 408 Request Timeout\r\n\r\n");
      c.settle();
      EXPECT_FALSE(c.client->usable()) << end;
    }
  }
}

TEST(Http1Client, BytesBehindTheAnswerEndTheConnection) {
  Connected c;
  c.ask();
  EXPECT_EQ(c.answer(kOk + "HTTP/1.1 200 OK\r\n\r\n").body, "ok");
  c.end();
  EXPECT_FALSE(c.client->usable());
}

TEST(Http1Client, RefusedIsWhatCanBeSentAgain) {
  struct Case {
    bool again;
    Request request;
    std::string answer;
    ExchangeErrc error;
  };
  const Case cases[] = {
      {true, {}, "", ExchangeErrc::kRefused},
      {true, {.method = "PUT", .size = length(1), .body = "a"}, "", ExchangeErrc::kRefused},
      // The first one: nothing says that the server ever meant to answer.
      {false, {}, "", ExchangeErrc::kConnectionLost},
      {true, {.method = "POST"}, "", ExchangeErrc::kConnectionLost},
      {true,
       {.method = "PUT", .size = length(2), .body = "a", .finish = false},
       "",
       ExchangeErrc::kConnectionLost},
      {true, {}, "H", ExchangeErrc::kConnectionLost},
      {true, {}, "HTTP/1.1 100 Continue\r\n\r\n", ExchangeErrc::kConnectionLost},
      {true, {}, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no", ExchangeErrc::kConnectionLost},
  };
  for (const Case& test : cases) {
    for (const bool reset : {false, true}) {
      Connected c;
      if (test.again) {
        c.ask_again(test.request);
      } else {
        c.ask(test.request);
      }
      c.answer(test.answer);
      if (reset) {
        c.server->reset();
      } else {
        c.server->finish_output();
      }
      c.settle();
      EXPECT_EQ(c.out.error, test.error) << test.request.method << " " << test.answer;
      c.end();
      EXPECT_FALSE(c.client->usable());
    }
  }
}

TEST(Http1Client, NothingIsSentWhereTheConnectionHasEnded) {
  Connected c;
  c.ask();
  c.answer(kOk);
  c.end();
  c.exchange = c.client->start();
  c.server->finish_output();
  c.settle();
  c.tasks.spawn(exchange_once(*c.exchange, {.method = "POST"}, c.writers, c.out = {}));
  c.settle();
  EXPECT_EQ(c.out.error, ExchangeErrc::kRefused);
  EXPECT_EQ(c.server->take(), "");
}

TEST(Http1Client, AnExchangeThatWasNotUsedLeavesTheConnection) {
  Connected c;
  c.client->start().reset();
  EXPECT_TRUE(c.client->usable());
  c.ask();
  EXPECT_EQ(c.answer(kOk).body, "ok");
}

TEST(Http1Client, AnExchangeGivenUpResets) {
  Connected c;
  c.ask();
  c.answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no");
  c.end();
  EXPECT_FALSE(c.client->usable());
  EXPECT_TRUE(c.server->was_reset());
}

// ---- both directions at a time

TEST(Http1Client, AnEarlyAnswerComesWhileTheBodyWaits) {
  Connected c(1000);
  c.ask({.method = "POST", .size = length(100'000), .body = std::string(100'000, 'b')});
  EXPECT_FALSE(c.out.sent);
  const Outcome& out = c.answer("HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno");
  EXPECT_EQ(out.head->status, 413);
  EXPECT_TRUE(out.ended);
  EXPECT_FALSE(out.sent);
  c.end();
  EXPECT_FALSE(c.client->usable());
  EXPECT_TRUE(c.server->was_reset());
}

TEST(Http1Client, AServerThatDoesNotReadStopsTheWriter) {
  Connected c(1000);
  size_t got =
      c.ask({.method = "POST", .size = kUnknown, .body = std::string(100'000, 'b')}).size();
  size_t rounds = 0;
  for (; !c.out.sent && rounds < 1000; ++rounds) {
    c.settle();
    got += c.server->take().size();
  }
  EXPECT_TRUE(c.out.sent);
  EXPECT_GE(rounds, 20U);
  c.settle();
  got += c.server->take().size();
  EXPECT_GT(got, 100'000U);
  c.answer(kOk);
  c.end();
  EXPECT_TRUE(c.client->usable());
}

TEST(Http1Client, AnAnswerThatNobodyReadsStaysWithTheServer) {
  Connected c;
  c.exchange = c.client->start();
  c.server->put("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + std::string(1'000'000, 'a'));
  c.settle();
  EXPECT_GT(c.side->take().size(), 900'000U);
}

TEST(Http1Client, AfterAnUpgradeBytesPassBothWays) {
  Connected c;
  EXPECT_THAT(c.ask({.upgrade = "websocket"}),
              EndsWith("connection: upgrade\r\nupgrade: websocket\r\n\r\n"));
  c.answer("HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nearly");
  EXPECT_EQ(c.out.head->status, 101);
  EXPECT_EQ(c.out.size.kind, BodySize::Kind::kTunnel);
  EXPECT_EQ(c.out.body, "early");
  const Request up{.body = "up"};
  c.writers.spawn(write_body(*c.exchange, up, c.out));
  c.settle();
  EXPECT_EQ(c.server->take(), "up");
  EXPECT_TRUE(c.server->ended());
  EXPECT_EQ(c.answer("late").body, "earlylate");
  EXPECT_FALSE(c.out.ended);
  c.server->finish_output();
  c.settle();
  EXPECT_TRUE(c.out.ended);
  c.end();
  EXPECT_FALSE(c.client->usable());
  c.client.reset();
  EXPECT_FALSE(c.server->was_reset());
}

TEST(Http1Client, ARefusedUpgradeIsAnAnswer) {
  Connected c;
  c.ask({.upgrade = "websocket"});
  EXPECT_EQ(c.answer(kOk).body, "ok");
  c.end();
  EXPECT_TRUE(c.client->usable());
}

TEST(Http1Client, DeadlinesHold) {
  const Time soon = Clock::now() + std::chrono::milliseconds(10);
  for (const char* partly : {"", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no"}) {
    Connected c;
    c.ask({.deadline = soon});
    c.answer(partly);
    test::run_until(c.reactor, [&] { return static_cast<bool>(c.out.error); });
    EXPECT_EQ(c.out.error, culvert::Errc::kTimedOut);
    c.end();
    EXPECT_FALSE(c.client->usable());
  }
}

// ---- faults

const std::string kLongAnswer =
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    "3\r\nabc\r\n5\r\ndefgh\r\n0\r\nX-T: v\r\n\r\n";

TEST(Http1Client, SplitsChangeNothing) {
  std::mt19937 random(7);
  Connected c;
  c.side->limit_reads([&] { return 1 + random() % 20; });
  for (int round = 0; round < 300; ++round) {
    c.ask({.method = "POST", .size = kUnknown, .body = "abc"});
    for (size_t at = 0; at < kLongAnswer.size();) {
      const size_t n = std::min<size_t>(1 + random() % 40, kLongAnswer.size() - at);
      c.answer(std::string_view(kLongAnswer).substr(at, n));
      at += n;
    }
    ASSERT_TRUE(c.out.ended) << round;
    ASSERT_EQ(c.out.body, "abcdefgh");
    ASSERT_EQ(c.out.trailers, "x-t=v;");
    c.end();
    ASSERT_TRUE(c.client->usable());
  }
}

TEST(Http1Client, EveryOperationFailsOnce) {
  for (size_t k = 0;; ++k) {
    ASSERT_LT(k, 100U);
    Connected c;
    c.side->limit_reads([] { return 8U; });
    c.side->fail_after(k);
    c.ask({.method = "POST", .size = kUnknown, .body = "abc"});
    c.answer(kLongAnswer);
    const bool whole = c.out.ended;
    EXPECT_EQ(whole, !c.out.error) << k;
    if (!whole) EXPECT_EQ(c.out.error, ExchangeErrc::kConnectionLost) << k;
    c.end();
    if (c.client->usable()) {
      EXPECT_TRUE(whole);
      break;
    }
  }
}

TEST(Http1Client, IsDestroyedAtEveryPoint) {
  for (size_t cut = 0; cut <= kLongAnswer.size(); ++cut) {
    Connected c(16);
    c.ask({.method = "POST", .size = kUnknown, .body = "abc"});
    for (size_t i = 0; i < cut % 20; ++i) {
      c.server->take();
      c.settle();
    }
    c.answer(std::string_view(kLongAnswer).substr(0, cut));
    c.end();
    c.client.reset();
    EXPECT_TRUE(c.server->was_reset());
  }
}

}  // namespace
}  // namespace culvert::waypoint
