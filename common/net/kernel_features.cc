#include "common/net/kernel_features.h"

#include "common/net/fd.h"
#include "common/net/pipe.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace culvert::net {
namespace {

// While it lives the calling thread, and no other, is without CAP_NET_ADMIN: to a caller that has
// it the kernel answers TCP_ULP by loading the module, which waits for modprobe and leaves on the
// node a module that nobody uses.
class WithoutNetAdmin {
 public:
  WithoutNetAdmin() {
    if (::syscall(SYS_capget, &header_, sets_.data()) != 0) return;
    auto without = sets_;
    without[CAP_TO_INDEX(CAP_NET_ADMIN)].effective &= ~CAP_TO_MASK(CAP_NET_ADMIN);
    done_ = ::syscall(SYS_capset, &header_, without.data()) == 0;
  }
  ~WithoutNetAdmin() {
    if (done_) ::syscall(SYS_capset, &header_, sets_.data());
  }
  WithoutNetAdmin(const WithoutNetAdmin&) = delete;
  WithoutNetAdmin& operator=(const WithoutNetAdmin&) = delete;
  [[nodiscard]] bool done() const { return done_; }

 private:
  __user_cap_header_struct header_{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets_{};
  bool done_ = false;
};

Fd tcp_socket() { return Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)); }

// The kernel looks for the protocol before it looks at the connection: the module that is there
// answers ENOTCONN (net/tls/tls_main.c, tls_init), so no connection is made.
int ask_kernel_tls() {
  const WithoutNetAdmin guard;
  if (!guard.done()) return EPERM;
  const Fd socket = tcp_socket();
  if (!socket) return errno;
  constexpr std::string_view kName = "tls";
  const bool set =
      ::setsockopt(socket.get(), IPPROTO_TCP, TCP_ULP, kName.data(), kName.size()) == 0;
  return set || errno == ENOTCONN ? 0 : errno;
}

int ask_io_uring() {
  io_uring_params parameters{};
  const Fd ring(static_cast<int>(::syscall(SYS_io_uring_setup, 1, &parameters)));
  return ring ? 0 : errno;
}

int ask_not_sent_lowat() {
  const Fd socket = tcp_socket();
  if (!socket) return errno;
  const int bytes = 1 << 17;
  return ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes, sizeof bytes) == 0
             ? 0
             : errno;
}

int ask_large_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) return errno;
  const Fd read(ends[0]), write(ends[1]);
  return ::fcntl(write.get(), F_SETPIPE_SZ, static_cast<int>(Pipe::kCapacity)) >= 0 ? 0 : errno;
}

// `use`: the process uses it where it is available. `why`: what for, or why it does not.
KernelFeature feature(std::string_view name, int error, bool use, std::string_view why,
                      std::string_view without) {
  if (error == 0) return {name, true, use, std::string(why)};
  return {name, false, false, std::generic_category().message(error) + ", " + std::string(without)};
}

}  // namespace

KernelProbes KernelProbes::real() {
  return {ask_kernel_tls, ask_io_uring, ask_not_sent_lowat, ask_large_pipe};
}

KernelFeatures probe_kernel_features(const KernelProbes& ask) {
  return {
      feature("kernelTls", ask.kernel_tls(), false,
              "not measured, and before Linux 6.14 it cannot follow a KeyUpdate",
              "and it would not be used"),
      feature(
          "ioUring", ask.io_uring(), false,
          "no gain measured for tunnels over epoll with writes joined per turn, and containers' "
          "default profiles forbid it",
          "and it would not be used"),
      feature("notSentLowat", ask.not_sent_lowat(), true,
              "what a stream of a tunnel says next waits behind little",
              "a tunnel's streams wait behind all that its socket takes"),
      feature("largePipes", ask.large_pipe(), true, "splice moves up to 1 MiB at a time",
              "splice moves up to 64 KiB at a time"),
  };
}

std::string describe(const KernelFeatures& features) {
  std::string text;
  for (const KernelFeature& one : features) {
    if (!text.empty()) text += "; ";
    text += one.name;
    text += !one.available ? " absent: " : one.used ? " used: " : " available, not used: ";
    text += one.reason;
  }
  return text;
}

}  // namespace culvert::net
