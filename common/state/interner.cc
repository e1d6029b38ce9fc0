#include "common/state/interner.h"

#include "common/state/hash.h"

#include <functional>
#include <utility>

namespace culvert::state {
namespace {

struct ProfileKey {
  explicit ProfileKey(const ProfileParts& from) : parts(from), hash_(from.hash()) {}
  [[nodiscard]] size_t hash() const { return hash_; }
  [[nodiscard]] bool matches(const ProfilePtr& profile) const {
    return profile->hash() == hash_ && profile->is(parts);
  }
  const ProfileParts& parts;
  const size_t hash_;
};

struct PlacementKey {
  const Placement::Texts& texts;
  [[nodiscard]] size_t hash() const { return Placement::hash_of(texts); }
  [[nodiscard]] bool matches(const PlacementPtr& placement) const { return placement->is(texts); }
};

template <class Pointer>
bool is_unused(const Pointer& shared) {
  // Nobody can take a reference meanwhile: only the Interner, on this thread, gives any.
  return shared->use_count() == 1;
}

}  // namespace

ProfilePtr Interner::profile(const ProfileParts& parts) {
  const ProfileKey key(parts);
  if (const ProfilePtr* known = profiles_.find(key)) return *known;
  ++size_;
  return profiles_.insert(key, ProfilePtr(new WorkloadProfile(parts, key.hash())));
}

PlacementPtr Interner::placement(const Placement::Texts& texts) {
  const PlacementKey key{texts};
  if (const PlacementPtr* known = placements_.find(key)) return *known;
  ++size_;
  return placements_.insert(key, PlacementPtr(new Placement(texts)));
}

WorkloadPtr Interner::make(const ProfileParts& parts, const Placement::Texts& texts) {
  return Workload::make(parts, profile(parts), placement(texts));
}

void Interner::sweep() {
  constexpr size_t kFew = 64;
  if (let_go_ < size_ / 2 + kFew) return;
  let_go_ = 0;
  const auto unused = [this](const auto& shared) {
    if (!is_unused(shared)) return false;
    --size_;
    return true;
  };
  profiles_.erase_if(unused);
  placements_.erase_if(unused);
}

}  // namespace culvert::state
