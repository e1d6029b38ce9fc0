#pragma once

#include "common/net/scope.h"

#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <utility>

namespace culvert::test {

// Turns the reactor until `done()` holds; false (and a test failure) when it does not within 10 s.
template <class Condition>
bool run_until(net::Reactor& reactor, Condition done) {
  const Time limit = Clock::now() + std::chrono::seconds(10);
  while (!done()) {
    if (Clock::now() >= limit) {
      ADD_FAILURE() << "the condition did not come true within 10 s";
      return false;
    }
    reactor.turn(std::chrono::milliseconds(10));
  }
  return true;
}

// Runs `task` to its end on `reactor` and returns what it returned.
template <class T>
T run(net::Reactor& reactor, net::Task<T> task) {
  std::optional<T> result;
  net::Scope scope(reactor);
  const auto keep = [](net::Task<T> inner, std::optional<T>& out) -> net::Task<> {
    out.emplace(co_await std::move(inner));
  };
  scope.spawn(keep(std::move(task), result));
  run_until(reactor, [&] { return result.has_value(); });
  return std::move(*result);
}
inline void run(net::Reactor& reactor, net::Task<> task) {
  net::Scope scope(reactor);
  scope.spawn(std::move(task));
  run_until(reactor, [&] { return scope.empty(); });
}

}  // namespace culvert::test
