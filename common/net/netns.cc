#include "common/net/netns.h"

#include "common/base/check.h"

#include <fcntl.h>
#include <sched.h>

#include <cerrno>

namespace culvert::net {

Result<NetnsPtr> Netns::open(Fd target) {
  struct stat status{};
  if (::fstat(target.get(), &status) != 0) return system_error(errno, "network namespace");
  return NetnsPtr(new Netns(std::move(target), {status.st_ino, status.st_dev}));
}

Result<NetnsPtr> Netns::current() {
  Fd fd(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  if (!fd) return system_error(errno, "own network namespace");
  return open(std::move(fd));
}

Result<> Netns::run(const Netns& home, UniqueFunction<void()> work) const {
  if (::setns(fd_.get(), CLONE_NEWNET) != 0)
    return system_error(errno, "cannot enter the network namespace");
  work();
  CULVERT_CHECK(::setns(home.fd_.get(), CLONE_NEWNET) == 0);
  return {};
}

}  // namespace culvert::net
