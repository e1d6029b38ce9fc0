#pragma once

#include "common/base/result.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <memory_resource>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace culvert::config {

// One value of a YAML document, with the line it began on; aliases are already replaced by what
// they name. Its texts and items are in memory of whatever it is part of.
struct YamlNode {
  enum class Kind : uint8_t { kNull, kScalar, kSequence, kMap };

  Kind kind = Kind::kNull;
  bool quoted = false;  // a scalar that can only be text: "80", !!str 80
  uint32_t line = 0;    // from 1
  // Of the document's own, with its mark: "!Exact"; YAML's own (!!map) are left out.
  std::string_view tag;
  std::string_view text;            // kScalar
  std::span<const YamlNode> items;  // kSequence: elements; kMap: key, value, key, value …
};

// Holds nodes and their texts; all of it is given back at once.
class YamlMemory {
 public:
  explicit YamlMemory(size_t first_block)
      : block_(std::make_unique_for_overwrite<char[]>(first_block)),
        memory_(block_.get(), first_block) {}

  // A copy of the text, or of the nodes themselves, not of what they refer to.
  std::string_view keep(std::string_view text);
  std::span<const YamlNode> keep(std::span<const YamlNode> nodes);
  [[nodiscard]] size_t used() const { return used_; }
  // Nothing in it is valid any more; the first block is used again.
  void clear();

 private:
  std::unique_ptr<char[]> block_;
  std::pmr::monotonic_buffer_resource memory_;
  size_t used_ = 0;
};

// A document that was parsed.
class YamlDocument {
 public:
  YamlDocument() : memory_(std::make_unique<YamlMemory>(size_t{1} << 10)) {}
  [[nodiscard]] const YamlNode& root() const { return root_; }

 private:
  friend class YamlBuilder;
  std::unique_ptr<YamlMemory> memory_;
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

// Elements of a list that is the value of `key` in the document's map: those at `first` and after.
// Refers to nothing outside of itself.
struct YamlBatch {
  static constexpr size_t kBytes = size_t{128} << 10;  // full then, or when the list ends
  std::string key;
  size_t first = 0;
  std::vector<YamlNode> elements;
  YamlMemory memory{kBytes};
};
// Takes a batch and gives an empty one for it; nullptr: no more is wanted.
using YamlExchange = std::function<std::unique_ptr<YamlBatch>(std::unique_ptr<YamlBatch>)>;

// The one document in the text. Errors say the line: syntax, no document or several, an alias
// inside what it names, limits. Duplicate keys are kept: who reads the map reports them.
//
// If `exchange` is set, then it gets the elements of the lists that are values of the document's
// map as they are read, and the result has such lists without elements: a long list costs the
// memory of one batch. A list with a tag or an anchor is kept whole. An error may come after any
// number of elements.
Result<YamlDocument> parse_yaml(const YamlInput& input, const YamlLimits& limits,
                                const YamlExchange& exchange = {});

}  // namespace culvert::config
