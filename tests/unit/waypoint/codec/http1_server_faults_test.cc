#include "tests/unit/waypoint/codec/http1_server_support.h"

#include <random>
#include <string>

namespace culvert::waypoint::test {
namespace {

const std::string kConversation =
    "POST /1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    "3\r\nabc\r\n5\r\ndefgh\r\n0\r\nX-T: v\r\n\r\n"
    "GET /2 HTTP/1.1\r\nHost: x\r\n\r\n"
    "POST /3 HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello"
    "GET /4 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
const std::string kAnswers =
    "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nabcdefgh"
    "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
    "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

// Answers with a long body as it is taken, in pieces.
net::Task<> stream_out(ServerExchange& exchange, Log& log) {
  Running running(log);
  log.requests.push_back(exchange.request().path);
  const std::string piece(10'000, 'p');
  const auto head = response(200);
  const BodySize size{BodySize::Kind::kUnknown, 0};
  auto done = co_await exchange.respond(head, size, kNever);
  for (int i = 0; i < 30 && done; ++i) {
    done = co_await exchange.write(as_bytes(piece), kNever);
    if (done) log.bodies.emplace_back();
  }
  if (done) done = co_await exchange.finish({}, kNever);
  if (!done) {
    log.errors.push_back(done.error().code);
    exchange.reset();
  }
  running.returned = true;
}

TEST(Http1ServerFaults, SplitsChangeNothing) {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    Served served;
    const size_t most = 1 + random() % 40;
    served.side->limit_reads([&] { return 1 + random() % most; });
    served.start();
    std::string answers;
    for (size_t at = 0; at < kConversation.size();) {
      const size_t n = std::min<size_t>(1 + random() % 60, kConversation.size() - at);
      answers += served.ask(std::string_view(kConversation).substr(at, n));
      at += n;
    }
    ASSERT_EQ(answers, kAnswers) << "round " << round;
    ASSERT_EQ(served.log.trailers, std::vector<std::string>{"x-t=v"});
  }
}

TEST(Http1ServerFaults, EveryOperationFailsOnce) {
  for (size_t k = 0;; ++k) {
    ASSERT_LT(k, 200U);
    Served served;
    served.side->limit_reads([] { return 16U; });
    served.side->fail_after(k);
    served.start();
    served.client->put(kConversation);
    served.client->finish_output();
    served.settle();
    EXPECT_TRUE(served.ended()) << k;
    EXPECT_EQ(served.log.running, 0) << k;
    const std::string got = served.client->take();
    EXPECT_EQ(kAnswers.substr(0, got.size()), got) << k;
    if (!served.client->was_reset()) break;  // ran to its end: it needs no further operation
  }
}

TEST(Http1ServerFaults, IsDestroyedAtEveryPoint) {
  for (size_t cut = 0; cut <= kConversation.size(); ++cut) {
    Served served;
    served.start();
    served.ask(std::string_view(kConversation).substr(0, cut));
    served.stop();
    EXPECT_EQ(served.log.running, 0) << cut;
    EXPECT_TRUE(served.client->was_reset()) << cut;
  }
}

TEST(Http1ServerFaults, TheRequestIsDestroyedAtEveryPoint) {
  for (size_t cut = 0; cut <= kConversation.size(); ++cut) {
    Served served;
    served.start();
    served.ask(std::string_view(kConversation).substr(0, cut));
    served.client->finish_output();
    served.settle();
    EXPECT_EQ(served.log.running, 0) << cut;
    EXPECT_TRUE(served.ended()) << cut;
  }
}

TEST(Http1ServerFaults, AClientThatDoesNotReadStopsTheWriter) {
  Served served(stream_out, {}, 1000);
  served.start();
  served.client->put("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  served.settle();
  EXPECT_EQ(served.log.running, 1);
  EXPECT_TRUE(served.log.bodies.empty());
  size_t got = 0, rounds = 0;
  while (served.log.running > 0 && ++rounds < 10'000) {
    got += served.client->take().size();
    served.settle();
  }
  got += served.client->take().size();
  EXPECT_EQ(served.log.bodies.size(), 30U);
  EXPECT_GT(got, 300'000U);
  EXPECT_GE(rounds, 300U);
  EXPECT_FALSE(served.ended());
}

TEST(Http1ServerFaults, AStoppedWriterIsDestroyedWithItsClient) {
  for (const bool reset : {false, true}) {
    Served served(stream_out, {}, 1000);
    served.start();
    served.client->put("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    served.settle();
    served.client->take();
    served.settle();
    if (reset) {
      served.client->reset();
    } else {
      served.client->finish_output();
    }
    served.settle();
    EXPECT_EQ(served.log.running, 0);
    EXPECT_TRUE(served.ended());
    EXPECT_TRUE(served.client->was_reset());
  }
}

TEST(Http1ServerFaults, AnUploadIsReadAsFastAsItIsTaken) {
  const auto take_slowly = [](ServerExchange& exchange, Log& log) -> net::Task<> {
    Running running(log);
    const auto piece = co_await exchange.body().read(kNever);
    EXPECT_TRUE(piece.has_value() && !piece->end);
    const std::string first(as_text(piece->data));
    net::Reactor unused;
    net::Event never(unused);
    if (!first.empty()) log.bodies.push_back(first);
    co_await never.wait();
  };
  Served served(take_slowly);
  served.start();
  served.client->put("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n");
  served.client->put(std::string(1'000'000, 'u'));
  served.settle();
  EXPECT_EQ(served.log.running, 1);
  EXPECT_GT(served.side->take().size(), 1'000'000U - 64 * 1024);
}

// The answer begins while "100 Continue" waits for a client that does not read.
TEST(Http1ServerFaults, ContinueAndAnswerDoNotMix) {
  const auto serve = [](ServerExchange& exchange, Log& log, net::Reactor& reactor) -> net::Task<> {
    Running running(log);
    net::Scope side(reactor);
    const auto go_on = [](ServerExchange& to) -> net::Task<> {
      (void)co_await to.send_continue(kNever);
    };
    side.spawn(go_on(exchange));
    const auto head = response(500);
    (void)co_await exchange.respond(head, BodySize{}, kNever);
    running.returned = true;
  };
  net::Reactor* reactor = nullptr;
  Served served([&](ServerExchange& exchange, Log& log) { return serve(exchange, log, *reactor); },
                {}, 10);
  reactor = &served.reactor;
  served.start();
  served.client->put(
      "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  std::string got;
  for (int i = 0; i < 50; ++i) {
    served.settle();
    got += served.client->take();
  }
  EXPECT_EQ(got,
            "HTTP/1.1 100 Continue\r\n\r\n"
            "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n");
}

}  // namespace
}  // namespace culvert::waypoint::test
