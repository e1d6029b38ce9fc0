#include "common/net/memory_watch.h"

#include "common/base/log.h"

#include <utility>

namespace culvert::net {
namespace {

const log::Target kLog{"memory"};

bool more_than(const MemoryUse& use, uint64_t percent) {
  return use.used > use.limit / 100 * percent;
}

}  // namespace

MemoryWatch::MemoryWatch(Reactor& reactor, MemoryAccount& process, Read read, Duration interval)
    : process_(process),
      read_(std::move(read)),
      interval_(interval),
      timer_(reactor, [this] { look(); }) {
  look();
}

void MemoryWatch::look() {
  timer_.arm_in(interval_);
  const MemoryUse use = read_();
  const bool was = process_.pressure();
  if (use.limit == 0 || was == more_than(use, was ? 90 : 95)) return;
  process_.set_pressure(!was);
  if (was) {
    kLog.warn("memory: {} of {} bytes are in use; new connections are taken again", use.used,
              use.limit);
    return;
  }
  kLog.warn(
      "memory: {} of {} bytes are in use, {} of them held for who does not read; until it is less "
      "new connections are refused. Raise the memory limit",
      use.used, use.limit, process_.held());
  return_free_memory();
}

}  // namespace culvert::net
