#include "common/net/scope.h"

#include "common/base/check.h"
#include "common/base/log.h"

#include <atomic>
#include <exception>

namespace culvert::net {
namespace {

const log::Target kLog{"net::scope"};
std::atomic<uint64_t> g_escaped = 0;

}  // namespace

// The frame that awaits a spawned task: linked in the scope while it runs, destroys itself at its
// end.
struct Scope::Root {
  struct promise_type : RootHook {  // NOLINT(readability-identifier-naming): the language's name
    Scope& scope;
    promise_type(Scope& owner, Task<>& /*task*/) : scope(owner) {}
    ~promise_type() {
      if (--scope.size_ == 0) scope.empty_.wake_all();
    }
    Root get_return_object() {
      handle = std::coroutine_handle<promise_type>::from_promise(*this);
      scope.roots_.push_back(*this);
      ++scope.size_;
      return {};
    }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() noexcept {
      g_escaped.fetch_add(1, std::memory_order_relaxed);
      try {
        throw;
      } catch (const std::exception& exception) {
        kLog.error("a task ended with an exception, a bug; its connection is dropped: {}",
                   exception.what());
      } catch (...) {
        kLog.error("a task ended with an unknown exception, a bug; its connection is dropped");
      }
    }
  };
};

Scope::Scope(Reactor& reactor) : empty_(reactor) {}

Scope::~Scope() { cancel(); }

Scope::Root Scope::run(Scope& /*scope*/, Task<> task) { co_await std::move(task); }

void Scope::spawn(Task<> task) { run(*this, std::move(task)); }

void Scope::cancel() {
  while (!roots_.empty()) roots_.front().handle.destroy();
}

Task<bool> Scope::drained(Time deadline) {
  while (!empty())
    if (!co_await empty_.wait(deadline)) co_return false;
  co_return true;
}

uint64_t Scope::escaped_exceptions() { return g_escaped.load(std::memory_order_relaxed); }

}  // namespace culvert::net
