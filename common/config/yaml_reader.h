#pragma once

#include "common/base/result.h"
#include "common/config/yaml_tree.h"

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// Typed reading of a YamlNode that goes on after an error, so that one run reports them all.
// Private to common/config. Nothing here throws; after an error a reader returns a value of no
// meaning.
namespace culvert::config {

// What is wrong, in order. Keeps the first kMaxErrors texts and counts the rest.
class Problems {
 public:
  static constexpr size_t kMaxErrors = 100;
  void add(std::string text);
  [[nodiscard]] bool empty() const { return total_ == 0; }
  [[nodiscard]] size_t count() const { return total_; }
  [[nodiscard]] Error to_error() const;  // texts joined by "; "

 private:
  std::vector<std::string> texts_;
  size_t total_ = 0;
};

// Where a value is: a chain on the stack, made into text only for an error.
struct YamlPath {
  const YamlPath* parent = nullptr;
  std::string_view key;  // with npos index: a map's key
  size_t index = std::string_view::npos;
  [[nodiscard]] std::string to_string() const;  // "services[0].ports"
};

// A value at its place. Refers to node, path and problems: a local of the function that reads.
class YamlValue {
 public:
  YamlValue(const YamlNode& node, const YamlPath& path, Problems& problems)
      : node_(node), path_(path), problems_(problems) {}

  void fail(std::string_view what) const { fail(what, node_.line); }
  void fail(std::string_view what, uint32_t line) const;
  [[nodiscard]] const YamlNode& node() const { return node_; }
  [[nodiscard]] const YamlPath& path() const { return path_; }
  [[nodiscard]] Problems& problems() const { return problems_; }

  // A scalar as it is written, whatever it looks like ("80", true); not null. Lives as the node.
  [[nodiscard]] std::string_view text() const;
  [[nodiscard]] bool boolean() const;
  [[nodiscard]] uint16_t u16() const { return static_cast<uint16_t>(number(UINT16_MAX)); }
  [[nodiscard]] uint32_t u32() const { return number(UINT32_MAX); }
  template <class Enum>
  [[nodiscard]] Enum choice(
      std::initializer_list<std::pair<std::string_view, Enum>> choices) const {
    if (!expect(YamlNode::Kind::kScalar, "not a string")) return choices.begin()->second;
    for (const auto& [known, value] : choices) {
      if (known == node_.text) return value;
    }
    std::string all;
    for (const auto& [known, value] : choices) {
      all += (all.empty() ? "" : ", ") + std::string(known);
    }
    fail("'" + std::string(node_.text) + "' is none of " + all);
    return choices.begin()->second;
  }
  // Calls read(const YamlValue&) for each element; not a list: an error.
  template <class Read>
  void each(Read&& read) const {
    if (!expect(YamlNode::Kind::kSequence, "not a list")) return;
    for (size_t i = 0; i < node_.items.size(); ++i) {
      const YamlPath at{&path_, {}, i};
      read(YamlValue(node_.items[i], at, problems_));
    }
  }
  // Calls read(std::string_view key, const YamlValue&) for each entry of a map whose keys are
  // data.
  template <class Read>
  void each_entry(Read&& read) const {
    if (!check_map()) return;
    for (size_t i = 0; i + 1 < node_.items.size(); i += 2) {
      const YamlPath at{&path_, node_.items[i].text};
      read(node_.items[i].text, YamlValue(node_.items[i + 1], at, problems_));
    }
  }
  // Whether it is a map with scalar keys, each once; else says what is wrong.
  bool check_map() const;
  [[nodiscard]] bool expect(YamlNode::Kind kind, std::string_view otherwise) const;

 private:
  [[nodiscard]] uint32_t number(uint32_t max) const;
  void check_repetition() const;

  const YamlNode& node_;
  const YamlPath& path_;
  Problems& problems_;
};

// A decimal number of at most `max` and nothing else; used for numbers and for maps' keys.
bool parse_number(std::string_view text, uint32_t max, uint32_t& out);

// A map with known keys. Ask for each key once, then call finish(), which reports keys nobody asked
// for.
class YamlObject {
 public:
  enum class Unknown : uint8_t { kError, kIgnored };
  explicit YamlObject(const YamlValue& value, Unknown unknown = Unknown::kError);

  // Calls read(const YamlValue&) if the key is there.
  template <class Read>
  void required(std::string_view key, Read&& read) {
    if (!get(key, read) && is_map_) missing(key);
  }
  template <class Read>
  void optional(std::string_view key, Read&& read) {
    get(key, read);
  }
  // null is the same as absent.
  template <class Read>
  void nullable(std::string_view key, Read&& read) {
    get(key, [&](const YamlValue& value) {
      if (value.node().kind != YamlNode::Kind::kNull) read(value);
    });
  }
  void finish() const;

 private:
  template <class Read>
  bool get(std::string_view key, Read&& read) {
    const size_t at = find(key);
    if (at == std::string_view::npos) return false;
    const YamlPath path{&value_.path(), key};
    read(YamlValue(value_.node().items[at + 1], path, value_.problems()));
    return true;
  }
  size_t find(std::string_view key);  // position of the key in items
  void missing(std::string_view key) const;

  const YamlValue& value_;
  const Unknown unknown_;
  const bool is_map_;
  std::vector<bool> used_;  // by position of the key / 2
};

}  // namespace culvert::config
