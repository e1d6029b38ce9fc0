#pragma once

#include <string_view>

// Views into parts of a request target and authority, for matching. The codec has validated both.
namespace culvert::waypoint {

// The path up to '?' or '#'. Fragments are refused before policies run; cutting them here too makes
// sure that "/admin#x" can never be anything but "/admin".
[[nodiscard]] inline std::string_view path_without_query(std::string_view target) {
  return target.substr(0, target.find_first_of("?#"));
}

// The host without its port; brackets of an IPv6 address stay.
[[nodiscard]] inline std::string_view host_of(std::string_view authority) {
  const size_t bracket = authority.rfind(']');
  const size_t colon = authority.rfind(':');
  if (colon == std::string_view::npos) return authority;
  if (bracket != std::string_view::npos && colon < bracket) return authority;
  return authority.substr(0, colon);
}

// The port's digits; empty if there is none.
[[nodiscard]] inline std::string_view port_of(std::string_view authority) {
  const std::string_view host = host_of(authority);
  return host.size() == authority.size() ? std::string_view() : authority.substr(host.size() + 1);
}

}  // namespace culvert::waypoint
