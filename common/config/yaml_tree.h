#pragma once

#include "common/base/result.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <memory_resource>
#include <span>
#include <string_view>
#include <vector>

namespace culvert::config {

// One value of a YAML document, with the line it began on; aliases are already replaced by what
// they name. Its texts and items are in memory of the document.
struct YamlNode {
  enum class Kind : uint8_t { kNull, kScalar, kSequence, kMap };
  using Items = std::pmr::vector<YamlNode>;
  explicit YamlNode(std::pmr::memory_resource* memory) : items(memory) {}

  Kind kind = Kind::kNull;
  bool quoted = false;  // a scalar that can only be text: "80", !!str 80
  uint32_t line = 0;    // from 1
  // Of the document's own, with its mark: "!Exact"; YAML's own (!!map) are left out.
  std::string_view tag;
  std::string_view text;  // kScalar
  Items items;            // kSequence: elements; kMap: key, value, key, value …
};

// A document that was parsed.
class YamlDocument {
 public:
  YamlDocument() : memory_(std::make_unique<Memory>()), root_(memory_.get()) {}
  [[nodiscard]] const YamlNode& root() const { return root_; }

 private:
  friend class YamlBuilder;
  using Memory = std::pmr::monotonic_buffer_resource;
  std::unique_ptr<Memory> memory_;
  YamlNode root_;
};

struct YamlLimits {
  size_t bytes = 0;
  size_t nodes = 0;  // after aliases are expanded
  size_t depth = 0;
};

// Fills the buffer with the text that follows; less than its size: the end. Called until then.
using YamlInput = std::function<Result<size_t>(std::span<char>)>;
// `text` must outlive the input.
YamlInput yaml_input(std::string_view text);

// Takes the element at `index` of the list that is the value of `key` in the document's map.
// Neither lives longer than the call.
using YamlElement =
    std::function<void(std::string_view key, size_t index, const YamlNode& element)>;

// The one document in the text. Errors say the line: syntax, no document or several, an alias
// inside what it names, limits. Duplicate keys are kept: who reads the map reports them.
//
// If `element` is set, then it gets the elements of the lists that are values of the document's map
// as they are read, and the result has such lists without elements: a long list costs the memory of
// one element. A list with a tag or an anchor is kept whole. An error may come after any number of
// elements.
Result<YamlDocument> parse_yaml(const YamlInput& input, const YamlLimits& limits,
                                const YamlElement& element = {});

}  // namespace culvert::config
