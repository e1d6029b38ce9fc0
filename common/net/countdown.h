#pragma once

#include "common/base/result.h"
#include "common/base/unique_function.h"
#include "common/net/reactor.h"

#include <cstddef>
#include <memory>

namespace culvert::net {

// Calls `done` on `home`'s thread once `count` others have reported, with the first error.
class Countdown {
 public:
  Countdown(Reactor& home, size_t count, UniqueFunction<void(Result<>)> done)
      : home_(home), left_(count), done_(std::move(done)) {}
  // Any thread, once each.
  static void report(const std::shared_ptr<Countdown>& countdown, Result<> result = {}) {
    countdown->home_.post([countdown, result = std::move(result)] {
      if (!result && countdown->result_) countdown->result_ = result;
      if (--countdown->left_ == 0) countdown->done_(std::move(countdown->result_));
    });
  }

 private:
  Reactor& home_;
  size_t left_;  // home's thread only
  Result<> result_;
  UniqueFunction<void(Result<>)> done_;
};

}  // namespace culvert::net
