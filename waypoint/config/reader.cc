#include "waypoint/config/reader.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

namespace culvert::waypoint::config {
namespace {

constexpr uint64_t kMaxDurationMs = 24ULL * 3600 * 1000;

std::optional<uint64_t> unit_ms(std::string_view unit) {
  if (unit == "ms") return 1;
  if (unit == "s") return 1000;
  if (unit == "m") return 60'000;
  if (unit == "h") return 3'600'000;
  return std::nullopt;
}

// Gateway API's durations (GEP-2257): digits and a unit, up to four times.
std::optional<uint64_t> parse_duration_ms(std::string_view text) {
  uint64_t total = 0;
  for (int parts = 0; !text.empty(); ++parts) {
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || parts == 4 || value > kMaxDurationMs) return std::nullopt;
    text.remove_prefix(static_cast<size_t>(end - text.data()));
    const size_t unit_size = std::min(text.find_first_of("0123456789"), text.size());
    const auto unit = unit_ms(text.substr(0, unit_size));
    if (!unit) return std::nullopt;
    total += value * *unit;
    text.remove_prefix(unit_size);
  }
  if (total > kMaxDurationMs) return std::nullopt;
  return total;
}

}  // namespace

void Errors::add(const Where& where, std::string_view text) {
  if (++count_ > kMax) return;
  const std::string_view path = where.path.empty() ? "file" : std::string_view(where.path);
  lines_.push_back(where.line > 0 ? fmt::format("{}: {} (line {})", path, text, where.line)
                                  : fmt::format("{}: {}", path, text));
}

Error Errors::to_error() const {
  std::string all = fmt::format("{}", fmt::join(lines_, "\n"));
  if (count_ > kMax) all += fmt::format("\nand {} more errors", count_ - kMax);
  return invalid(std::move(all));
}

bool Errors::spend() {
  if (++nodes_ == kMaxNodes) add({}, fmt::format("more than {} values", kMaxNodes));
  return nodes_ < kMaxNodes;
}

Item::Item(const YAML::Node& node, std::string path, Errors& errors)
    : node_(node), where_{std::move(path), 0}, errors_(&errors) {
  where_.line = node_.Mark().is_null() ? 0 : node_.Mark().line + 1;
}

std::optional<std::string> Item::text() const {
  auto value = text_or_empty();
  if (value && value->empty()) {
    fail("must not be empty");
    return std::nullopt;
  }
  return value;
}

std::optional<std::string> Item::text_or_empty() const {
  if (!errors_->spend()) return std::nullopt;
  if (!node_.IsScalar()) {
    fail("must be a text");
    return std::nullopt;
  }
  return node_.Scalar();
}

std::optional<uint64_t> Item::number(uint64_t min, uint64_t max) const {
  uint64_t value = 0;
  const std::string& digits = node_.IsScalar() ? node_.Scalar() : std::string();
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  const bool whole = error == std::errc{} && end == digits.data() + digits.size();
  if (!errors_->spend()) return std::nullopt;
  if (!whole || value < min || value > max) {
    fail(fmt::format("must be a number from {} to {}", min, max));
    return std::nullopt;
  }
  return value;
}

std::optional<uint16_t> Item::port() const {
  const auto value = number(1, 65535);
  return value ? std::optional(static_cast<uint16_t>(*value)) : std::nullopt;
}

std::optional<bool> Item::boolean() const {
  return choice<bool>({{"true", true}, {"false", false}});
}

std::optional<std::chrono::milliseconds> Item::duration() const {
  const auto value = text();
  if (!value) return std::nullopt;
  const auto ms = parse_duration_ms(*value);
  if (!ms) {
    fail(fmt::format("\"{}\" is not a duration such as 250ms, 3s or 1m30s, up to 24h", *value));
    return std::nullopt;
  }
  return std::chrono::milliseconds(*ms);
}

std::vector<Item> Item::list() const {
  std::vector<Item> out;
  if (!node_.IsSequence() || node_.size() == 0) {
    fail("must be a list with at least one element");
    return out;
  }
  if (node_.size() > kMaxList) {
    fail(fmt::format("has {} elements; at most {} are accepted", node_.size(), kMaxList));
    return out;
  }
  for (const YAML::Node& element : node_) {
    if (!errors_->spend()) break;
    out.emplace_back(element, fmt::format("{}[{}]", where_.path, out.size()), *errors_);
  }
  return out;
}

std::vector<std::string> Item::texts() const {
  std::vector<std::string> out;
  for (const Item& element : list()) {
    if (auto value = element.text()) out.push_back(std::move(*value));
  }
  return out;
}

Fields::Fields(const Item& item, std::initializer_list<std::string_view> known) : item_(item) {
  if (!item.node().IsMap()) {
    item.fail(fmt::format("must be a map with keys of: {}", fmt::join(known, ", ")));
    return;
  }
  for (const auto& entry : item.node()) {
    if (!item.errors().spend()) return;
    if (!entry.first.IsScalar()) {
      item.fail("has a key that is not a text");
      continue;
    }
    const std::string& key = entry.first.Scalar();
    const std::string path = item.where().path.empty() ? key : item.where().path + "." + key;
    const Item value(entry.second, path, item.errors());
    // The key's line: an absent value has none.
    const Where at{path, entry.first.Mark().line + 1};
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      item.errors().add(at, fmt::format("unknown key; known here: {}", fmt::join(known, ", ")));
    } else if (entry.second.IsNull()) {
      item.errors().add(at, "has no value");
    } else if (!values_.emplace(key, value).second) {
      item.errors().add(at, "appears twice");
    }
  }
}

std::optional<Item> Fields::get(std::string_view key) const {
  const auto at = values_.find(key);
  return at == values_.end() ? std::nullopt : std::optional(at->second);
}

std::optional<Item> Fields::require(std::string_view key) const {
  auto value = get(key);
  if (!value && item_.node().IsMap()) item_.fail(fmt::format("needs the key \"{}\"", key));
  return value;
}

void Fields::read(std::string_view key, std::string& out) const {
  const auto value = get(key);
  if (!value) return;
  if (auto text = value->text()) out = std::move(*text);
}

void Fields::read(std::string_view key, bool& out) const {
  const auto value = get(key);
  if (!value) return;
  if (const auto flag = value->boolean()) out = *flag;
}

void Fields::read(std::string_view key, uint32_t& out, uint64_t min, uint64_t max) const {
  const auto value = get(key);
  if (!value) return;
  if (const auto number = value->number(min, max)) out = static_cast<uint32_t>(*number);
}

void Fields::read(std::string_view key, std::chrono::milliseconds& out) const {
  const auto value = get(key);
  if (!value) return;
  if (const auto duration = value->duration()) out = *duration;
}

}  // namespace culvert::waypoint::config
