#pragma once

#include "common/net/event.h"
#include "common/net/task.h"
#include "common/state/snapshot.h"
#include "ztunnel/pod.h"

namespace culvert::ztunnel {

// The mesh as one worker sees it: the newest snapshot it was given. Worker thread.
class MeshView {
 public:
  explicit MeshView(net::Reactor& reactor)
      : current_(std::make_shared<state::Snapshot>()), changed_(reactor) {}

  void set(state::SnapshotPtr snapshot) {
    current_ = std::move(snapshot);
    changed_.wake_all();
  }
  [[nodiscard]] const state::SnapshotPtr& current() const { return current_; }

  // The workload of `pod`: at once when the mesh knows it, else as soon as it does. A pod may start
  // before the control plane tells us about it; Istio's ztunnel waits 5 s. nullptr at the deadline.
  net::Task<state::WorkloadPtr> wait_for(const PodInfo& pod, Time deadline) {
    for (;;) {
      if (auto found = current_->local_workload(pod.name, pod.namespace_, pod.service_account))
        co_return found;
      if (!co_await changed_.wait(deadline)) co_return nullptr;
    }
  }

 private:
  state::SnapshotPtr current_;
  net::Event changed_;
};

}  // namespace culvert::ztunnel
