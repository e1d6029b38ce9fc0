#pragma once

#include "common/base/unique_function.h"
#include "common/net/fd.h"
#include "common/net/reactor.h"

#include <csignal>
#include <initializer_list>

namespace culvert::net {

// Delivers signals as events of a reactor. The constructor blocks them for the calling thread, so
// make it before any other thread starts: threads inherit the mask.
class Signals final : private Watch {
 public:
  Signals(Reactor& reactor, std::initializer_list<int> signals,
          UniqueFunction<void(int)> on_signal);
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

 private:
  void on_events(uint32_t events) override;

  Reactor& reactor_;
  Fd fd_;
  UniqueFunction<void(int)> on_signal_;
};

}  // namespace culvert::net
