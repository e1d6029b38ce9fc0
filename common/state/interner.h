#pragma once

#include "common/state/table.h"
#include "common/state/workload.h"

#include <cstddef>

namespace culvert::state {

// Makes the workloads of a Store, so that they share what they have in common. Control thread only;
// private to common/state.
//
// Profiles and placements are counted: a workload keeps its own, this keeps those it may give
// again. What no workload uses any more is dropped once that many workloads were let go that
// looking for it costs little per workload.
class Interner {
 public:
  [[nodiscard]] WorkloadPtr make(const ProfileParts& parts, const Placement::Texts& placement);
  // A workload made here is no longer in the Store.
  void let_go() { ++let_go_; }
  // Drops what is unused, if it is time.
  void sweep();

 private:
  ProfilePtr profile(const ProfileParts& parts);
  PlacementPtr placement(const Placement::Texts& texts);

  TableEditor<ProfilePtr> profiles_;
  TableEditor<PlacementPtr> placements_;
  size_t size_ = 0;    // profiles and placements kept, used or not
  size_t let_go_ = 0;  // since the last sweep
};

}  // namespace culvert::state
