#pragma once

#include "common/base/check.h"

#include <algorithm>
#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

// A hash table whose copies share their memory, for snapshots that follow each other with few
// changes.
//
// Entries live in shards, each sorted by hash. A Table is an immutable view; a TableEditor
// changes entries, and before it writes to a shard that a Table may see, it copies that shard (once
// until the next freeze()). So a freeze costs nothing, and a batch of changes costs what the shards
// it touched weigh.
//
// A Key says where an entry is: `size_t hash() const` (all bits good) and `bool matches(const
// Entry&) const`.
namespace culvert::state {

namespace detail {

inline constexpr size_t kShardBits = 10;
inline constexpr size_t kShards = size_t{1} << kShardBits;
inline size_t shard_of(size_t hash) { return hash >> (64 - kShardBits); }

// Entries ascend by their tags, which are the bits of the hash that follow those of the shard: a
// look-up reads the tags and then, but for one in some hundred, a single entry.
template <class Entry>
struct Shard {
  using Tag = uint16_t;
  std::vector<Tag> tags;
  std::vector<Entry> entries;

  static Tag tag_of(size_t hash) { return static_cast<Tag>(hash >> (64 - kShardBits - 16)); }

  // Position of the entry, or their number when there is none.
  template <class Key>
  [[nodiscard]] size_t position(size_t hash, const Key& key) const {
    const Tag tag = tag_of(hash);
    auto at = static_cast<size_t>(std::lower_bound(tags.begin(), tags.end(), tag) - tags.begin());
    for (; at < tags.size() && tags[at] == tag; ++at) {
      if (key.matches(entries[at])) return at;
    }
    return tags.size();
  }
  Entry& insert(size_t hash, Entry entry) {
    if (tags.size() == tags.capacity()) grow();
    const Tag tag = tag_of(hash);
    const auto at = std::upper_bound(tags.begin(), tags.end(), tag) - tags.begin();
    tags.insert(tags.begin() + at, tag);
    return *entries.insert(entries.begin() + at, std::move(entry));
  }
  void erase(size_t at) {
    tags.erase(tags.begin() + static_cast<std::ptrdiff_t>(at));
    entries.erase(entries.begin() + static_cast<std::ptrdiff_t>(at));
  }

 private:
  // By an eighth: doubling would leave a quarter of all memory unused.
  void grow() {
    const size_t wanted = tags.size() + tags.size() / 8 + 4;
    tags.reserve(wanted);
    entries.reserve(wanted);
  }
};
template <class Entry>
using Directory = std::array<std::shared_ptr<Shard<Entry>>, kShards>;

}  // namespace detail

// Any thread; copying is copying a pointer.
template <class Entry>
class Table {
 public:
  Table() = default;

  template <class Key>
  [[nodiscard]] const Entry* find(const Key& key) const {
    if (!directory_) return nullptr;
    const size_t hash = key.hash();
    const auto& shard = (*directory_)[detail::shard_of(hash)];
    if (!shard) return nullptr;
    const size_t at = shard->position(hash, key);
    return at < shard->entries.size() ? &shard->entries[at] : nullptr;
  }

  // In an order that depends on the hashes only.
  template <class Visit>
  void for_each(Visit&& visit) const {
    if (!directory_) return;
    for (const auto& shard : *directory_) {
      if (!shard) continue;
      for (const auto& entry : shard->entries) visit(entry);
    }
  }

 private:
  template <class>
  friend class TableEditor;
  explicit Table(std::shared_ptr<const detail::Directory<Entry>> directory)
      : directory_(std::move(directory)) {}
  std::shared_ptr<const detail::Directory<Entry>> directory_;
};

// One thread. Pointers it gives are valid until its next non-const call.
template <class Entry>
class TableEditor {
 public:
  template <class Key>
  [[nodiscard]] const Entry* find(const Key& key) const {
    const size_t hash = key.hash();
    const size_t at = locate(key, hash);
    return at == kAbsent ? nullptr : &(*directory_)[detail::shard_of(hash)]->entries[at];
  }

  // The entry to change, or nullptr. What a key looks at must stay the same.
  template <class Key>
  [[nodiscard]] Entry* edit(const Key& key) {
    const size_t hash = key.hash();
    const size_t at = locate(key, hash);
    return at == kAbsent ? nullptr : &writable(hash).entries[at];
  }

  // The key must not be there.
  template <class Key>
  Entry& insert(const Key& key, Entry entry) {
    const size_t hash = key.hash();
    return writable(hash).insert(hash, std::move(entry));
  }

  template <class Key>
  void erase(const Key& key) {
    const size_t hash = key.hash();
    const size_t at = locate(key, hash);
    if (at == kAbsent) return;
    writable(hash).erase(at);
  }

  // Erases every entry for which `unwanted(entry)` is true.
  template <class Predicate>
  void erase_if(Predicate&& unwanted) {
    for (size_t index = 0; directory_ && index < detail::kShards; ++index) {
      for (size_t at = 0; (*directory_)[index] && at < (*directory_)[index]->entries.size();) {
        if (unwanted((*directory_)[index]->entries[at])) {
          writable_shard(index).erase(at);
        } else {
          ++at;
        }
      }
    }
  }

  // The contents of this moment; later changes do not show in it.
  Table<Entry> freeze() {
    directory_is_shared_ = true;
    writable_.reset();
    return Table<Entry>(directory_);
  }

 private:
  static constexpr size_t kAbsent = SIZE_MAX;

  template <class Key>
  size_t locate(const Key& key, size_t hash) const {
    if (!directory_) return kAbsent;
    const auto& shard = (*directory_)[detail::shard_of(hash)];
    if (!shard) return kAbsent;
    const size_t at = shard->position(hash, key);
    return at < shard->entries.size() ? at : kAbsent;
  }

  detail::Shard<Entry>& writable(size_t hash) { return writable_shard(detail::shard_of(hash)); }

  detail::Shard<Entry>& writable_shard(size_t index) {
    if (!directory_ || directory_is_shared_) {
      directory_ = directory_ ? std::make_shared<detail::Directory<Entry>>(*directory_)
                              : std::make_shared<detail::Directory<Entry>>();
      directory_is_shared_ = false;
    }
    auto& shard = (*directory_)[index];
    if (!shard || !writable_[index]) {
      shard = shard ? std::make_shared<detail::Shard<Entry>>(*shard)
                    : std::make_shared<detail::Shard<Entry>>();
      writable_[index] = true;
    }
    return *shard;
  }

  std::shared_ptr<detail::Directory<Entry>> directory_;
  bool directory_is_shared_ = false;
  std::bitset<detail::kShards> writable_;  // shards made since the last freeze: no Table sees them
};

}  // namespace culvert::state
