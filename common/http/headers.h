#pragma once

#include "common/base/result.h"
#include "common/http/chars.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace culvert::http {

// Bounds what one head may hold, including what we add ourselves; the limits on what a peer may
// send are the codecs' and lower. `max_bytes` counts names, values and 4 bytes (": " and CRLF) for
// each field.
struct HeaderLimits {
  uint32_t max_bytes = 256 * 1024;
  uint32_t max_fields = 256;
};

// The header (or trailer) fields of one message: a multi-map that keeps the order in which fields
// were added (RFC 9110 section 5.3: the order of equal names carries meaning).
//
// Every field in here is valid: add() and set() check name and value, so that no serialiser can be
// made to write a second header line or a second message. Names are kept in lower case, as HTTP/2
// wants them; the spelling of the sender is kept beside for those who must preserve it. All bytes
// live in one string: a head costs two allocations, or none when the object is cleared and used
// again.
//
// Views handed out are valid until the next non-const call. Names given to any function compare
// without regard to case. Not thread-safe.
class Headers {
 public:
  struct Field {
    std::string_view name;  // lower case
    std::string_view value;
    std::string_view original_name;  // as it was added
  };

  Headers() = default;
  explicit Headers(HeaderLimits limits) : limits_(limits) {}

  // Appends a field. White space around the value is dropped (RFC 9110 section 5.5). Errors are
  // http::Errc and leave the object as it was. The arguments may be views into this object.
  Result<> add(std::string_view name, std::string_view value);
  // Afterwards `value` is the only value of `name`, in the place of the first one, else at the end.
  Result<> set(std::string_view name, std::string_view value);
  // How many fields were removed.
  size_t remove(std::string_view name);
  template <class Predicate>
  size_t remove_if(Predicate predicate);

  // The first value of that name.
  [[nodiscard]] std::optional<std::string_view> get(std::string_view name) const;
  [[nodiscard]] std::vector<std::string_view> get_all(std::string_view name) const;
  [[nodiscard]] bool contains(std::string_view name) const { return get(name).has_value(); }
  [[nodiscard]] size_t count(std::string_view name) const;
  // All values of that name joined with "," (RFC 9110 section 5.3; Istio's policies match "a,b"). A
  // policy that denies must look at the single values too: a joined value equals none of them.
  [[nodiscard]] std::string joined(std::string_view name) const;
  // Whether a comma-separated list of tokens, over all fields of that name, has `token`.
  [[nodiscard]] bool has_token(std::string_view name, std::string_view token) const;

  // visit(const Field&), in order.
  template <class Visit>
  void for_each(Visit visit) const;
  // visit(std::string_view value), in order.
  template <class Visit>
  void for_each(std::string_view name, Visit visit) const;

  [[nodiscard]] size_t size() const { return slots_.size(); }
  [[nodiscard]] bool empty() const { return slots_.empty(); }
  [[nodiscard]] size_t byte_size() const { return bytes_; }
  [[nodiscard]] Field operator[](size_t index) const { return field(slots_[index]); }
  // Keeps the memory.
  void clear();

 private:
  // Offsets, because the arena moves when it grows. In the arena a field is: lower-case name, the
  // original name if it differs, value.
  struct Slot {
    uint32_t begin;
    uint32_t name_size : 31;
    uint32_t has_original : 1;
    uint32_t value_size;
    [[nodiscard]] size_t stored_size() const {
      return size_t{name_size} * (1 + has_original) + value_size;
    }
    [[nodiscard]] size_t counted_size() const { return size_t{name_size} + value_size + 4; }
  };

  [[nodiscard]] std::string_view name_of(const Slot& slot) const {
    return {arena_.data() + slot.begin, slot.name_size};
  }
  [[nodiscard]] std::string_view value_of(const Slot& slot) const {
    return {arena_.data() + slot.begin + slot.name_size * (1 + slot.has_original), slot.value_size};
  }
  [[nodiscard]] Field field(const Slot& slot) const {
    const size_t original = slot.begin + size_t{slot.name_size} * slot.has_original;
    return {name_of(slot), value_of(slot), {arena_.data() + original, slot.name_size}};
  }
  [[nodiscard]] bool matches(const Slot& slot, std::string_view name) const {
    return slot.name_size == name.size() && iequals(name_of(slot), name);
  }
  [[nodiscard]] bool owns(std::string_view text) const;
  Result<Slot> store(std::string_view name, std::string_view value);
  void compact();

  std::string arena_;
  std::vector<Slot> slots_;
  size_t bytes_ = 0;   // what byte_size() reports
  size_t stored_ = 0;  // bytes of the arena that are in use
  HeaderLimits limits_;
};

// Calls visit(item) for each element of a comma-separated list (RFC 9110 section 5.6.1), trimmed,
// until it returns false. Empty elements are visited too: who must be strict can see them. Not for
// lists whose elements may be quoted strings.
template <class Visit>
void for_each_list_item(std::string_view list, Visit visit) {
  while (true) {
    const size_t comma = list.find(',');
    if (!visit(trim_ows(list.substr(0, comma)))) return;
    if (comma == std::string_view::npos) return;
    list.remove_prefix(comma + 1);
  }
}

template <class Predicate>
size_t Headers::remove_if(Predicate predicate) {
  return std::erase_if(slots_, [&](const Slot& slot) {
    if (!predicate(field(slot))) return false;
    bytes_ -= slot.counted_size();
    stored_ -= slot.stored_size();
    return true;
  });
}

template <class Visit>
void Headers::for_each(Visit visit) const {
  for (const Slot& slot : slots_) visit(field(slot));
}

template <class Visit>
void Headers::for_each(std::string_view name, Visit visit) const {
  for (const Slot& slot : slots_) {
    if (matches(slot, name)) visit(value_of(slot));
  }
}

}  // namespace culvert::http
