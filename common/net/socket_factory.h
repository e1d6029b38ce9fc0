#pragma once

#include "common/net/address.h"
#include "common/net/fd.h"
#include "common/net/netns.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

namespace culvert::net {

struct KeepaliveOptions {
  bool enabled = true;
  std::chrono::seconds time{180}, interval{180};
  uint32_t retries = 9;
  // TCP_USER_TIMEOUT = time + retries * interval, so that unacknowledged data gives up when
  // keepalive would.
  bool user_timeout = false;
};

struct SocketFactoryOptions {
  std::optional<uint32_t>
      mark;                 // SO_MARK on everything: the redirect rules let marked packets pass
  bool reuse_port = false;  // on listeners: an old and a new process serve a pod side by side
  bool ipv6 = true;         // wildcard listeners are [::], dual-stack; else 0.0.0.0
  KeepaliveOptions keepalive;
};

// Makes the sockets of one pod inside its network namespace (or the process's own). Const and
// stateless, so every worker may use it; the calling thread's namespace is the home it returns to.
class SocketFactory {
 public:
  // `netns` null: the process's own namespace.
  SocketFactory(SocketFactoryOptions options, NetnsPtr netns, NetnsPtr home);

  enum class Transparent : uint8_t { kNo, kTry, kRequire };
  struct TcpListener {
    Fd fd;
    bool transparent = false;  // IP_TRANSPARENT is on: original sources can be used for dialling
  };
  // Bound to the wildcard (or `address`) at `port`, non-blocking. As many connections wait as the
  // kernel allows (net.core.somaxconn): where more come at once, the rest tries again a second
  // later. Keepalive options set here are inherited by accepted sockets, as is TCP_NODELAY. Errors:
  // `failed to bind to address …`.
  [[nodiscard]] Result<TcpListener> listen(uint16_t port, Transparent transparent,
                                           bool keepalive) const;

  // Who listens now where listen(port) does, of any process: inodes of sockets. None if the kernel
  // does not say.
  [[nodiscard]] std::vector<uint64_t> listening(uint16_t port) const;

  // A non-blocking TCP socket ready for connect to `destination`: TCP_NODELAY, keepalive.
  [[nodiscard]] Result<Fd> dial(const IpAddress& destination) const;
  // The same to an application in this very namespace, without keepalive: its end cannot be lost
  // unnoticed. With `source`, the connection comes from that address (IP_TRANSPARENT) unless it
  // equals the destination; when the kernel refuses, it says so in the log and goes unbound.
  //
  // Its port is the kernel's choice at connect, if that of `source` is 0; else it is one made of
  // that port, which is the client's own towards the same destination. A client that talks to the
  // application plainly has its connections in this very namespace: one of ours with the address
  // and port of one of them would be the same to the kernel, and both would break. So ours comes
  // from where clients do not (10000 to 32767; ephemeral ports begin at 32768). connect() may say
  // EADDRNOTAVAIL; then ask again with port 0.
  [[nodiscard]] Result<Fd> dial_local(const IpAddress& destination,
                                      const std::optional<SocketAddress>& source) const;

 private:
  [[nodiscard]] Result<Fd> make(int family) const;
  [[nodiscard]] Result<Fd> make_dialler(bool v4) const;
  void set_keepalive(int fd) const;

  SocketFactoryOptions options_;
  NetnsPtr netns_, home_;
};

}  // namespace culvert::net
