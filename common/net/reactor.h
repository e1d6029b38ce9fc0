#pragma once

#include "common/base/clock.h"
#include "common/base/unique_function.h"
#include "common/net/fd.h"

#include <boost/intrusive/list.hpp>
#include <boost/intrusive/set.hpp>

#include <sys/epoll.h>

#include <atomic>
#include <coroutine>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

// The event loop of one thread: epoll (edge-triggered), timers, messages from other threads, and a
// hook at the end of each turn, where tunnels flush what the turn produced in one write.
//
// Why not Asio on the data plane: its readiness wait re-arms with one epoll_ctl per suspension
// (about 15 % of a small relay), a read needs a buffer while the connection is idle, and it has no
// end-of-turn hook.
namespace culvert::net {

class Reactor;
namespace intrusive = boost::intrusive;
using AutoUnlink = intrusive::link_mode<intrusive::auto_unlink>;

// Told when its descriptor became ready. Registered with Reactor::add; must be removed before it
// dies.
class Watch {
 public:
  // `events` as of epoll_wait. May destroy this or any other watch.
  virtual void on_events(uint32_t events) = 0;

 protected:
  ~Watch() = default;
};

// A suspended coroutine that something will wake. Lives in an awaiter, that is in the coroutine's
// frame, and unlinks itself when the frame is destroyed.
class Waiter : public intrusive::list_base_hook<AutoUnlink> {
 public:
  std::coroutine_handle<> handle;
  bool woken = false;

 protected:
  ~Waiter() = default;
};
using WaiterList = intrusive::list<Waiter, intrusive::constant_time_size<false>>;

// Something to do at a time. Unlinks itself when destroyed.
class TimerEntry : public intrusive::set_base_hook<AutoUnlink> {
 public:
  virtual void on_timer() = 0;
  [[nodiscard]] bool armed() const { return is_linked(); }
  [[nodiscard]] Time at() const { return at_; }
  void disarm() { unlink_if(); }

 protected:
  ~TimerEntry() = default;

 private:
  friend class Reactor;
  friend bool operator<(const TimerEntry& a, const TimerEntry& b) { return a.at_ < b.at_; }
  void unlink_if() {
    if (is_linked()) unlink();
  }
  Time at_;
};

// Something to do once, at the end of this turn or in the next. Unlinks itself when destroyed.
class TurnHook : public intrusive::list_base_hook<AutoUnlink> {
 public:
  virtual void on_turn() = 0;

 protected:
  ~TurnHook() = default;
};

class Reactor {
 public:
  Reactor();
  ~Reactor();
  Reactor(const Reactor&) = delete;
  Reactor& operator=(const Reactor&) = delete;

  // Runs turns until stop(). Only the thread that calls run() (or turn()) may use anything but post
  // and stop.
  void run();
  // One turn: waits at most `max_wait` for something to do, does it.
  void turn(Duration max_wait);
  // Any thread. run() returns after the current turn.
  void stop();
  // Any thread. `message` runs on the reactor's thread, in order of posting.
  void post(UniqueFunction<void()> message);

  // The time at the start of this turn: good enough for deadlines and stamps.
  [[nodiscard]] Time now() const { return now_; }

  // Watches `fd` edge-triggered (EPOLLET is added). Errors are those of epoll_ctl: the process is
  // out of a resource, and the caller drops the connection. One watch per descriptor.
  bool add(int fd, uint32_t events, Watch& watch);
  void remove(int fd, Watch& watch);
  // The same for a descriptor that is closed right after: its end takes it out of epoll.
  void forget(Watch& watch);

  // Replaces an earlier time.
  void arm(TimerEntry& timer, Time at);
  // The waiter's coroutine resumes later in this turn. Takes it from the list it is in.
  void wake(Waiter& waiter);
  // Before the loop waits again: what the turn produced is written out here. A hook already queued
  // stays.
  void at_turn_end(TurnHook& hook);
  // In the next turn, which then does not wait: for work cut up to be fair to others.
  void next_turn(TurnHook& hook);

 private:
  struct Batch;
  using HookList = intrusive::list<TurnHook, intrusive::constant_time_size<false>>;

  int timeout_ms(Duration max_wait) const;
  void dispatch(int count);
  void run_posted();
  void run_ready();
  void run_timers();
  static void run_hooks(HookList& hooks);

  Fd epoll_, wakeup_;
  Time now_;
  std::unique_ptr<Batch> batch_;
  WaiterList ready_;
  HookList turn_end_, next_turn_;
  intrusive::multiset<TimerEntry, intrusive::constant_time_size<false>> timers_;

  std::mutex posted_mutex_;  // the only lock: messages from other threads
  std::vector<UniqueFunction<void()>> posted_;
  std::atomic<bool> stopped_ = false;
};

}  // namespace culvert::net
