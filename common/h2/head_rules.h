#pragma once

#include "common/h2/hpack.h"

#include <cstdint>
#include <string_view>

namespace culvert::h2 {

// What makes a head well-formed (RFC 9113 sections 8.2 and 8.3), told field by field in order:
// lower-case names, values without controls, no connection-specific fields, pseudo-fields first,
// known, and each once; a CONNECT has an authority and neither scheme nor path (section 8.5), other
// requests a scheme and a path, responses a status of three digits, trailers no pseudo-field.
// Extended CONNECT (RFC 8441) is not offered, so :protocol is unknown.
class HeadRules {
 public:
  explicit HeadRules(HeadKind kind) : kind_(kind) {}
  // False: the head is malformed, whatever follows.
  bool take(std::string_view name, std::string_view value);
  // After the last field.
  [[nodiscard]] bool complete() const;

 private:
  bool take_pseudo(std::string_view name, std::string_view value);

  HeadKind kind_;
  uint8_t seen_ = 0;  // pseudo-fields, a bit each
  bool regular_ = false, connect_ = false;
};

}  // namespace culvert::h2
