#include "waypoint/tunnel/sniff.h"

#include "common/http/chars.h"

#include <algorithm>
#include <string_view>

namespace culvert::waypoint {
namespace {

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr std::string_view kVersion = "HTTP/1.";
constexpr size_t kMaxMethod = 64;

// Whether one is the beginning of the other.
bool agree(std::string_view a, std::string_view b) {
  const size_t n = std::min(a.size(), b.size());
  return a.substr(0, n) == b.substr(0, n);
}

bool is_method_char(char c) { return (c >= 'A' && c <= 'Z') || c == '-' || c == '_'; }
bool is_target_char(char c) { return static_cast<unsigned char>(c) > 0x20 && c != 0x7f; }

// What follows the target, from the space on.
Sniffed sniff_version(std::string_view text) {
  const size_t begin = std::min(text.find_first_not_of(' '), text.size());
  text.remove_prefix(begin);
  if (!agree(text, kVersion)) return Sniffed::kOther;
  return text.size() < kVersion.size() ? Sniffed::kMore : Sniffed::kHttp1;
}

Sniffed sniff_http1(std::string_view text) {
  const auto* method_end = std::find_if_not(text.begin(), text.end(), is_method_char);
  const auto method = static_cast<size_t>(method_end - text.begin());
  if (method > kMaxMethod) return Sniffed::kOther;
  if (method == text.size()) return Sniffed::kMore;
  if (method == 0 || text[method] != ' ') return Sniffed::kOther;
  const std::string_view rest = text.substr(method + 1);
  const auto* target_end = std::find_if_not(rest.begin(), rest.end(), is_target_char);
  const auto target = static_cast<size_t>(target_end - rest.begin());
  if (target == rest.size()) return Sniffed::kMore;
  if (target == 0 || rest[target] != ' ') return Sniffed::kOther;
  return sniff_version(rest.substr(target));
}

}  // namespace

Sniffed sniff(Bytes bytes) {
  std::string_view text = as_text(bytes);
  if (text.starts_with(kPreface)) return Sniffed::kHttp2;
  // The preface is a request line until its version: "PRI * HTTP/2".
  if (agree(text, kPreface)) return Sniffed::kMore;
  const size_t line = text.find_first_not_of("\r\n");
  const Sniffed found =
      line == std::string_view::npos ? Sniffed::kMore : sniff_http1(text.substr(line));
  if (found != Sniffed::kMore || text.size() < kMaxSniffed) return found;
  // As much as anybody looks at, empty lines and all: a method and a space, or nothing known.
  const bool has_method =
      line != std::string_view::npos && text.find(' ', line) != std::string_view::npos;
  return has_method ? Sniffed::kHttp1 : Sniffed::kOther;
}

Sniffed sniff_http(Bytes bytes) {
  const std::string_view text = as_text(bytes);
  if (text.starts_with(kPreface)) return Sniffed::kHttp2;
  return agree(text, kPreface) ? Sniffed::kMore : Sniffed::kHttp1;
}

}  // namespace culvert::waypoint
