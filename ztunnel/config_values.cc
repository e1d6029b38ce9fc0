#include "ztunnel/config.h"

#include <fmt/format.h>

#include <algorithm>

namespace culvert::ztunnel {
namespace {

bool is_host_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_';
}

}  // namespace

ListenAddress ListenAddress::loopback(bool ipv6, uint16_t port) {
  return {true, ipv6, {net::IpAddress::loopback_v4(), port}};
}

std::vector<net::SocketAddress> ListenAddress::all() const {
  std::vector<net::SocketAddress> addresses{address};
  if (localhost && ipv6) addresses.push_back({net::IpAddress::loopback_v6(), address.port});
  return addresses;
}

Result<ControlPlaneAddress> ControlPlaneAddress::parse(std::string_view text) {
  const auto bad = [text](std::string_view why) {
    return invalid(fmt::format("invalid uri: {} ({})", text, why));
  };
  ControlPlaneAddress result;
  std::string_view rest = text;
  std::string_view scheme = "https";
  if (const size_t end = rest.find("://"); end != std::string_view::npos) {
    scheme = rest.substr(0, end);
    rest.remove_prefix(end + 3);
  }
  if (scheme != "https" && scheme != "http") return bad("the scheme must be https or http");
  result.tls = scheme == "https";
  result.port = result.tls ? 443 : 80;
  result.uri = fmt::format("{}://{}", scheme, rest);

  std::string_view authority = rest.substr(0, rest.find_first_of("/?#"));
  std::string_view port;
  if (authority.starts_with('[')) {
    const size_t close = authority.find(']');
    if (close == std::string_view::npos) return bad("no ']' after the address");
    result.host = authority.substr(1, close - 1);
    port = authority.substr(close + 1);
    if (!net::IpAddress::parse(result.host)) return bad("no IPv6 address between the brackets");
  } else {
    const size_t colon = std::min(authority.find(':'), authority.size());
    result.host = authority.substr(0, colon);
    port = authority.substr(colon);
    if (result.host.empty() || !std::ranges::all_of(result.host, is_host_char)) {
      return bad("no valid host");
    }
  }
  if (!port.empty()) {
    if (port.front() != ':') return bad("unexpected text after the host");
    const auto number = config::parse_unsigned(port.substr(1), 65535);
    if (!number || *number == 0) return bad("no valid port");
    result.port = static_cast<uint16_t>(*number);
  }
  return result;
}

}  // namespace culvert::ztunnel
