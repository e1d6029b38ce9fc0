#pragma once

#include "common/base/unique_function.h"
#include "common/net/reactor.h"

#include <chrono>
#include <functional>
#include <future>
#include <memory>

namespace culvert::net {

// Asks the thread that runs `reactor` from another one, and waits for the answer: how the admin
// thread learns what it shows. `question` runs over there and gives its answer to the function it
// gets, at once or later, once. A thread too busy to answer within `timeout` answers with a
// default-made value.
template <class Answer>
Answer ask(Reactor& reactor, UniqueFunction<void(std::function<void(Answer)>)> question,
           std::chrono::milliseconds timeout = std::chrono::seconds(5)) {
  // Shared, because an answer may still come when nobody waits for it any more.
  auto promise = std::make_shared<std::promise<Answer>>();
  auto answer = promise->get_future();
  reactor.post([question = std::move(question), promise]() mutable {
    question([promise](Answer value) { promise->set_value(std::move(value)); });
  });
  if (answer.wait_for(timeout) != std::future_status::ready) return Answer{};
  return answer.get();
}

}  // namespace culvert::net
