#include "ztunnel/inpod/capabilities.h"

#include "common/net/fd.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>

#include <cerrno>

namespace culvert::ztunnel::inpod {
namespace {

// Whether marking is allowed does not depend on the value, so this is not PACKET_MARK.
constexpr int kProbeMark = 1337;

Result<> try_enter_netns() {
  const net::Fd own(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  if (!own || ::setns(own.get(), CLONE_NEWNET) != 0)
    return system_error(errno, "failed to set netns");
  return {};
}

Result<> try_mark_socket() {
  const net::Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket ||
      ::setsockopt(socket.get(), SOL_SOCKET, SO_MARK, &kProbeMark, sizeof kProbeMark) != 0)
    return system_error(errno, "failed to set socket mark");
  return {};
}

}  // namespace

Result<> verify_capabilities() {
  if (auto entered = try_enter_netns(); !entered) return entered;
  return try_mark_socket();
}

}  // namespace culvert::ztunnel::inpod
