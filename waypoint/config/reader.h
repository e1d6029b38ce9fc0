#pragma once

#include "common/base/result.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <yaml-cpp/yaml.h>

// Reading YAML strictly: every complaint is kept with its path and line, and nothing is skipped in
// silence. A reader asks for what it knows; values that are wrong come back as absent, so that
// reading goes on and finds the other errors too.
namespace culvert::waypoint::config {

// Where something was said, to complain about it after reading.
struct Where {
  std::string path;  // "services[0].ports[1].port"
  int line = 0;      // from 1; 0: unknown
};

class Errors {
 public:
  static constexpr size_t kMax = 100;

  void add(const Where& where, std::string_view text);
  [[nodiscard]] bool empty() const { return count_ == 0; }
  [[nodiscard]] size_t count() const { return count_; }
  // One error per line: "services[0].prots: unknown key (line 12)".
  [[nodiscard]] Error to_error() const;

  // Counts what was read. YAML aliases let a short file stand for a huge one, so that the total is
  // bounded.
  bool spend();

 private:
  static constexpr size_t kMaxNodes = 1'000'000;
  std::vector<std::string> lines_;
  size_t count_ = 0;
  size_t nodes_ = 0;
};

// A value of the file and where it is. Readers report to the errors and return nullopt for a wrong
// value.
class Item {
 public:
  Item(const YAML::Node& node, std::string path, Errors& errors);

  [[nodiscard]] const Where& where() const { return where_; }
  [[nodiscard]] Errors& errors() const { return *errors_; }
  [[nodiscard]] const YAML::Node& node() const { return node_; }
  void fail(std::string_view text) const { errors_->add(where_, text); }

  [[nodiscard]] std::optional<std::string> text() const;  // not empty
  [[nodiscard]] std::optional<std::string> text_or_empty() const;
  [[nodiscard]] std::optional<uint64_t> number(uint64_t min, uint64_t max) const;
  [[nodiscard]] std::optional<uint16_t> port() const;
  [[nodiscard]] std::optional<bool> boolean() const;
  // "250ms", "3s", "1m30s", "2h"; "0s" is none. Up to 24 hours.
  [[nodiscard]] std::optional<std::chrono::milliseconds> duration() const;
  // The elements of a list. An empty one is an error: it says nothing, and its author meant
  // something.
  static constexpr size_t kMaxList = 10'000;
  [[nodiscard]] std::vector<Item> list() const;
  [[nodiscard]] std::vector<std::string> texts() const;  // a list of texts

  // One of some spellings.
  template <class T>
  [[nodiscard]] std::optional<T> choice(
      std::initializer_list<std::pair<std::string_view, T>> known) const {
    const auto value = text();
    if (!value) return std::nullopt;
    std::string names;
    for (const auto& [name, result] : known) {
      if (name == *value) return result;
      names += (names.empty() ? "" : ", ") + std::string(name);
    }
    fail("\"" + *value + "\" is not one of " + names);
    return std::nullopt;
  }

 private:
  YAML::Node node_;
  Where where_;
  Errors* errors_;
};

// A mapping with the keys it may have. Unknown and repeated keys are reported at once.
class Fields {
 public:
  Fields(const Item& item, std::initializer_list<std::string_view> known);

  // The value, or nullopt if the key is not there.
  [[nodiscard]] std::optional<Item> get(std::string_view key) const;
  // Reports a missing key.
  [[nodiscard]] std::optional<Item> require(std::string_view key) const;
  [[nodiscard]] bool has(std::string_view key) const { return values_.contains(key); }
  [[nodiscard]] const Item& item() const { return item_; }

  // `out` keeps its default unless the key is there and right.
  void read(std::string_view key, std::string& out) const;
  void read(std::string_view key, bool& out) const;
  void read(std::string_view key, uint32_t& out, uint64_t min, uint64_t max) const;
  void read(std::string_view key, std::chrono::milliseconds& out) const;

 private:
  Item item_;
  std::map<std::string, Item, std::less<>> values_;
};

}  // namespace culvert::waypoint::config
