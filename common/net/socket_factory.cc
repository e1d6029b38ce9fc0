#include "common/net/socket_factory.h"

#include "common/base/log.h"
#include "common/net/listening_table.h"

#include <fmt/format.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <fstream>

namespace culvert::net {
namespace {

const log::Target kLog{"net::socket"};

bool set(int fd, int level, int option, int value) {
  return ::setsockopt(fd, level, option, &value, sizeof value) == 0;
}

// Different for all ports a client is likely to use at a time.
uint16_t port_no_client_has(uint16_t port_of_client) {
  constexpr uint16_t kFirst = 10'000, kEnd = 32'768;
  return static_cast<uint16_t>(kFirst + port_of_client % (kEnd - kFirst));
}

}  // namespace

SocketFactory::SocketFactory(SocketFactoryOptions options, NetnsPtr netns, NetnsPtr home)
    : options_(options), netns_(std::move(netns)), home_(std::move(home)) {}

Result<Fd> SocketFactory::make(int family) const {
  Fd fd;
  int error = 0;
  const auto create = [&] {
    fd = Fd(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    error = errno;
  };
  // Only the creation decides the namespace; options, bind and connect follow the socket.
  if (netns_ == nullptr) {
    create();
  } else if (auto entered = netns_->run(*home_, create); !entered) {
    return entered.error();
  }
  if (!fd) return system_error(error, "cannot create a socket");
  if (options_.mark && *options_.mark != 0 &&
      !set(fd.get(), SOL_SOCKET, SO_MARK, static_cast<int>(*options_.mark)))
    return system_error(errno, "failed to set socket mark (CAP_NET_ADMIN is needed)");
  return fd;
}

void SocketFactory::set_keepalive(int fd) const {
  const KeepaliveOptions& keepalive = options_.keepalive;
  if (keepalive.enabled) {
    set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set(fd, IPPROTO_TCP, TCP_KEEPIDLE, static_cast<int>(keepalive.time.count()));
    set(fd, IPPROTO_TCP, TCP_KEEPINTVL, static_cast<int>(keepalive.interval.count()));
    set(fd, IPPROTO_TCP, TCP_KEEPCNT, static_cast<int>(keepalive.retries));
  }
  if (keepalive.user_timeout) {
    const std::chrono::milliseconds total = keepalive.time + keepalive.interval * keepalive.retries;
    set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(total.count()));
  }
}

Result<SocketFactory::TcpListener> SocketFactory::listen(uint16_t port, Transparent transparent,
                                                         bool keepalive) const {
  const SocketAddress address{options_.ipv6 ? IpAddress::any_v6() : IpAddress::any_v4(), port};
  const auto failed = [&] {
    return system_error(errno, fmt::format("failed to bind to address {}", address.to_string()));
  };
  const int family = options_.ipv6 ? AF_INET6 : AF_INET;
  auto made = make(family);
  if (!made) return made.error();
  TcpListener listener{std::move(*made)};
  const int fd = listener.fd.get();
  // A dual-stack wildcard socket takes IPv4 as v4-mapped, whatever the namespace's bindv6only says.
  if (options_.ipv6) set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
  if (options_.reuse_port) {
    if (!set(fd, SOL_SOCKET, SO_REUSEPORT, 1))
      kLog.warn("SO_REUSEPORT refused on {}: {}; a new process cannot serve beside this one",
                address.to_string(), system_error(errno).message());
  } else {
    set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  }
  if (transparent != Transparent::kNo) {
    // SOL_IP also on the IPv6 socket: it is what governs IPv4 traffic, as Istio's ztunnel sets it.
    listener.transparent = set(fd, SOL_IP, IP_TRANSPARENT, 1);
    if (!listener.transparent && transparent == Transparent::kRequire)
      return system_error(errno, "ENABLE_ORIG_SRC=true, but IP_TRANSPARENT is refused");
  }
  set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  if (keepalive) set_keepalive(fd);
  sockaddr_storage storage;
  const socklen_t length = address.to_sockaddr(family, storage);
  if (::bind(fd, reinterpret_cast<sockaddr*>(&storage), length) != 0) return failed();
  if (::listen(fd, SOMAXCONN) != 0) return failed();
  return listener;
}

std::vector<uint64_t> SocketFactory::listening(uint16_t port) const {
  std::vector<uint64_t> inodes;
  const auto read = [&] {
    // Of this thread, and so of the namespace that it is in.
    std::ifstream table(options_.ipv6 ? "/proc/thread-self/net/tcp6" : "/proc/thread-self/net/tcp");
    inodes = listening_sockets(table, port);
  };
  if (netns_ == nullptr)
    read();
  else if (!netns_->run(*home_, read))
    inodes.clear();
  return inodes;
}

Result<Fd> SocketFactory::make_dialler(bool v4) const {
  auto made = make(v4 ? AF_INET : AF_INET6);
  if (made && !set(made->get(), IPPROTO_TCP, TCP_NODELAY, 1))
    return system_error(errno, "cannot set TCP_NODELAY");
  return made;
}

Result<Fd> SocketFactory::dial(const IpAddress& destination) const {
  auto made = make_dialler(destination.is_v4());
  if (made) set_keepalive(made->get());
  return made;
}

Result<Fd> SocketFactory::dial_local(const IpAddress& destination,
                                     const std::optional<SocketAddress>& source) const {
  const bool bind_source = source.has_value() && source->ip != destination;
  const bool v4 = bind_source ? source->ip.is_v4() : destination.is_v4();
  auto made = make_dialler(v4 && destination.is_v4());
  if (!made || !bind_source) return made;

  const int fd = made->get();
  const bool allowed =
      v4 ? set(fd, SOL_IP, IP_TRANSPARENT, 1) : set(fd, SOL_IPV6, IPV6_TRANSPARENT, 1);
  // IP_TRANSPARENT lets it bind to any address, as IP_FREEBIND would.
  const auto bind_to = [&](uint16_t port) {
    sockaddr_storage storage;
    const socklen_t length =
        SocketAddress{source->ip, port}.to_sockaddr(v4 ? AF_INET : AF_INET6, storage);
    return ::bind(fd, reinterpret_cast<sockaddr*>(&storage), length) == 0;
  };
  if (allowed && source->port != 0) {
    // Several connections may have the port, to several destinations or one after the other.
    set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (bind_to(port_no_client_has(source->port))) return made;
    set(fd, SOL_SOCKET, SO_REUSEADDR, 0);  // the application listens there
  }
  // The port is chosen at connect: binding to port 0 now would use up the 4-tuple space of the
  // source.
  set(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1);
  if (!allowed || !bind_to(0))
    kLog.warn("cannot use the original source {}: {}; the connection comes from the pod itself",
              source->ip.to_string(), system_error(errno).message());
  return made;
}

}  // namespace culvert::net
