#include "waypoint/codec/http1_input.h"

#include "tests/support/loop.h"
#include "tests/support/memory_stream.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>

namespace culvert::waypoint {
namespace {

struct Reading {
  explicit Reading(std::chrono::milliseconds keep) {
    auto [near, far] = test::MemoryStream::pair(reactor, 1 << 20);
    peer = std::move(near);
    stream = std::move(far);
    input.emplace(reactor, *stream, changed, keep);
    input->start();
  }
  void settle() {
    for (int i = 0; i < 4; ++i) reactor.turn(Duration::zero());
  }
  // Takes all that comes.
  std::string take_all() {
    std::string text;
    for (settle(); !input->readable().empty(); settle()) {
      text += as_text(input->readable());
      input->consume(input->readable().size());
    }
    return text;
  }
  net::Reactor reactor;
  net::Event changed{reactor};
  std::unique_ptr<test::MemoryStream> peer, stream;
  std::optional<Http1Input> input;
};

TEST(Http1Input, GrowsWhenItWasFilledAndGivesTheBufferBack) {
  Reading r(std::chrono::milliseconds(5));
  EXPECT_EQ(r.input->capacity(), Http1Input::kSmall);
  const std::string text(100'000, 'x');
  r.peer->put(text);
  EXPECT_EQ(r.take_all(), text);
  EXPECT_EQ(r.input->capacity(), Http1Input::kLarge);
  test::run_until(r.reactor, [&] { return r.input->capacity() == Http1Input::kSmall; });
  r.peer->put("more");
  EXPECT_EQ(r.take_all(), "more");
}

TEST(Http1Input, WhatIsReadableStaysWhereItIs) {
  Reading r(std::chrono::milliseconds(1));
  r.peer->put(std::string(100'000, 'x'));
  r.settle();
  r.input->consume(Http1Input::kSmall);
  r.settle();
  const Bytes piece = r.input->readable();
  ASSERT_EQ(piece.size(), Http1Input::kLarge);
  r.input->consume(1000);
  const Time until = Clock::now() + std::chrono::milliseconds(10);
  test::run_until(r.reactor, [&] { return Clock::now() > until; });
  EXPECT_EQ(r.input->readable().data(), piece.data() + 1000);
  EXPECT_EQ(r.input->readable().size(), piece.size() - 1000);
}

TEST(Http1Input, KeepsWhatCameBeforeTheEnd) {
  Reading r(std::chrono::milliseconds(1000));
  r.peer->put("last");
  r.peer->finish_output();
  r.settle();
  EXPECT_TRUE(r.input->eof());
  EXPECT_EQ(as_text(r.input->readable()), "last");
  EXPECT_TRUE(test::run(r.reactor, r.input->more(kNever)));
}

}  // namespace
}  // namespace culvert::waypoint
