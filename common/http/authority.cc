#include "common/http/authority.h"

#include "common/http/chars.h"

#include <arpa/inet.h>

#include <algorithm>
#include <string>

namespace culvert::http {
namespace {

std::optional<uint16_t> parse_port(std::string_view digits) {
  if (digits.empty() || digits.size() > 5) return std::nullopt;
  uint32_t port = 0;
  for (const char c : digits) {
    if (!is_digit(c)) return std::nullopt;
    port = port * 10 + static_cast<uint32_t>(c - '0');
  }
  if (port == 0 || port > 65535) return std::nullopt;
  return static_cast<uint16_t>(port);
}

bool is_ipv6_address(std::string_view text) {
  if (text.size() >= INET6_ADDRSTRLEN) return false;
  in6_addr parsed{};
  return inet_pton(AF_INET6, std::string(text).c_str(), &parsed) == 1;
}

}  // namespace

std::optional<Authority> parse_authority(std::string_view text) {
  size_t host_end = 0;
  if (text.starts_with('[')) {
    const size_t bracket = text.find(']');
    // inet_pton would stop at a NUL, so the bytes are checked first.
    if (bracket == std::string_view::npos) return std::nullopt;
    const std::string_view address = text.substr(1, bracket - 1);
    const bool plain = std::all_of(address.begin(), address.end(), [](char c) {
      return hex_value(c) >= 0 || c == ':' || c == '.';
    });
    if (!plain || !is_ipv6_address(address)) return std::nullopt;
    host_end = bracket + 1;
  } else {
    while (host_end < text.size() && is_unreserved(text[host_end])) ++host_end;
    if (host_end == 0) return std::nullopt;
  }
  Authority authority{.host = text.substr(0, host_end), .port = std::nullopt};
  if (host_end == text.size()) return authority;
  if (text[host_end] != ':') return std::nullopt;
  authority.port = parse_port(text.substr(host_end + 1));
  if (!authority.port) return std::nullopt;
  return authority;
}

}  // namespace culvert::http
