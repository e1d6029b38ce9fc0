#pragma once

#include "common/state/workload_profile.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace culvert::state {

// Which endpoints of one version of a service may be chosen for one kind of connection, prepared so
// that choosing costs O(log n).
struct Candidates {
  struct Key {
    // What an endpoint needs to have the port that was asked for.
    enum class Need : uint8_t {
      kNothing,  // the service maps it
      kOwnPort,  // its own mapping of `port`
      kTunnel    // an application tunnel
    };
    Need need = Need::kNothing;
    uint16_t port = 0;    // for kOwnPort
    PlacementPtr source;  // of the client; null: whoever asks
    bool operator==(const Key&) const = default;
  };
  Key key;
  std::vector<uint32_t> endpoints;  // their positions
  // The weight of all. Those of the endpoints are `each`; or they differ, and running_totals[i] is
  // that of the first i + 1.
  uint64_t total = 0;
  uint64_t each = 0;
  std::vector<uint64_t> running_totals;

  // The endpoint that `value`, less than `total`, stands for.
  [[nodiscard]] uint32_t at(uint64_t value) const;
};

// The Candidates of one service version, found out when a connection first asks and kept for the
// next. Any thread, without locks.
class PickCache {
 public:
  // Kinds of connections kept apart. Clients of one node have one placement, so what makes kinds
  // are ports whose target differs between endpoints.
  static constexpr size_t kMaxKinds = 32;

  PickCache() = default;
  PickCache(const PickCache&) = delete;
  PickCache& operator=(const PickCache&) = delete;
  ~PickCache();

  // nullptr: not known yet. `key.source` is the client's.
  [[nodiscard]] const Candidates* find(const Candidates::Key& key) const;
  // Keeps them, unless there are too many already. Const, as what a service says does not change.
  const Candidates* add(std::unique_ptr<Candidates>& candidates) const;

 private:
  struct Node {
    std::unique_ptr<const Candidates> candidates;
    const Node* next = nullptr;
    size_t count = 1;  // of this and all after it
  };
  mutable std::atomic<const Node*> first_{nullptr};
};

}  // namespace culvert::state
