#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace culvert::http {

// `host[:port]` of a request, the value of Host and :authority (RFC 9110 section 7.2).
struct Authority {
  std::string_view host;  // an IPv6 address keeps its brackets
  std::optional<uint16_t> port;
};

// nullopt for anything that two implementations could read in two ways: user information ('@'), an
// empty host, percent-encoding or sub-delimiters in the name, an IPv6 zone, an empty, zero or too
// large port. That is narrower than RFC 3986 section 3.2 and covers every DNS name, name with
// underscores and address. The result points into `text`. Hosts compare without regard to case (RFC
// 3986 section 6.2.2.1).
[[nodiscard]] std::optional<Authority> parse_authority(std::string_view text);

}  // namespace culvert::http
