#include "common/net/original_dst.h"

#include <netinet/in.h>
#include <sys/socket.h>

namespace culvert::net {
namespace {

// From <linux/netfilter_ipv4.h> and <linux/netfilter_ipv6/ip6_tables.h>, which do not go with
// <netinet/in.h>.
constexpr int kSoOriginalDst = 80;
constexpr int kIp6tSoOriginalDst = 80;

}  // namespace

SocketAddress original_destination(int fd) {
  sockaddr_storage storage{};
  auto* address = reinterpret_cast<sockaddr*>(&storage);
  socklen_t length = sizeof storage;
  if (::getsockopt(fd, SOL_IP, kSoOriginalDst, address, &length) != 0) {
    length = sizeof storage;
    if (::getsockopt(fd, SOL_IPV6, kIp6tSoOriginalDst, address, &length) != 0) {
      length = sizeof storage;
      ::getsockname(fd, address, &length);
    }
  }
  return SocketAddress::from(storage);
}

}  // namespace culvert::net
