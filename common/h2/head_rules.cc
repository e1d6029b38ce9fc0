#include "common/h2/head_rules.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>

namespace culvert::h2 {
namespace {

enum Pseudo : uint8_t { kMethod = 1, kScheme = 2, kAuthority = 4, kPath = 8, kStatus = 16 };

constexpr std::array<std::string_view, 5> kConnectionSpecific{
    "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"};

uint8_t pseudo_of(std::string_view name) {
  if (name == ":method") return kMethod;
  if (name == ":scheme") return kScheme;
  if (name == ":authority") return kAuthority;
  if (name == ":path") return kPath;
  if (name == ":status") return kStatus;
  return 0;
}

bool is_good_name(std::string_view name) {
  const auto* text = reinterpret_cast<const uint8_t*>(name.data());
  return nghttp2_check_header_name(text, name.size()) != 0;
}

bool is_good_value(std::string_view value) {
  const auto* text = reinterpret_cast<const uint8_t*>(value.data());
  return nghttp2_check_header_value_rfc9113(text, value.size()) != 0;
}

bool is_status(std::string_view value) {
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  return value.size() == 3 && std::all_of(value.begin(), value.end(), digit);
}

}  // namespace

bool HeadRules::take(std::string_view name, std::string_view value) {
  if (!is_good_value(value)) return false;
  if (name.starts_with(':')) return take_pseudo(name, value);
  regular_ = true;
  if (!is_good_name(name)) return false;
  if (std::find(kConnectionSpecific.begin(), kConnectionSpecific.end(), name) !=
      kConnectionSpecific.end())
    return false;
  return name != "te" || value == "trailers";
}

bool HeadRules::take_pseudo(std::string_view name, std::string_view value) {
  const uint8_t field = pseudo_of(name);
  const bool fits = (kind_ == HeadKind::kRequest && field != kStatus) ||
                    (kind_ == HeadKind::kResponse && field == kStatus);
  if (field == 0 || !fits || regular_ || (seen_ & field) != 0) return false;
  seen_ |= field;
  if (field == kMethod) connect_ = value == "CONNECT";
  if (field == kStatus) return is_status(value);
  // RFC 9113 sections 8.3.1 (:path, :authority) and 8.5: a CONNECT names a host and a port.
  return !value.empty();
}

bool HeadRules::complete() const {
  switch (kind_) {
    case HeadKind::kRequest:
      return connect_ ? seen_ == (kMethod | kAuthority)
                      : (seen_ & (kMethod | kScheme | kPath)) == (kMethod | kScheme | kPath);
    case HeadKind::kResponse:
      return seen_ == kStatus;
    case HeadKind::kTrailers:
      break;
  }
  return true;
}

}  // namespace culvert::h2
