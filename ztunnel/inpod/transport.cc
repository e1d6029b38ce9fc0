#include "ztunnel/inpod/transport.h"

#include "common/base/check.h"
#include "common/base/log.h"

#include <fmt/format.h>

#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace culvert::ztunnel::inpod {
namespace {

const log::Target kLog{"inpod::packet"};

// The most descriptors the kernel passes with one packet (SCM_MAX_FD). With room for all of them a
// packet with too many is told from a truncated one, and none of them stays open unnoticed.
constexpr size_t kMaxFds = 253;

// Everything that came, before anyone looks at it, so that no failure can leak a descriptor.
std::vector<net::Fd> take_descriptors(msghdr& message) {
  std::vector<net::Fd> fds;
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
       part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) {
      kLog.warn("ignoring control data of type {} (level {}) from the node agent", part->cmsg_type,
                part->cmsg_level);
      continue;
    }
    const size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
      fds.emplace_back(fd);
    }
  }
  return fds;
}

// Nothing: would block. A packet without payload and descriptors: end of the stream.
Result<std::optional<Packet>> receive_now(int fd) {
  std::array<char, kMaxPacket> payload;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kMaxFds * sizeof(int))> control;
  iovec part{payload.data(), payload.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();

  ssize_t size = 0;
  do {
    size = ::recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  } while (size < 0 && errno == EINTR);
  if (size < 0) {
    if (errno == EAGAIN) return std::optional<Packet>();
    // The agent went away without reading our last answer.
    if (errno == ECONNRESET) return std::optional<Packet>(std::in_place);
    return system_error(errno, "node agent");
  }
  Packet packet{std::string(payload.data(), static_cast<size_t>(size)), take_descriptors(message),
                (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0};
  return std::optional<Packet>(std::move(packet));
}

}  // namespace

Result<std::unique_ptr<Transport>> Transport::connect(net::Reactor& reactor,
                                                      const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path)
    return system_error(ENAMETOOLONG, path);
  std::memcpy(address.sun_path, path.data(), path.size());

  net::Fd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return system_error(errno, "socket");
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return system_error(errno, path);
  std::unique_ptr<Transport> transport(new Transport(reactor, std::move(fd)));
  if (!reactor.add(transport->fd_.get(), EPOLLIN | EPOLLOUT | EPOLLRDHUP, *transport))
    return system_error(errno, "cannot watch the node agent's socket");
  return transport;
}

Transport::Transport(net::Reactor& reactor, net::Fd fd)
    : reactor_(reactor), fd_(std::move(fd)), changed_(reactor) {}

Transport::~Transport() { reactor_.remove(fd_.get(), *this); }

void Transport::on_events(uint32_t /*events*/) { changed_.wake_all(); }

void Transport::interrupt() {
  interrupted_ = true;
  changed_.wake_all();
}

net::Task<Result<>> Transport::send(std::string packet, Time deadline) {
  CULVERT_CHECK(!packet.empty());
  for (;;) {
    const ssize_t sent =
        ::send(fd_.get(), packet.data(), packet.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) co_return Result<>{};
    if (errno == EINTR) continue;
    if (errno != EAGAIN) co_return system_error(errno, "node agent");
    if (!co_await changed_.wait(deadline)) co_return Error(culvert::Errc::kTimedOut, "node agent");
  }
}

net::Task<Result<std::optional<Packet>>> Transport::receive() {
  for (;;) {
    if (interrupted_) co_return Error(culvert::Errc::kCancelled);
    Result<std::optional<Packet>> received = receive_now(fd_.get());
    if (!received) co_return received.error();
    if (received->has_value()) {
      // A packet without payload cannot be told from the end of the stream.
      if ((*received)->payload.empty()) co_return std::optional<Packet>();
      co_return std::move(*received);
    }
    co_await changed_.wait();
  }
}

}  // namespace culvert::ztunnel::inpod
