#pragma once

#include <array>
#include <cstdint>
#include <string_view>

// The character classes of RFC 9110 section 5.6 and RFC 3986 section 2, as tables: every byte that
// a peer sends in a head passes through one of these once.
namespace culvert::http {

constexpr bool is_alpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr char to_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}
// 0-15, or -1 for what is not a hexadecimal digit.
constexpr int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  const char lower = to_lower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}
// RFC 3986 section 2.3: the bytes whose percent-encoded form means the same.
constexpr bool is_unreserved(char c) {
  return is_alpha(c) || is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

namespace detail {

inline constexpr auto kTokenLower = [] {
  std::array<char, 256> table{};
  for (int c = 0; c < 256; ++c) {
    const char byte = static_cast<char>(c);
    const bool symbol = std::string_view("!#$%&'*+-.^_`|~").find(byte) != std::string_view::npos;
    if (is_alpha(byte) || is_digit(byte) || symbol) table[c] = to_lower(byte);
  }
  return table;
}();

inline constexpr auto kBadValueByte = [] {
  std::array<uint8_t, 256> table{};
  for (int c = 0; c < 0x20; ++c) table[c] = c == '\t' ? 0 : 1;
  table[0x7f] = 1;
  return table;
}();

}  // namespace detail

// The lower-case form of a token byte (RFC 9110 section 5.6.2), or 0 for any other byte.
constexpr char token_lower(char c) { return detail::kTokenLower[static_cast<uint8_t>(c)]; }

constexpr bool is_token(std::string_view text) {
  if (text.empty()) return false;
  for (const char c : text) {
    if (token_lower(c) == 0) return false;
  }
  return true;
}

// RFC 9110 section 5.5: visible characters, space, tab and obs-text; no CR, LF, NUL or other
// control. Without a branch per byte, so that the compiler can vectorise it.
constexpr bool is_field_value(std::string_view text) {
  uint8_t bad = 0;
  for (const char c : text) bad |= detail::kBadValueByte[static_cast<uint8_t>(c)];
  return bad == 0;
}

// What Envoy accepts in a request target: visible ASCII, which is a little more than RFC 3986
// allows (clients do send bare '|', '"' and braces) and excludes everything that could end the
// line.
constexpr bool is_visible_ascii(std::string_view text) {
  for (const char c : text) {
    if (c < 0x21 || c > 0x7e) return false;
  }
  return true;
}

constexpr bool iequals(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (to_lower(a[i]) != to_lower(b[i])) return false;
  }
  return true;
}

// Without the optional white space (RFC 9110 section 5.6.3) at both ends.
constexpr std::string_view trim_ows(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

}  // namespace culvert::http
