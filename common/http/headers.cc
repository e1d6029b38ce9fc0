#include "common/http/headers.h"

#include "common/http/errors.h"

#include <functional>

namespace culvert::http {
namespace {

// Below this much garbage an arena is not worth moving.
constexpr size_t kCompactThreshold = 4096;
// Typical heads have about 20 fields in about 1 KiB; one allocation each instead of several
// doublings.
constexpr size_t kFirstArena = 1024;
constexpr size_t kFirstSlots = 24;

}  // namespace

bool Headers::owns(std::string_view text) const {
  // std::less gives a total order even for pointers into different objects.
  const std::less<const char*> less;
  return !text.empty() && !less(text.data(), arena_.data()) &&
         less(text.data(), arena_.data() + arena_.size());
}

Result<Headers::Slot> Headers::store(std::string_view name, std::string_view value) {
  if (name.size() + value.size() + 4 > limits_.max_bytes) return Error(Errc::kHeadersTooLarge);
  if (name.empty()) return Error(Errc::kInvalidHeaderName);
  if (!is_field_value(value)) return Error(Errc::kInvalidHeaderValue);
  if (arena_.size() > 2 * stored_ + kCompactThreshold) compact();

  const size_t begin = arena_.size();
  if (arena_.capacity() < kFirstArena) arena_.reserve(kFirstArena);
  arena_.resize(begin + name.size());
  bool has_original = false;
  for (size_t i = 0; i < name.size(); ++i) {
    const char lower = token_lower(name[i]);
    if (lower == 0) {
      arena_.resize(begin);
      return Error(Errc::kInvalidHeaderName);
    }
    has_original |= lower != name[i];
    arena_[begin + i] = lower;
  }
  if (has_original) arena_.append(name);
  arena_.append(value);

  const Slot slot{.begin = static_cast<uint32_t>(begin),
                  .name_size = static_cast<uint32_t>(name.size()),
                  .has_original = has_original ? 1U : 0U,
                  .value_size = static_cast<uint32_t>(value.size())};
  stored_ += slot.stored_size();
  bytes_ += slot.counted_size();
  return slot;
}

Result<> Headers::add(std::string_view name, std::string_view value) {
  value = trim_ows(value);
  if (slots_.size() >= limits_.max_fields) return Error(Errc::kTooManyHeaders);
  if (bytes_ + name.size() + value.size() + 4 > limits_.max_bytes)
    return Error(Errc::kHeadersTooLarge);
  if (owns(name) || owns(value)) {
    // The arena may move while we append to it.
    const std::string name_copy(name), value_copy(value);
    return add(name_copy, value_copy);
  }
  auto slot = store(name, value);
  if (!slot) return slot.error();
  if (slots_.capacity() == 0) slots_.reserve(kFirstSlots);
  slots_.push_back(*slot);
  return {};
}

Result<> Headers::set(std::string_view name, std::string_view value) {
  value = trim_ows(value);
  size_t first = 0;
  while (first < slots_.size() && !matches(slots_[first], name)) ++first;
  if (first == slots_.size()) return add(name, value);
  if (owns(name) || owns(value)) {
    const std::string name_copy(name), value_copy(value);
    return set(name_copy, value_copy);
  }
  // What the new value replaces does not count against the limit, so a full head can still be
  // edited.
  size_t replaced = 0;
  for (const Slot& slot : slots_) {
    if (matches(slot, name)) replaced += slot.counted_size();
  }
  if (bytes_ - replaced + name.size() + value.size() + 4 > limits_.max_bytes)
    return Error(Errc::kHeadersTooLarge);
  auto slot = store(name, value);
  if (!slot) return slot.error();

  bytes_ -= slots_[first].counted_size();
  stored_ -= slots_[first].stored_size();
  slots_[first] = *slot;
  // No two fields begin at the same place, so `begin` tells the new field from the old ones.
  std::erase_if(slots_, [&](const Slot& other) {
    if (other.begin == slot->begin || !matches(other, name)) return false;
    bytes_ -= other.counted_size();
    stored_ -= other.stored_size();
    return true;
  });
  return {};
}

size_t Headers::remove(std::string_view name) {
  return remove_if([name](const Field& field) { return iequals(field.name, name); });
}

std::optional<std::string_view> Headers::get(std::string_view name) const {
  for (const Slot& slot : slots_) {
    if (matches(slot, name)) return value_of(slot);
  }
  return std::nullopt;
}

std::vector<std::string_view> Headers::get_all(std::string_view name) const {
  std::vector<std::string_view> values;
  for_each(name, [&](std::string_view value) { values.push_back(value); });
  return values;
}

size_t Headers::count(std::string_view name) const {
  size_t found = 0;
  for_each(name, [&](std::string_view) { ++found; });
  return found;
}

std::string Headers::joined(std::string_view name) const {
  std::string text;
  bool first = true;
  for_each(name, [&](std::string_view value) {
    if (!first) text += ',';
    first = false;
    text += value;
  });
  return text;
}

bool Headers::has_token(std::string_view name, std::string_view token) const {
  bool found = false;
  for_each(name, [&](std::string_view value) {
    for_each_list_item(value, [&](std::string_view item) {
      found = found || iequals(item, token);
      return !found;
    });
  });
  return found;
}

void Headers::clear() {
  arena_.clear();
  slots_.clear();
  bytes_ = stored_ = 0;
}

void Headers::compact() {
  std::string packed;
  packed.reserve(stored_ + kFirstArena);
  for (Slot& slot : slots_) {
    const size_t begin = packed.size();
    packed.append(arena_, slot.begin, slot.stored_size());
    slot.begin = static_cast<uint32_t>(begin);
  }
  arena_ = std::move(packed);
}

}  // namespace culvert::http
