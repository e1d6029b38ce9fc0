#include "common/net/relay.h"

#include "tests/support/loop.h"
#include "tests/support/socket_pair.h"

#include <gtest/gtest.h>

#include <sys/socket.h>

#include <optional>
#include <string>
#include <vector>

namespace culvert::net {
namespace {

using namespace std::chrono_literals;
using test::run;
using test::run_until;

struct Count final : Meter {
  void add(size_t bytes) override { total += bytes; }
  size_t total = 0;
};

// client <-> [client side | relay | server side] <-> server
class RelayTest : public testing::Test {
 protected:
  RelayTest() {
    auto [a, b] = test::tcp_pair();
    auto [c, d] = test::tcp_pair();
    client = std::make_unique<Socket>(reactor, std::move(a));
    client_side = std::make_unique<Socket>(reactor, std::move(b));
    server_side = std::make_unique<Socket>(reactor, std::move(c));
    server = std::make_unique<Socket>(reactor, std::move(d));
    relay.emplace(*client_side, *server_side, scratch, pipes, memory, up, down);
    scope.spawn(keep());
  }
  Task<> keep() { outcome = co_await relay->run(); }
  std::string read_all(Socket& from) {
    std::string all;
    std::vector<uint8_t> buffer(1 << 16);
    for (;;) {
      auto got = run(reactor, from.read(buffer));
      if (!got) return all + "!" + std::to_string(got.error().code.value());
      if (*got == 0) return all;
      all += as_text(Bytes(buffer).first(*got));
    }
  }

  Reactor reactor;
  // `size` bytes that differ from place to place.
  static std::string pattern(size_t size) {
    std::string text(size, '\0');
    for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>((i >> 12) * 31 + i);
    return text;
  }
  Task<> send_all(Socket& to, const std::string& text) {
    EXPECT_TRUE(co_await to.write(as_bytes(text)));
    to.finish_output();
  }

  std::vector<uint8_t> scratch = std::vector<uint8_t>(4096);
  PipePool pipes;
  MemoryAccount memory{"workload demo/client", uint64_t{16} << 20};
  Count up, down;
  std::unique_ptr<Socket> client, client_side, server_side, server;
  std::optional<Relay> relay;
  std::optional<RelayOutcome> outcome;
  Scope scope{reactor};
};

TEST_F(RelayTest, CopiesBothWaysAndCarriesHalfClose) {
  ASSERT_TRUE(run(reactor, client->write(as_bytes("ping"))));
  client->finish_output();
  EXPECT_EQ(read_all(*server), "ping");
  EXPECT_FALSE(outcome);
  ASSERT_TRUE(run(reactor, server->write(as_bytes("pong!"))));
  server->finish_output();
  EXPECT_EQ(read_all(*client), "pong!");
  run_until(reactor, [&] { return outcome.has_value(); });
  EXPECT_TRUE(outcome->ok());
  EXPECT_EQ(up.total, 4U);
  EXPECT_EQ(down.total, 5U);
}

TEST_F(RelayTest, ASlowReaderStopsTheWriterAndEverythingArrives) {
  const std::string data(30 << 20, 'd');
  bool written = false;
  const auto write = [](Socket& socket, const std::string& text, bool& done) -> Task<> {
    EXPECT_TRUE(co_await socket.write(as_bytes(text)));
    socket.finish_output();
    done = true;
  };
  scope.spawn(write(*client, data, written));
  for (int i = 0; i < 50; ++i) reactor.turn(1ms);
  EXPECT_FALSE(written);
  EXPECT_EQ(read_all(*server).size(), data.size());
}

TEST_F(RelayTest, WhatWaitsIsChargedUntilItIsTaken) {
  const std::string data = pattern(30 << 20);
  scope.spawn(send_all(*client, data));
  size_t most = 0;
  for (int i = 0; i < 100; ++i) {
    reactor.turn(1ms);
    most = std::max<size_t>(most, memory.held());
  }
  EXPECT_GT(most, 0U);
  EXPECT_EQ(memory.held(), most);  // it stands
  EXPECT_TRUE(read_all(*server) == data);
  EXPECT_EQ(memory.held(), 0U);
  EXPECT_FALSE(outcome);
}

// A budget that a pipe would fill: bytes are copied, and nobody is reset.
TEST_F(RelayTest, ABudgetSmallerThanAPipeIsEnoughForASlowReader) {
  HeldBytes others(memory);
  ASSERT_TRUE(others.resize(memory.budget() / 4 * 3 - Pipe::kCapacity + 1));
  const std::string data = pattern(30 << 20);
  scope.spawn(send_all(*client, data));
  run_until(reactor, [&] { return memory.held() > others.bytes(); });
  EXPECT_LE(memory.held(), others.bytes() + 2 * scratch.size());
  EXPECT_TRUE(read_all(*server) == data);
  EXPECT_EQ(memory.refusals(), 0U);
}

// A pipe holds up to a MiB; while memory is short bytes are copied, a little at a time.
TEST_F(RelayTest, WhileMemoryIsShortOnlyALittleWaits) {
  HeldBytes others(memory);
  ASSERT_TRUE(others.resize(memory.budget() / 8 * 7));
  const std::string data = pattern(30 << 20);
  scope.spawn(send_all(*client, data));
  run_until(reactor, [&] { return memory.held() > others.bytes(); });
  EXPECT_LE(memory.held() - others.bytes(), 16U << 10);
  EXPECT_TRUE(read_all(*server) == data);
  EXPECT_EQ(memory.held(), others.bytes());
}

TEST_F(RelayTest, WhoFlowsNeedsNoBudget) {
  ASSERT_EQ(memory.try_take(memory.budget(), 1), nullptr);
  const std::string text = pattern(50'000);
  std::vector<uint8_t> buffer(1 << 16);
  for (size_t carried = 0; carried < Relay::kSpliceAfter; carried += text.size()) {
    ASSERT_TRUE(run(reactor, client->write(as_bytes(text))));
    std::string got;
    while (got.size() < text.size()) {
      const auto part = run(reactor, server->read(buffer));
      ASSERT_TRUE(part);
      got += as_text(Bytes(buffer).first(*part));
    }
    ASSERT_TRUE(got == text);
  }
  EXPECT_EQ(memory.refusals(), 0U);
  EXPECT_FALSE(outcome);
  memory.give_back(memory.budget());
}

TEST_F(RelayTest, WhereTheBudgetRefusesBothSidesAreReset) {
  ASSERT_EQ(memory.try_take(memory.budget(), 1), nullptr);
  const auto write = [](Socket& socket, const std::string& text, Result<>& result) -> Task<> {
    result = co_await socket.write(as_bytes(text));
  };
  Result<> written;
  const std::string data(30 << 20, 'd');
  scope.spawn(write(*client, data, written));
  run_until(reactor, [&] { return outcome.has_value(); });
  EXPECT_EQ(outcome->error.code, make_error_code(culvert::Errc::kMemory));
  run_until(reactor, [&] { return !written; });
  EXPECT_EQ(written.error().code.value(), ECONNRESET);
  const std::string got = read_all(*server);
  EXPECT_TRUE(got.ends_with("!" + std::to_string(ECONNRESET)));
  EXPECT_EQ(memory.held(), memory.budget());
  memory.give_back(memory.budget());
}

// More than what is copied before a pipe is worth it, both ways at once, with ends at odd places.
TEST_F(RelayTest, WhatIsSplicedArrivesWholeAndInOrder) {
  const std::string there = pattern(3 * Relay::kSpliceAfter + 777);
  const std::string back = pattern(2 * Relay::kSpliceAfter + 1);
  scope.spawn(send_all(*client, there));
  scope.spawn(send_all(*server, back));
  std::string at_server, at_client;
  const auto collect = [](Socket& from, std::string& into) -> Task<> {
    std::vector<uint8_t> buffer(50'000);
    for (;;) {
      const auto got = co_await from.read(buffer);
      EXPECT_TRUE(got);
      if (!got || *got == 0) co_return;
      into += as_text(Bytes(buffer).first(*got));
    }
  };
  scope.spawn(collect(*server, at_server));
  scope.spawn(collect(*client, at_client));
  run_until(reactor, [&] { return outcome.has_value(); });
  run_until(reactor, [&] { return scope.empty(); });
  EXPECT_TRUE(at_server == there);
  EXPECT_TRUE(at_client == back);
  EXPECT_EQ(up.total, there.size());
  EXPECT_EQ(down.total, back.size());
  EXPECT_TRUE(outcome->ok());
}

TEST_F(RelayTest, UrgentDataDoesNotStopWhatIsSpliced) {
  const std::string text = pattern(2 * Relay::kSpliceAfter);
  scope.spawn([](Socket& to, const std::string& all) -> Task<> {
    EXPECT_TRUE(co_await to.write(as_bytes(all)));
  }(*client, text));
  std::string got;
  std::vector<uint8_t> buffer(1 << 16);
  const auto read_until = [&](size_t size) {
    run_until(reactor, [&] {
      if (const IoResult some = server->recv(buffer); some.done())
        got += as_text(Bytes(buffer).first(some.bytes));
      return got.size() >= size;
    });
  };
  read_until(text.size());
  for (int i = 1; i <= 3; ++i) {
    ASSERT_TRUE(client->send(as_bytes("before")).done());
    ASSERT_EQ(::send(client->fd(), "!", 1, MSG_OOB), 1);
    ASSERT_TRUE(client->send(as_bytes("behind")).done());
    if (i < 3) read_until(text.size() + i * 12);
  }
  client->finish_output();
  got += read_all(*server);
  EXPECT_TRUE(got == text + "beforebehindbeforebehindbeforebehind");
}

TEST_F(RelayTest, BytesInThePipeOfATakerThatWentAwayGoNowhere) {
  const std::string text = pattern(8 * Relay::kSpliceAfter);
  size_t sent = 0;
  for (int idle = 0; idle < 50; ++idle) {  // until nobody takes more
    const IoResult result = client->send(as_bytes(std::string_view(text).substr(sent)));
    if (result.bytes > 0) idle = 0;
    sent += result.bytes;
    reactor.turn(1ms);
    std::vector<uint8_t> some(4096);
    if (sent < 2 * Relay::kSpliceAfter) static_cast<void>(server->recv(some));
  }
  ASSERT_GT(sent, Relay::kSpliceAfter);
  server->abort();
  server.reset();
  run_until(reactor, [&] { return outcome.has_value(); });
  EXPECT_TRUE(outcome->ok());  // peers go away: no error of ours
  EXPECT_LT(up.total, sent);
  EXPECT_EQ(pipes.take()->held(), 0U);  // and what was left is not the next connection's
}

TEST_F(RelayTest, AResetIsCarriedAsAReset) {
  ASSERT_TRUE(run(reactor, client->write(as_bytes("x"))));
  std::vector<uint8_t> buffer(10);
  ASSERT_TRUE(run(reactor, server->read(buffer)));
  client->abort();
  auto got = run(reactor, server->read(buffer));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code.value(), ECONNRESET);
  run_until(reactor, [&] { return outcome.has_value(); });
  EXPECT_TRUE(outcome->ok());  // peers go away: no error of ours
}

// Though it is learnt by sending to who reset: a part is not taken for the whole.
TEST_F(RelayTest, AResetUnderASenderIsCarriedAsAReset) {
  ASSERT_TRUE(run(reactor, server->write(as_bytes("part"))));
  std::vector<uint8_t> buffer(10);
  ASSERT_EQ(*run(reactor, client->read(buffer)), 4U);
  ASSERT_TRUE(client->send(as_bytes("more")).done());
  server->abort();
  EXPECT_EQ(read_all(*client), "!" + std::to_string(ECONNRESET));
  run_until(reactor, [&] { return outcome.has_value(); });
  EXPECT_TRUE(outcome->ok());
}

// The server answers, closes at once with the request unread (so its kernel resets), and the client
// reads late: not a byte of the answer may be lost.
TEST_F(RelayTest, AnAnswerBeforeAnEarlyCloseArrivesWhole) {
  const std::string answer(3 << 20, 'a');
  bool written = false;
  const auto write = [](Socket& socket, const std::string& text, bool& done) -> Task<> {
    EXPECT_TRUE(co_await socket.write(as_bytes(text)));
    socket.finish_output();
    done = true;
  };
  scope.spawn(write(*server, answer, written));
  // All of it has left the server's kernel; what arrives from now on is up to the relay.
  std::vector<uint8_t> buffer(1 << 16);
  std::string got;
  run_until(reactor, [&] {
    if (written && server->unacknowledged() == 0) return true;
    if (const IoResult some = client->recv(MutableBytes(buffer).first(1000)); some.done())
      got += as_text(Bytes(buffer).first(some.bytes));
    return false;
  });
  ASSERT_LT(got.size(), answer.size() / 2);
  server.reset();
  // The client goes on sending, which the server's kernel answers with a reset.
  for (int i = 0; i < 20; ++i) {
    client->send(as_bytes("more"));
    reactor.turn(1ms);
  }
  got += read_all(*client);
  EXPECT_EQ(got.substr(0, answer.size()).size(), answer.size());
  client.reset();
  run_until(reactor, [&] { return outcome.has_value(); });
}

TEST_F(RelayTest, DestroyingItMidwayClosesNothingTwice) {
  scope.cancel();
  relay.reset();
  ASSERT_TRUE(run(reactor, client_side->write(as_bytes("direct"))));
  std::vector<uint8_t> buffer(10);
  EXPECT_EQ(*run(reactor, client->read(buffer)), 6U);
}

// A peer that sends without a pause and reads nothing is not to have the worker for itself.
TEST(Linger, LetsOthersHaveTheirTurn) {
  Reactor reactor;
  auto [near, far] = test::tcp_pair();
  Socket ours(reactor, std::move(near));
  const std::vector<uint8_t> much(1 << 16);
  while (ours.send(Bytes(much)).bytes > 0) {
  }
  ASSERT_EQ(::send(far.get(), much.data(), much.size(), 0), ssize_t{1} << 16);
  std::vector<uint8_t> scratch(64);
  const auto unread = [&] {
    uint8_t next = 0;
    return ::recv(ours.fd(), &next, 1, MSG_PEEK) > 0;
  };
  Scope scope(reactor);
  scope.spawn(linger(ours, scratch, Clock::now() + 10s));
  EXPECT_TRUE(unread());
  run_until(reactor, [&] { return !unread(); });
  EXPECT_FALSE(scope.empty());
}

}  // namespace
}  // namespace culvert::net
