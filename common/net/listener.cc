#include "common/net/listener.h"

#include "common/base/log.h"

#include <linux/filter.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <system_error>

namespace culvert::net {
namespace {

const log::Target kLog{"net::listener"};
constexpr int kLongestQueue = 65536;  // no backlog is longer
constexpr auto kRetryAfter = std::chrono::milliseconds(10);

}  // namespace

Listener::Listener(Reactor& reactor, Fd fd, OnAccept on_accept)
    : reactor_(reactor),
      fd_(std::move(fd)),
      on_accept_(std::move(on_accept)),
      retry_(reactor, [this] { accept_some(); }) {
  if (!reactor_.add(fd_.get(), EPOLLIN, *this))
    throw std::system_error(errno, std::system_category(), "cannot watch a listener");
}

Listener::~Listener() {
  if (destroyed_ != nullptr) *destroyed_ = true;
  reactor_.remove(fd_.get(), *this);
}

void Listener::on_events(uint32_t /*events*/) { accept_some(); }

void Listener::accept_all() { accept_up_to(kLongestQueue); }

void Listener::accept_up_to(int limit) {
  bool destroyed = false;
  for (int i = 0; i < limit; ++i) {
    sockaddr_storage peer{};
    socklen_t length = sizeof peer;
    Fd accepted(::accept4(fd_.get(), reinterpret_cast<sockaddr*>(&peer), &length,
                          SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!accepted) {
      if (errno == EAGAIN || errno == EWOULDBLOCK) return;
      // The peer's own failures (it gave up before we accepted, network errors) say nothing about
      // us.
      if (errno == ECONNABORTED || errno == EINTR || errno == EPROTO) continue;
      ++errors_;
      if (error_log_.left_out(reactor_.now())) {
        kLog.error(
            "Failed TCP handshake: {} ({} so far); pausing accepts. If descriptors ran out, "
            "raise the limit of open files",
            system_error(errno).message(), errors_);
      }
      return retry_.arm_in(kRetryAfter);
    }
    destroyed_ = &destroyed;
    on_accept_(std::move(accepted), SocketAddress::from(peer));
    if (destroyed) return;
    destroyed_ = nullptr;
  }
  reactor_.next_turn(*this);
}

void Listener::divert(uint32_t index) {
  // The smallest classic BPF program: whatever the packet, this number.
  sock_filter always{.code = BPF_RET | BPF_K, .jt = 0, .jf = 0, .k = index};
  const sock_fprog program{.len = 1, .filter = &always};
  if (::setsockopt(fd_.get(), SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program) != 0)
    kLog.info("cannot leave new connections to another process: {}", system_error(errno).message());
}

void Listener::divert_no_more() {
  const int unused = 0;  // but an option has a value
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &unused, sizeof unused);
}

SocketAddress Listener::local_address() const {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  ::getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&storage), &length);
  return SocketAddress::from(storage);
}

}  // namespace culvert::net
