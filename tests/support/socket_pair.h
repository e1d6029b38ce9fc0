#pragma once

#include "common/base/check.h"
#include "common/net/fd.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>

#include <utility>

namespace culvert::test {

// Two ends of a TCP connection over loopback, both non-blocking.
inline std::pair<net::Fd, net::Fd> tcp_pair() {
  net::Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* raw = reinterpret_cast<sockaddr*>(&address);
  CULVERT_CHECK(::bind(listener.get(), raw, length) == 0 && ::listen(listener.get(), 1) == 0);
  ::getsockname(listener.get(), raw, &length);
  net::Fd near(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  CULVERT_CHECK(::connect(near.get(), raw, length) == 0);
  net::Fd far(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  CULVERT_CHECK(::fcntl(near.get(), F_SETFL, O_NONBLOCK) == 0 && far);
  return {std::move(near), std::move(far)};
}

}  // namespace culvert::test
