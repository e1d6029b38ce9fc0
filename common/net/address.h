#pragma once

#include "common/base/result.h"

#include <sys/socket.h>

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace culvert::net {

// An IPv4 or IPv6 address as 16 bytes. IPv4 is held v4-mapped (::ffff:a.b.c.d), so an IPv4 address
// and the mapped form a dual-stack socket reports for it are one value: every address is canonical
// by construction.
class IpAddress {
 public:
  constexpr IpAddress() = default;  // "::"
  static IpAddress v4(std::array<uint8_t, 4> bytes);
  static IpAddress v6(std::array<uint8_t, 16> bytes);
  // 4 or 16 bytes in network order; anything else is an error ("failed to parse address, had N
  // bytes").
  static Result<IpAddress> from_bytes(std::span<const uint8_t> bytes);
  // "10.0.0.1", "fd00::1"; no brackets, no zone, no port.
  static Result<IpAddress> parse(std::string_view text);
  static IpAddress loopback_v4();
  static IpAddress loopback_v6();
  static IpAddress any_v4();
  static IpAddress any_v6();

  [[nodiscard]] bool is_v4() const;
  [[nodiscard]] bool is_loopback() const;
  [[nodiscard]] bool is_unspecified() const;
  // All 16 bytes, IPv4 in mapped form.
  [[nodiscard]] const std::array<uint8_t, 16>& bytes() const { return bytes_; }
  // IPv4 dotted, IPv6 compressed (RFC 5952).
  [[nodiscard]] std::string to_string() const;

  auto operator<=>(const IpAddress&) const = default;

 private:
  std::array<uint8_t, 16> bytes_{};
};

struct SocketAddress {
  IpAddress ip;
  uint16_t port = 0;

  // "10.0.0.1:80" or "[fd00::1]:80"; both parts required.
  static Result<SocketAddress> parse(std::string_view text);
  // Families other than AF_INET and AF_INET6 give the unspecified address and port 0.
  static SocketAddress from(const sockaddr_storage& storage);
  [[nodiscard]] std::string to_string() const;
  // Fills `out` for a socket of `family` (AF_INET or AF_INET6; IPv4 on AF_INET6 becomes v4-mapped)
  // and returns its length. An IPv6 address cannot go on AF_INET: CHECK.
  socklen_t to_sockaddr(int family, sockaddr_storage& out) const;

  auto operator<=>(const SocketAddress&) const = default;
};

// A network prefix. Host bits are kept as given and ignored when matching.
class Cidr {
 public:
  Cidr() = default;
  // `length` counts from the family's own start (0..32 for IPv4, 0..128 for IPv6); longer is an
  // error.
  static Result<Cidr> make(IpAddress base, unsigned length);
  // "10.0.0.0/8"; a bare address is an error. "::ffff:10.0.0.0/104" is 10.0.0.0/8 in its mapped
  // form.
  static Result<Cidr> parse(std::string_view text);

  [[nodiscard]] bool contains(const IpAddress& ip) const;  // never across families
  [[nodiscard]] const IpAddress& base() const { return base_; }
  [[nodiscard]] unsigned length() const { return length_; }
  [[nodiscard]] std::string to_string() const;  // "10.0.0.0/8"

  auto operator<=>(const Cidr&) const = default;

 private:
  IpAddress base_;
  unsigned length_ = 0;
};

}  // namespace culvert::net

template <>
struct std::hash<culvert::net::IpAddress> {
  size_t operator()(const culvert::net::IpAddress& ip) const noexcept;
};
template <>
struct std::hash<culvert::net::SocketAddress> {
  size_t operator()(const culvert::net::SocketAddress& address) const noexcept;
};
