#include "common/net/address.h"

#include "common/base/check.h"

#include <fmt/format.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

namespace culvert::net {
namespace {

constexpr std::array<uint8_t, 12> kMappedPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr unsigned kMappedBits = 96;

// Decimal digits only: no sign, no space, nothing after them.
std::optional<unsigned> parse_decimal(std::string_view text, unsigned max) {
  unsigned value = 0;
  const char* begin = text.data();
  const char* end = begin + text.size();
  const auto [stop, ec] = std::from_chars(begin, end, value);
  if (ec != std::errc() || stop != end || value > max) return std::nullopt;
  return value;
}

// Where the longest run of two or more zero groups is (RFC 5952 section 4.2); the first of equals.
struct ZeroRun {
  size_t begin = 0, length = 0;
};
ZeroRun longest_zero_run(const std::array<uint16_t, 8>& groups) {
  ZeroRun best;
  for (size_t i = 0; i < groups.size();) {
    size_t end = i;
    while (end < groups.size() && groups[end] == 0) ++end;
    if (end - i > best.length) best = {i, end - i};
    i = std::max(end, i + 1);
  }
  return best.length >= 2 ? best : ZeroRun{};
}

// A bijective 64-bit mixer: each input bit reaches each output bit, so clustered addresses (one /16
// of pods) spread over all bits that a table may use.
uint64_t mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

}  // namespace

IpAddress IpAddress::v4(std::array<uint8_t, 4> bytes) {
  IpAddress ip;
  std::copy(kMappedPrefix.begin(), kMappedPrefix.end(), ip.bytes_.begin());
  std::copy(bytes.begin(), bytes.end(), ip.bytes_.begin() + kMappedPrefix.size());
  return ip;
}

IpAddress IpAddress::v6(std::array<uint8_t, 16> bytes) {
  IpAddress ip;
  ip.bytes_ = bytes;
  return ip;
}

Result<IpAddress> IpAddress::from_bytes(std::span<const uint8_t> bytes) {
  if (bytes.size() == 4) return v4({bytes[0], bytes[1], bytes[2], bytes[3]});
  if (bytes.size() == 16) {
    std::array<uint8_t, 16> all;
    std::copy(bytes.begin(), bytes.end(), all.begin());
    return v6(all);
  }
  return invalid(fmt::format("failed to parse address, had {} bytes", bytes.size()));
}

Result<IpAddress> IpAddress::parse(std::string_view text) {
  std::array<char, INET6_ADDRSTRLEN> buffer{};
  if (text.size() < buffer.size() && text.find('\0') == std::string_view::npos) {
    std::copy(text.begin(), text.end(), buffer.begin());
    std::array<uint8_t, 4> four;
    if (inet_pton(AF_INET, buffer.data(), four.data()) == 1) return v4(four);
    std::array<uint8_t, 16> sixteen;
    if (inet_pton(AF_INET6, buffer.data(), sixteen.data()) == 1) return v6(sixteen);
  }
  return invalid(fmt::format("invalid IP address: {}", text));
}

IpAddress IpAddress::loopback_v4() { return v4({127, 0, 0, 1}); }
IpAddress IpAddress::loopback_v6() { return v6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}); }
IpAddress IpAddress::any_v4() { return v4({0, 0, 0, 0}); }
IpAddress IpAddress::any_v6() { return {}; }

bool IpAddress::is_v4() const {
  return std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), bytes_.begin());
}

bool IpAddress::is_loopback() const {
  return is_v4() ? bytes_[kMappedPrefix.size()] == 127 : *this == loopback_v6();
}

bool IpAddress::is_unspecified() const { return *this == any_v6() || *this == any_v4(); }

std::string IpAddress::to_string() const {
  if (is_v4()) return fmt::format("{}.{}.{}.{}", bytes_[12], bytes_[13], bytes_[14], bytes_[15]);
  std::array<uint16_t, 8> groups;
  for (size_t i = 0; i < groups.size(); ++i) {
    groups[i] = static_cast<uint16_t>(bytes_[2 * i] << 8 | bytes_[2 * i + 1]);
  }
  const ZeroRun zeros = longest_zero_run(groups);
  std::string text;
  text.reserve(INET6_ADDRSTRLEN);
  for (size_t i = 0; i < groups.size();) {
    if (zeros.length > 0 && i == zeros.begin) {
      text += "::";
      i += zeros.length;
      continue;
    }
    if (!text.empty() && text.back() != ':') text += ':';
    fmt::format_to(std::back_inserter(text), "{:x}", groups[i]);
    ++i;
  }
  return text;
}

Result<SocketAddress> SocketAddress::parse(std::string_view text) {
  const auto fail = [&] { return invalid(fmt::format("invalid socket address: {}", text)); };
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return fail();
  std::string_view host = text.substr(0, colon);
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  // Brackets exactly for IPv6: "fd00::1:80" would be ambiguous.
  if (bracketed != (host.find(':') != std::string_view::npos)) return fail();
  const auto ip = IpAddress::parse(host);
  const auto port = parse_decimal(text.substr(colon + 1), UINT16_MAX);
  if (!ip || !port) return fail();
  return SocketAddress{*ip, static_cast<uint16_t>(*port)};
}

SocketAddress SocketAddress::from(const sockaddr_storage& storage) {
  // memcpy, because the storage's own type is not the one it holds.
  if (storage.ss_family == AF_INET) {
    sockaddr_in in;
    std::memcpy(&in, &storage, sizeof(in));
    std::array<uint8_t, 4> four;
    std::memcpy(four.data(), &in.sin_addr, four.size());
    return {IpAddress::v4(four), ntohs(in.sin_port)};
  }
  if (storage.ss_family == AF_INET6) {
    sockaddr_in6 in;
    std::memcpy(&in, &storage, sizeof(in));
    std::array<uint8_t, 16> sixteen;
    std::memcpy(sixteen.data(), &in.sin6_addr, sixteen.size());
    return {IpAddress::v6(sixteen), ntohs(in.sin6_port)};
  }
  return {};
}

std::string SocketAddress::to_string() const {
  return ip.is_v4() ? fmt::format("{}:{}", ip.to_string(), port)
                    : fmt::format("[{}]:{}", ip.to_string(), port);
}

socklen_t SocketAddress::to_sockaddr(int family, sockaddr_storage& out) const {
  out = {};
  if (family == AF_INET) {
    CULVERT_CHECK(ip.is_v4());
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    std::memcpy(&in.sin_addr, ip.bytes().data() + kMappedPrefix.size(), sizeof(in.sin_addr));
    std::memcpy(&out, &in, sizeof(in));
    return sizeof(in);
  }
  CULVERT_CHECK(family == AF_INET6);
  sockaddr_in6 in{};
  in.sin6_family = AF_INET6;
  in.sin6_port = htons(port);
  std::memcpy(&in.sin6_addr, ip.bytes().data(), sizeof(in.sin6_addr));
  std::memcpy(&out, &in, sizeof(in));
  return sizeof(in);
}

Result<Cidr> Cidr::make(IpAddress base, unsigned length) {
  const unsigned max = base.is_v4() ? 32 : 128;
  if (length > max) {
    return invalid(
        fmt::format("invalid prefix length {} for {} (at most {})", length, base.to_string(), max));
  }
  Cidr cidr;
  cidr.base_ = base;
  cidr.length_ = length;
  return cidr;
}

Result<Cidr> Cidr::parse(std::string_view text) {
  const auto fail = [&] { return invalid(fmt::format("invalid CIDR: {}", text)); };
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return fail();
  const auto base = IpAddress::parse(text.substr(0, slash));
  auto length = parse_decimal(text.substr(slash + 1), 128);
  if (!base || !length) return fail();
  if (base->is_v4() && text.substr(0, slash).find(':') != std::string_view::npos) {
    if (*length < kMappedBits)
      return fail();  // would reach beyond IPv4, which a mapped base cannot say
    *length -= kMappedBits;
  }
  auto cidr = make(*base, *length);
  if (!cidr) return fail();
  return cidr;
}

bool Cidr::contains(const IpAddress& ip) const {
  if (ip.is_v4() != base_.is_v4()) return false;
  const unsigned bits = length_ + (base_.is_v4() ? kMappedBits : 0);
  const unsigned whole = bits / 8;
  if (std::memcmp(ip.bytes().data(), base_.bytes().data(), whole) != 0) return false;
  const unsigned rest = bits % 8;
  if (rest == 0) return true;
  return ((ip.bytes()[whole] ^ base_.bytes()[whole]) >> (8 - rest)) == 0;
}

std::string Cidr::to_string() const { return fmt::format("{}/{}", base_.to_string(), length_); }

}  // namespace culvert::net

size_t std::hash<culvert::net::IpAddress>::operator()(
    const culvert::net::IpAddress& ip) const noexcept {
  uint64_t high = 0;
  uint64_t low = 0;
  std::memcpy(&high, ip.bytes().data(), sizeof(high));
  std::memcpy(&low, ip.bytes().data() + sizeof(high), sizeof(low));
  return culvert::net::mix(culvert::net::mix(low) ^ high);
}

size_t std::hash<culvert::net::SocketAddress>::operator()(
    const culvert::net::SocketAddress& address) const noexcept {
  return culvert::net::mix(std::hash<culvert::net::IpAddress>{}(address.ip) ^ address.port);
}
