#include "common/config/yaml_reader.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

namespace culvert::config {
namespace {

bool is_simple_key(std::string_view key) {
  return !key.empty() && std::all_of(key.begin(), key.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  });
}

}  // namespace

void Problems::add(std::string text) {
  if (++total_ <= kMaxErrors) texts_.push_back(std::move(text));
}

Error Problems::to_error() const {
  std::string text = fmt::format("{}", fmt::join(texts_, "; "));
  if (total_ > texts_.size()) text += fmt::format("; and {} more", total_ - texts_.size());
  return invalid(std::move(text));
}

std::string YamlPath::to_string() const {
  std::string text = parent != nullptr ? parent->to_string() : std::string();
  if (index != std::string_view::npos) return fmt::format("{}[{}]", text, index);
  if (parent == nullptr) return text;
  if (!is_simple_key(key)) return fmt::format("{}[\"{}\"]", text, key);
  return text.empty() ? std::string(key) : fmt::format("{}.{}", text, key);
}

void YamlValue::fail(std::string_view what, uint32_t line) const {
  const std::string path = path_.to_string();
  problems_.add(fmt::format("{}: {} (line {})", path.empty() ? "top level" : path, what, line));
}

bool YamlValue::expect(YamlNode::Kind kind, std::string_view otherwise) const {
  if (!node_.tag.empty()) {
    fail(fmt::format("tag {} has no meaning here", node_.tag));
    return false;
  }
  if (node_.kind == kind) return true;
  fail(otherwise);
  return false;
}

std::string_view YamlValue::text() const {
  return expect(YamlNode::Kind::kScalar, "not a string") ? node_.text : std::string_view();
}

bool YamlValue::boolean() const {
  if (!expect(YamlNode::Kind::kScalar, "not true or false")) return false;
  const std::string_view text = node_.text;
  if (!node_.quoted && (text == "true" || text == "True" || text == "TRUE")) return true;
  if (node_.quoted || (text != "false" && text != "False" && text != "FALSE")) {
    fail("not true or false");
  }
  return false;
}

uint32_t YamlValue::number(uint32_t max) const {
  const auto wrong = [&] { return fmt::format("not a number from 0 to {}", max); };
  uint32_t value = 0;
  const bool is_scalar = node_.kind == YamlNode::Kind::kScalar && node_.tag.empty();
  if (!is_scalar && !expect(YamlNode::Kind::kScalar, wrong())) return 0;
  if (node_.quoted || !parse_number(node_.text, max, value)) fail(wrong());
  return value;
}

bool YamlValue::check_map() const {
  if (!expect(YamlNode::Kind::kMap, "not a map")) return false;
  constexpr size_t kFew = 32;  // this many are compared with each other sooner than they are sorted
  const size_t count = node_.items.size() / 2;
  bool may_repeat = count > kFew;
  for (size_t i = 0; i < count; ++i) {
    const YamlNode& key = node_.items[2 * i];
    if (key.kind != YamlNode::Kind::kScalar || !key.tag.empty()) {
      fail("a key is not a plain name", key.line);
      return false;
    }
    for (size_t j = 0; j < i && !may_repeat; ++j) may_repeat = node_.items[2 * j].text == key.text;
  }
  if (may_repeat) check_repetition();
  return true;
}

void YamlValue::check_repetition() const {
  std::vector<const YamlNode*> keys;
  for (size_t i = 0; i + 1 < node_.items.size(); i += 2) keys.push_back(&node_.items[i]);
  // Equal ones in the order of the text, so that the second is the one to blame.
  std::sort(keys.begin(), keys.end(), [](const YamlNode* a, const YamlNode* b) {
    const int order = a->text.compare(b->text);
    return order != 0 ? order < 0 : a < b;
  });
  for (size_t i = 1; i < keys.size(); ++i) {
    if (keys[i]->text == keys[i - 1]->text) {
      fail(fmt::format("key '{}' is there twice", keys[i]->text), keys[i]->line);
    }
  }
}

bool parse_number(std::string_view text, uint32_t max, uint32_t& out) {
  uint32_t value = 0;
  const char* begin = text.data();
  const char* end = begin + text.size();
  const auto [stop, ec] = std::from_chars(begin, end, value);
  if (ec != std::errc() || stop != end || value > max) return false;
  out = value;
  return true;
}

YamlObject::YamlObject(const YamlValue& value, Unknown unknown)
    : value_(value),
      unknown_(unknown),
      is_map_(value.check_map()),
      used_(is_map_ ? value.node().items.size() / 2 : 0) {}

size_t YamlObject::find(std::string_view key) {
  for (size_t i = 0; i < used_.size(); ++i) {
    if (value_.node().items[2 * i].text != key) continue;
    used_[i] = true;
    return 2 * i;
  }
  return std::string_view::npos;
}

void YamlObject::missing(std::string_view key) const {
  const YamlPath path{&value_.path(), key};
  YamlValue(value_.node(), path, value_.problems()).fail("missing");
}

void YamlObject::finish() const {
  if (unknown_ == Unknown::kIgnored) return;
  const auto& items = value_.node().items;
  for (size_t i = 0; i < used_.size(); ++i) {
    if (used_[i]) continue;
    const YamlNode& key = items[2 * i];
    // The second of two equal keys was reported already.
    bool twice = false;
    for (size_t j = 0; j < i; ++j) twice = twice || items[2 * j].text == key.text;
    if (twice) continue;
    const YamlPath path{&value_.path(), key.text};
    YamlValue(value_.node(), path, value_.problems()).fail("unknown key", key.line);
  }
}

}  // namespace culvert::config
