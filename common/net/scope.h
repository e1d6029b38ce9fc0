#pragma once

#include "common/net/event.h"
#include "common/net/task.h"

#include <cstddef>

namespace culvert::net {

// Owns the tasks spawned into it: the only way to run a task that nobody awaits. Destroying the
// Scope, or cancel(), destroys what still runs, so after it nothing of the work is left. An
// exception that escapes a task is logged and counted; the others go on. Lives on its reactor's
// thread.
class Scope {
 public:
  explicit Scope(Reactor& reactor);
  ~Scope();
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

  // Starts `task` at once, up to its first wait.
  void spawn(Task<> task);
  // Not from within one of its own tasks: they would destroy the frame they run in.
  void cancel();
  [[nodiscard]] bool empty() const { return roots_.empty(); }
  [[nodiscard]] size_t size() const { return size_; }
  // Resumes when the scope has become empty; false when the deadline came first.
  Task<bool> drained(Time deadline = kNever);
  // Exceptions that escaped tasks of any scope in this process: a bug each.
  static uint64_t escaped_exceptions();

 private:
  struct Root;
  struct RootHook : intrusive::list_base_hook<AutoUnlink> {
    std::coroutine_handle<> handle;
  };
  static Root run(Scope& scope, Task<> task);

  intrusive::list<RootHook, intrusive::constant_time_size<false>> roots_;
  size_t size_ = 0;
  Event empty_;
};

}  // namespace culvert::net
