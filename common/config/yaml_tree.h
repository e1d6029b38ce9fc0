#pragma once

#include "common/base/result.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace culvert::config {

// One value of a YAML document, with the line it began on; aliases are already replaced by what
// they name.
struct YamlNode {
  enum class Kind : uint8_t { kNull, kScalar, kSequence, kMap };
  Kind kind = Kind::kNull;
  bool quoted = false;  // a scalar that can only be text: "80", !!str 80
  uint32_t line = 0;    // from 1
  std::string
      tag;  // of the document's own, with its mark: "!Exact"; YAML's own (!!map) are left out
  std::string text;             // kScalar
  std::vector<YamlNode> items;  // kSequence: elements; kMap: key, value, key, value …
};

struct YamlLimits {
  size_t bytes = 0;
  size_t nodes = 0;  // after aliases are expanded
  size_t depth = 0;
};

// The one document in `text`. Errors say the line: syntax, no document or several, an alias inside
// what it names, limits. Duplicate keys are kept: who reads the map reports them.
Result<YamlNode> parse_yaml(std::string_view text, const YamlLimits& limits);

}  // namespace culvert::config
