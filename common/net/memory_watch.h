#pragma once

#include "common/base/machine.h"
#include "common/base/memory_account.h"
#include "common/net/event.h"

#include <chrono>
#include <functional>

namespace culvert::net {

// Looks once a second how much of the memory that the kernel grants us is in use, whoever uses it,
// and puts the process's account under pressure while that is nearly all: from 95 % until it is
// below 90 %. Then what was freed goes back to the system at once. Each change is one warning in
// the log. Control thread.
class MemoryWatch {
 public:
  using Read = std::function<MemoryUse()>;
  // References outlive it. `read`: on the reactor's thread.
  MemoryWatch(
      Reactor& reactor, MemoryAccount& process, Read read = [] { return memory_use(); },
      Duration interval = std::chrono::seconds(1));

 private:
  void look();

  MemoryAccount& process_;
  Read read_;
  Duration interval_;
  Timer timer_;
};

}  // namespace culvert::net
