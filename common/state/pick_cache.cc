#include "common/state/pick_cache.h"

#include <algorithm>
#include <utility>

namespace culvert::state {

uint32_t Candidates::at(uint64_t value) const {
  if (each != 0) return endpoints[value / each];
  const auto found = std::upper_bound(running_totals.begin(), running_totals.end(), value);
  return endpoints[static_cast<size_t>(found - running_totals.begin())];
}

PickCache::~PickCache() {
  for (const Node* node = first_.load(std::memory_order_acquire); node != nullptr;) {
    const std::unique_ptr<const Node> owned(node);
    node = node->next;
  }
}

const Candidates* PickCache::find(const Candidates::Key& key) const {
  for (const Node* node = first_.load(std::memory_order_acquire); node != nullptr;
       node = node->next) {
    const Candidates::Key& known = node->candidates->key;
    if (known.need == key.need && known.port == key.port &&
        (known.source == nullptr || known.source == key.source)) {
      return node->candidates.get();
    }
  }
  return nullptr;
}

const Candidates* PickCache::add(std::unique_ptr<Candidates>& candidates) const {
  const Node* first = first_.load(std::memory_order_acquire);
  if (first != nullptr && first->count >= kMaxKinds) return candidates.get();
  auto node = std::make_unique<Node>();
  node->candidates = std::move(candidates);
  const Candidates* kept = node->candidates.get();
  // Two workers may find out the same at once: harmless, the second entry is never reached.
  do {
    node->next = first;
    node->count = first == nullptr ? 1 : first->count + 1;
  } while (!first_.compare_exchange_weak(first, node.get(), std::memory_order_acq_rel));
  node.release();  // NOLINT(bugprone-unused-return-value): owned by the list
  return kept;
}

}  // namespace culvert::state
