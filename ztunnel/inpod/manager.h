#pragma once

#include "common/base/result.h"
#include "common/base/unique_function.h"
#include "common/net/event.h"
#include "common/net/reactor.h"
#include "common/net/scope.h"
#include "ztunnel/inpod/backoff.h"
#include "ztunnel/inpod/state_manager.h"
#include "ztunnel/inpod/transport.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace culvert::ztunnel::inpod {

// In-pod (shared) mode: keeps a connection to the Istio CNI node agent and serves the pods that it
// names. Every request is answered exactly once, in order, within
// StateManager::Timing::start_limit. Running pods do not notice when the agent goes away. Control
// thread only.
//
// Two differences from Istio's ztunnel. After a request that breaks the protocol (Add without
// workload info, Keep or a second SnapshotSent after the snapshot) that one exits the process
// without draining its pods; here the request is refused and the connection made anew after a
// back-off, not ready meanwhile, while the running pods are served on. And a connection that dies
// at once is followed by a back-off instead of the next attempt within a millisecond.
class WorkloadManager {
 public:
  struct Options {
    std::string path = "/var/run/ztunnel/ztunnel.sock";
    StateManager::Timing timing{};
    // First delays; each doubles with every failure in a row.
    Duration connect_delay = std::chrono::milliseconds(20);
    Duration hello_delay = std::chrono::milliseconds(5);  // until ready again; +-20 %
    Duration reconnect_delay =
        std::chrono::milliseconds(10);  // a short connection, a protocol error
    Duration max_delay = std::chrono::seconds(15);
    // A connection that lived this long was no failure to connect.
    Duration stable_after = std::chrono::seconds(1);
    Duration send_limit = std::chrono::seconds(5);  // as the agent's own limit for a message
  };
  struct Callbacks {
    // Each change: true once the agent's snapshot is served completely, false when a pod is
    // pending, the agent is away or ztunnel drains. Not ready before the first call.
    std::function<void(bool ready)> ready;
    // Each change; for the workload_manager_* metrics.
    std::function<void(const StateManager::Counts&)> counts;
    // Uniform in [-1, 1].
    std::function<double()> jitter;
  };

  // `reactor` and `proxies` outlive it. Any of the callbacks may be empty.
  WorkloadManager(net::Reactor& reactor, PodProxies& proxies, Options options, Callbacks callbacks);
  // Without drain(): the connection is closed, the proxies stay as they are, readiness is not
  // touched.
  ~WorkloadManager();
  WorkloadManager(const WorkloadManager&) = delete;
  WorkloadManager& operator=(const WorkloadManager&) = delete;

  // Connects, and goes on until drain(). Called once, when the mesh state is complete: the agent
  // redirects a pod's traffic to us as soon as we accepted it.
  void start();
  // Stops reading at once (a request under way is still answered, then the socket closed) and stops
  // all proxies gracefully. `done` is posted to the reactor when nothing is left. Once only
  // (CHECK); start() need not have been called.
  void drain(UniqueFunction<void()> done);

  [[nodiscard]] bool ready() const { return ready_; }
  [[nodiscard]] StateManager::Counts counts() const { return state_.counts(); }
  [[nodiscard]] std::vector<StateManager::PodView> view() const { return state_.view(); }

 private:
  enum class End : uint8_t { kStopped, kClosed, kProtocolError };

  net::Task<> run();
  net::Task<std::unique_ptr<Transport>> connect();
  net::Task<bool> announce(Transport& transport);
  net::Task<End> serve(Transport& transport);
  net::Task<End> answer(Transport& transport, Request request);
  net::Task<End> reject(Transport& transport, Error error);
  net::Task<> pause(Duration delay);
  net::Task<> pause_after(End end, Time connected_at);

  Duration hello_delay();
  void changed();
  void update_ready();
  void finish();

  net::Reactor& reactor_;
  Options options_;
  Callbacks callbacks_;
  Backoff hello_backoff_, reconnect_backoff_;

  net::Event stop_, replied_;
  net::Timer timer_;
  StateManager state_;
  StateManager::Counts reported_;
  std::optional<Result<>> reply_;   // of the request under way
  Transport* transport_ = nullptr;  // the one being read, owned by run()
  bool connected_ = false, ready_ = false;
  bool stopping_ = false, loop_ended_ = true, state_drained_ = false;
  UniqueFunction<void()> drained_;
  net::Scope scope_;  // last: its tasks use the rest
};

}  // namespace culvert::ztunnel::inpod
