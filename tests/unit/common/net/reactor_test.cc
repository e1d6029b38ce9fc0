#include "common/net/reactor.h"

#include "common/base/log.h"
#include "common/net/scope.h"
#include "tests/support/loop.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace culvert::net {
namespace {

using namespace std::chrono_literals;
using test::run_until;

TEST(Reactor, RunsMessagesOfOtherThreadsInOrderAndStops) {
  Reactor reactor;
  std::vector<int> seen;
  std::thread other([&] {
    for (int i = 0; i < 1000; ++i) reactor.post([&seen, i] { seen.push_back(i); });
    reactor.stop();
  });
  reactor.run();
  other.join();
  ASSERT_EQ(seen.size(), 1000U);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(seen[static_cast<size_t>(i)], i);
}

TEST(Reactor, TimersFireInOrderAndCanBeRearmedAndDestroyed) {
  Reactor reactor;
  std::vector<char> seen;
  Timer late(reactor, [&] { seen.push_back('l'); });
  Timer early(reactor, [&] { seen.push_back('e'); });
  late.arm_in(20ms);
  early.arm_in(5ms);
  {
    Timer destroyed(reactor, [&] { seen.push_back('d'); });
    destroyed.arm_in(1ms);
  }
  Timer moved(reactor, [&] { seen.push_back('m'); });
  moved.arm_in(1ms);
  moved.arm_in(10ms);
  run_until(reactor, [&] { return seen.size() == 3; });
  EXPECT_EQ(std::string(seen.begin(), seen.end()), "eml");
}

TEST(Reactor, TurnHooksRunOnceAtTheEndOfTheTurn) {
  struct Hook final : TurnHook {
    void on_turn() override { ++runs; }
    int runs = 0;
  } hook;
  Reactor reactor;
  reactor.at_turn_end(hook);
  reactor.at_turn_end(hook);
  reactor.turn(0ms);
  EXPECT_EQ(hook.runs, 1);
  reactor.turn(0ms);
  EXPECT_EQ(hook.runs, 1);
  reactor.next_turn(hook);
  reactor.turn(10s);  // does not wait
  EXPECT_EQ(hook.runs, 2);
}

Task<> wait_for(Event& event, Time deadline, std::string& log) {
  log += co_await event.wait(deadline) ? 'w' : 't';
}

TEST(Event, WakesEveryoneOrTimesOut) {
  Reactor reactor;
  Event event(reactor);
  std::string log;
  Scope scope(reactor);
  scope.spawn(wait_for(event, kNever, log));
  scope.spawn(wait_for(event, Clock::now() + 1h, log));
  scope.spawn(wait_for(event, Clock::now() + 5ms, log));
  run_until(reactor, [&] { return log == "t"; });
  EXPECT_EQ(scope.size(), 2U);
  event.wake_all();
  run_until(reactor, [&] { return scope.empty(); });
  EXPECT_EQ(log, "tww");
}

struct CountsDestruction {
  explicit CountsDestruction(int& counter) : count(&counter) {}
  CountsDestruction(CountsDestruction&& other) noexcept
      : count(std::exchange(other.count, nullptr)) {}
  CountsDestruction& operator=(CountsDestruction&&) = delete;
  ~CountsDestruction() {
    if (count != nullptr) ++*count;
  }
  int* count;
};

Task<> hold(Event& event, CountsDestruction held) {
  co_await event.wait();
  static_cast<void>(held);
}

Task<> nested(Event& event, int& counter) { co_await hold(event, CountsDestruction(counter)); }

TEST(Scope, CancellingDestroysWhatWaitsAtAnyDepth) {
  Reactor reactor;
  Event event(reactor);
  int destroyed = 0;
  {
    Scope scope(reactor);
    scope.spawn(nested(event, destroyed));
    scope.spawn(nested(event, destroyed));
    event.wake_all();  // queued to run, but destroyed before
    scope.cancel();
    EXPECT_EQ(destroyed, 2);
    EXPECT_TRUE(scope.empty());
    scope.spawn(nested(event, destroyed));
  }
  EXPECT_EQ(destroyed, 3);
  reactor.turn(0ms);
  event.wake_all();  // nobody is left to be woken
}

Task<> fail() {
  throw std::runtime_error("oops");
  co_return;
}

TEST(Scope, AnEscapedExceptionEndsOnlyItsTaskAndIsCountedAndLogged) {
  Reactor reactor;
  Scope scope(reactor);
  const uint64_t before = Scope::escaped_exceptions();
  const log::Capture capture;
  scope.spawn(fail());
  EXPECT_TRUE(scope.empty());
  EXPECT_EQ(Scope::escaped_exceptions(), before + 1);
  ASSERT_EQ(capture.lines().size(), 1U);
  EXPECT_NE(capture.lines()[0].find("oops"), std::string::npos);
}

Task<int> answer(Event& event) {
  co_await event.wait();
  co_return 42;
}
Task<> join(Scope& scope, Time deadline, int& result) {
  result = co_await scope.drained(deadline) ? 1 : 0;
}

TEST(Scope, DrainedWaitsForTheLastTaskOrTheDeadline) {
  Reactor reactor;
  Event event(reactor);
  Scope work(reactor), waiting(reactor);
  std::string log;
  work.spawn(wait_for(event, kNever, log));
  int early = -1, late = -1;
  waiting.spawn(join(work, Clock::now() + 5ms, early));
  waiting.spawn(join(work, kNever, late));
  run_until(reactor, [&] { return early == 0; });
  EXPECT_EQ(late, -1);
  event.wake_all();
  run_until(reactor, [&] { return late == 1; });
}

TEST(Task, ReturnsValuesThroughAwaits) {
  Reactor reactor;
  Event event(reactor);
  Timer timer(reactor, [&] { event.wake_all(); });
  timer.arm_in(1ms);
  EXPECT_EQ(test::run(reactor, answer(event)), 42);
}

}  // namespace
}  // namespace culvert::net
