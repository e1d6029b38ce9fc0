#include "common/net/reactor.h"

#include "common/base/check.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

namespace culvert::net {

struct Reactor::Batch {
  std::array<epoll_event, 256> events;
  int next = 0, end = 0;  // those not dispatched yet
};

Reactor::Reactor() : now_(Clock::now()), batch_(std::make_unique<Batch>()) {
  epoll_ = Fd(::epoll_create1(EPOLL_CLOEXEC));
  wakeup_ = Fd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!epoll_ || !wakeup_) throw std::system_error(errno, std::system_category(), "event loop");
  epoll_event event{.events = EPOLLIN | EPOLLET, .data = {.ptr = nullptr}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wakeup_.get(), &event) != 0)
    throw std::system_error(errno, std::system_category(), "event loop");
}

Reactor::~Reactor() = default;

void Reactor::run() {
  while (!stopped_.load(std::memory_order_acquire)) turn(Duration::max());
}

void Reactor::stop() {
  post([this] { stopped_.store(true, std::memory_order_release); });
}

void Reactor::post(UniqueFunction<void()> message) {
  bool first = false;
  {
    const std::lock_guard lock(posted_mutex_);
    first = posted_.empty();
    posted_.push_back(std::move(message));
  }
  // A later message finds the loop already woken: it takes the whole queue at once.
  if (first) {
    const uint64_t one = 1;
    const ssize_t written = ::write(wakeup_.get(), &one, sizeof one);
    CULVERT_CHECK(written == sizeof one || errno == EAGAIN);
  }
}

void Reactor::turn(Duration max_wait) {
  const int count = ::epoll_wait(epoll_.get(), batch_->events.data(),
                                 static_cast<int>(batch_->events.size()), timeout_ms(max_wait));
  now_ = Clock::now();
  CULVERT_CHECK(count >= 0 || errno == EINTR);
  // Work left over from the last turn comes first, so that new events cannot starve it.
  HookList carried;
  carried.swap(next_turn_);
  run_hooks(carried);
  dispatch(std::max(count, 0));
  run_timers();
  run_ready();
  // Flushing may wake coroutines (window opened, write finished), whose output is flushed in turn.
  while (!turn_end_.empty()) {
    run_hooks(turn_end_);
    run_ready();
  }
}

int Reactor::timeout_ms(Duration max_wait) const {
  if (!next_turn_.empty() || !ready_.empty()) return 0;
  using std::chrono::ceil, std::chrono::milliseconds;
  constexpr Duration kLongest = std::chrono::hours(1);
  Duration wait = std::min(max_wait, kLongest);
  if (!timers_.empty()) wait = std::min(wait, timers_.begin()->at_ - Clock::now());
  return wait <= Duration::zero() ? 0 : static_cast<int>(ceil<milliseconds>(wait).count());
}

void Reactor::dispatch(int count) {
  batch_->end = count;
  for (batch_->next = 0; batch_->next < batch_->end;) {
    const epoll_event& event = batch_->events[static_cast<size_t>(batch_->next++)];
    if (event.data.ptr != nullptr)
      static_cast<Watch*>(event.data.ptr)->on_events(event.events);
    else if (event.events != 0)
      run_posted();
  }
  batch_->next = batch_->end = 0;
}

void Reactor::run_posted() {
  uint64_t ignored = 0;
  [[maybe_unused]] const ssize_t drained = ::read(wakeup_.get(), &ignored, sizeof ignored);
  std::vector<UniqueFunction<void()>> messages;
  {
    const std::lock_guard lock(posted_mutex_);
    messages.swap(posted_);
  }
  for (auto& message : messages) message();
}

void Reactor::run_ready() {
  while (!ready_.empty()) {
    Waiter& waiter = ready_.front();
    ready_.pop_front();
    waiter.handle.resume();  // may destroy the waiter
  }
}

void Reactor::run_timers() {
  while (!timers_.empty() && timers_.begin()->at_ <= now_) {
    TimerEntry& timer = *timers_.begin();
    timers_.erase(timers_.begin());
    timer.on_timer();
  }
}

void Reactor::run_hooks(HookList& hooks) {
  // Hooks queued meanwhile are for the next round.
  HookList round;
  round.swap(hooks);
  while (!round.empty()) {
    TurnHook& hook = round.front();
    round.pop_front();
    hook.on_turn();
  }
}

bool Reactor::add(int fd, uint32_t events, Watch& watch) {
  epoll_event event{.events = events | EPOLLET, .data = {.ptr = &watch}};
  return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

void Reactor::remove(int fd, Watch& watch) {
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  forget(watch);
}

void Reactor::forget(Watch& watch) {
  // Its event may wait in the batch being dispatched.
  for (int i = batch_->next; i < batch_->end; ++i) {
    epoll_event& event = batch_->events[static_cast<size_t>(i)];
    if (event.data.ptr == &watch) event = {};
  }
}

void Reactor::arm(TimerEntry& timer, Time at) {
  timer.unlink_if();
  timer.at_ = at;
  timers_.insert(timer);
}

void Reactor::wake(Waiter& waiter) {
  if (waiter.woken) return;
  if (waiter.is_linked()) waiter.unlink();
  waiter.woken = true;
  ready_.push_back(waiter);
}

void Reactor::at_turn_end(TurnHook& hook) {
  if (!hook.is_linked()) turn_end_.push_back(hook);
}

void Reactor::next_turn(TurnHook& hook) {
  if (!hook.is_linked()) next_turn_.push_back(hook);
}

}  // namespace culvert::net
