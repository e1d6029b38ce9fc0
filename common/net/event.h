#pragma once

#include "common/net/reactor.h"

#include <coroutine>

namespace culvert::net {

// What coroutines of one thread wait for: wake_all() resumes everyone who waits now. Remembers
// nothing, so a waiter checks its condition first and again afterwards:  while (!done) co_await
// event.wait(deadline);
class Event {
 public:
  explicit Event(Reactor& reactor) : reactor_(reactor) {}
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void wake_all() {
    while (!waiters_.empty()) reactor_.wake(waiters_.front());
  }

  class Awaiter final : public Waiter, public TimerEntry {
   public:
    Awaiter(Event& event, Time deadline) : event_(event), deadline_(deadline) {}
    ~Awaiter() = default;
    Awaiter(const Awaiter&) = delete;
    Awaiter& operator=(const Awaiter&) = delete;

    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> suspended) {
      handle = suspended;
      event_.waiters_.push_back(*this);
      if (deadline_ != kNever) event_.reactor_.arm(*this, deadline_);
    }
    // False when the deadline came first.
    bool await_resume() {
      disarm();
      return !timed_out_;
    }

   private:
    void on_timer() override {
      if (woken) return;
      timed_out_ = true;
      event_.reactor_.wake(*this);
    }
    Event& event_;
    Time deadline_;
    bool timed_out_ = false;
  };
  Awaiter wait(Time deadline = kNever) { return {*this, deadline}; }

  [[nodiscard]] Reactor& reactor() const { return reactor_; }

 private:
  Reactor& reactor_;
  WaiterList waiters_;
};

// A timer that calls a function; for periodic and one-shot work of a thread.
class Timer final : public TimerEntry {
 public:
  Timer(Reactor& reactor, UniqueFunction<void()> callback)
      : reactor_(reactor), callback_(std::move(callback)) {}
  ~Timer() = default;
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  void arm_at(Time at) { reactor_.arm(*this, at); }
  void arm_in(Duration delay) { reactor_.arm(*this, Clock::now() + delay); }

 private:
  void on_timer() override { callback_(); }
  Reactor& reactor_;
  UniqueFunction<void()> callback_;
};

}  // namespace culvert::net
