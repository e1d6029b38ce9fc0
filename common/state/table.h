#pragma once

#include "common/base/check.h"

#include <algorithm>
#include <array>
#include <bitset>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

// A hash table whose copies share their memory, for snapshots that follow each other with few
// changes.
//
// Entries live in shards, each a vector sorted by hash. A Table is an immutable view; a TableEditor
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

template <class Entry>
struct Slot {
  size_t hash;
  Entry entry;
};
template <class Entry>
using Shard = std::vector<Slot<Entry>>;
template <class Entry>
using Directory = std::array<std::shared_ptr<Shard<Entry>>, kShards>;

// Position of the entry in its shard, or the shard's size when there is none.
template <class Entry, class Key>
size_t position(const Shard<Entry>& shard, size_t hash, const Key& key) {
  auto it =
      std::lower_bound(shard.begin(), shard.end(), hash,
                       [](const Slot<Entry>& slot, size_t wanted) { return slot.hash < wanted; });
  for (; it != shard.end() && it->hash == hash; ++it) {
    if (key.matches(it->entry)) return static_cast<size_t>(it - shard.begin());
  }
  return shard.size();
}

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
    const size_t at = detail::position(*shard, hash, key);
    return at < shard->size() ? &(*shard)[at].entry : nullptr;
  }

  // In an order that depends on the hashes only.
  template <class Visit>
  void for_each(Visit&& visit) const {
    if (!directory_) return;
    for (const auto& shard : *directory_) {
      if (!shard) continue;
      for (const auto& slot : *shard) visit(slot.entry);
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
    return Table<Entry>(directory_).find(key);
  }

  // The entry to change, or nullptr. What a key looks at must stay the same.
  template <class Key>
  [[nodiscard]] Entry* edit(const Key& key) {
    const size_t hash = key.hash();
    const size_t at = locate(key, hash);
    return at == kAbsent ? nullptr : &writable(hash)[at].entry;
  }

  // The key must not be there.
  template <class Key>
  Entry& insert(const Key& key, Entry entry) {
    const size_t hash = key.hash();
    auto& shard = writable(hash);
    const auto it =
        std::upper_bound(shard.begin(), shard.end(), hash,
                         [](size_t wanted, const auto& slot) { return wanted < slot.hash; });
    return shard.insert(it, detail::Slot<Entry>{hash, std::move(entry)})->entry;
  }

  template <class Key>
  void erase(const Key& key) {
    const size_t hash = key.hash();
    const size_t at = locate(key, hash);
    if (at == kAbsent) return;
    auto& shard = writable(hash);
    shard.erase(shard.begin() + static_cast<std::ptrdiff_t>(at));
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
    const size_t at = detail::position(*shard, hash, key);
    return at < shard->size() ? at : kAbsent;
  }

  detail::Shard<Entry>& writable(size_t hash) {
    if (!directory_ || directory_is_shared_) {
      directory_ = directory_ ? std::make_shared<detail::Directory<Entry>>(*directory_)
                              : std::make_shared<detail::Directory<Entry>>();
      directory_is_shared_ = false;
    }
    const size_t index = detail::shard_of(hash);
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
