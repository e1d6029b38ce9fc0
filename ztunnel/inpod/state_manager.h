#pragma once

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/base/unique_function.h"
#include "common/net/netns.h"
#include "ztunnel/inpod/protocol.h"
#include "ztunnel/pod.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace culvert::ztunnel::inpod {

// Which pods of the node are served, as the node agent's requests say: starts and stops their
// proxies. No I/O and no clock of its own: the owner calls poll() when next_wakeup() has come.
// Control thread only. One bad pod does not hold up others: it stays pending and is tried again,
// while the other requests go on.
//
// A connection of the agent: begin_connection(); handle() for each request, in order. What runs
// outlives a connection; each connection begins with a snapshot that names every pod, and what it
// does not name is stopped.
class StateManager {
 public:
  struct Timing {
    // The agent waits 5 s for an answer and then takes a late one for that of its next request.
    Duration start_limit = std::chrono::seconds(4);
    Duration retry_interval = std::chrono::seconds(5);
  };
  // No node runs so many; more means that the agent went wrong.
  static constexpr size_t kMaxPods = 10'000;

  using Reply = UniqueFunction<void(Result<>)>;

  // `changed` is called after anything below may have changed: ready(), next_wakeup(), counts(),
  // view(); not from within the constructor. `proxies` may call back after this died; it is then
  // ignored.
  StateManager(PodProxies& proxies, std::function<Time()> now, std::function<void()> changed)
      : StateManager(proxies, std::move(now), std::move(changed), Timing{}) {}
  StateManager(PodProxies& proxies, std::function<Time()> now, std::function<void()> changed,
               Timing timing);
  StateManager(const StateManager&) = delete;
  StateManager& operator=(const StateManager&) = delete;

  // A new connection of the agent, which will send a snapshot. Unanswered requests of the last one
  // are forgotten, and so are pending pods: the agent names them again.
  void begin_connection();

  // `reply` comes once, at the latest start_limit from now, perhaps from within the call. Errors:
  //   Errc::kStartProxy     the pod is not served ("timed out": not yet). Its proxy is tried again
  //   every
  //                         retry_interval, unless its namespace could not even be looked at.
  //   Errc::kProcessMessage Add without workload info, Keep or SnapshotSent after the snapshot,
  //   more than kMaxPods.
  //
  // Add is idempotent: the same namespace (by inode and device) again changes nothing, whatever the
  // info says; another one replaces the proxy. Keep names a pod whose namespace the agent does not
  // know. Del always succeeds; before the snapshot a running proxy goes on until SnapshotSent finds
  // it unnamed.
  void handle(Request request, Reply reply);

  // The snapshot came, and no pod is pending.
  [[nodiscard]] bool ready() const { return snapshot_received_ && pending_.empty(); }

  // When poll() wants to be called next; kNever if nothing is due.
  [[nodiscard]] Time next_wakeup() const;
  void poll();

  // Stops everything gracefully; `done` comes when nothing is left, pods removed earlier included.
  // No requests are accepted afterwards; an Add under way is still answered. Once only (CHECK).
  // `done` may come from within any call, so it must not destroy this.
  void drain(UniqueFunction<void()> done);

  struct Counts {
    int64_t active = 0, pending = 0;    // now
    uint64_t started = 0, stopped = 0;  // ever
    bool operator==(const Counts&) const = default;
  };
  [[nodiscard]] Counts counts() const;

  // For /config_dump, sorted by uid: what is wanted or still drains with the process, never what
  // was removed.
  enum class PodState : uint8_t { kPending, kUp };
  struct PodView {
    std::string uid;
    PodState state = PodState::kPending;
    PodInfo info;
    bool operator==(const PodView&) const = default;
  };
  [[nodiscard]] std::vector<PodView> view() const;

 private:
  struct Pod {
    PodInfo info;
    net::NetnsPtr netns;  // held while the pod is known: keeps the id from being reused
  };
  // A start that PodProxies has not finished; at most one per uid, so that a stop never meets a
  // start.
  struct Start {
    Pod pod;
    bool wanted = true;       // else stopped as soon as it is up
    std::optional<Pod> next;  // then started
    Reply reply;              // empty: nobody waits
    Time deadline = kNever;   // of the reply
  };
  struct Failed {
    Pod pod;
    std::string error;
  };

  void add(Add request, Reply reply);
  Result<> keep(const Keep& request);
  void del(const Del& request);
  Result<> finish_snapshot();

  [[nodiscard]] bool has_room_for(const std::string& uid) const;
  void take_over(Start& start, const std::string& uid, Pod pod, Reply reply);
  void launch(const std::string& uid, Pod pod, Reply reply, Time deadline);
  void on_started(const std::string& uid, const Result<>& result);
  void abandon(Start& start);
  void fail(const std::string& uid, const Pod& pod, const Error& error);
  void stop(const std::string& uid);             // immediately; it is running
  void stop_gracefully(const std::string& uid);  // stays visible until it is gone
  void schedule_retry();
  void time_out(Time now, std::vector<Reply>& replies);
  void retry(Time now);
  void finish_drain();

  PodProxies& proxies_;
  std::function<Time()> now_;
  std::function<void()> changed_;
  Timing timing_;

  std::map<std::string, Pod> running_;
  std::map<std::string, Start> starting_;
  std::map<std::string, Failed> pending_;
  std::set<std::string> snapshot_names_;
  bool snapshot_received_ = false;
  Time retry_at_ = kNever;

  size_t stopping_ = 0;  // in the background
  uint64_t started_ = 0, stopped_ = 0;
  bool draining_ = false;
  UniqueFunction<void()> drained_;
  std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
};

}  // namespace culvert::ztunnel::inpod
