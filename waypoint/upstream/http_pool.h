#pragma once

#include "common/net/event.h"
#include "common/net/task.h"
#include "waypoint/upstream/pool_group.h"
#include "waypoint/upstream/upstreams.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace culvert::waypoint {

// The HTTP connections of one worker to all endpoints, and the limits of upstreams. HTTP/1.1
// connections carry one exchange after the other, the last used first; HTTP/2 connections many.
// Connections belong to an upstream and an endpoint with all that says how it is reached (address,
// tunnel, node, identity, protocol). Worker thread; outlives the exchanges it gives.
//
// Limits are exact and per worker, as everywhere in Culvert; those of Istio that are per Envoy
// count over its threads. `max_pending_requests` counts, as in Envoy, every request that has no
// connection yet, also while one is being opened for it.
class HttpPool {
 public:
  // Idle connections kept per worker; beyond, the longest unused one is closed.
  static constexpr size_t kMaxIdle = 1024;
  // How soon an idle connection that the other side has closed is noticed at the latest.
  static constexpr std::chrono::seconds kSweepInterval{5};

  struct Dialled {
    std::unique_ptr<HttpConnection> connection;
    std::string local_address;
  };
  // Makes a connection to an endpoint, which outlives the call.
  using Dial =
      std::function<net::Task<Result<Dialled>>(const Endpoint&, bool http2, Time deadline)>;

  HttpPool(net::Reactor& reactor, Dial dial);
  ~HttpPool();
  HttpPool(const HttpPool&) = delete;
  HttpPool& operator=(const HttpPool&) = delete;

  // As Upstreams says.
  net::Task<Result<Upstreams::Exchange>> open(UpstreamPtr upstream, const Endpoint& endpoint,
                                              bool http2, Time deadline);
  [[nodiscard]] std::vector<uint32_t> active(const Upstream& upstream) const;

  // A place for a raw stream to `endpoint`: counted as running and as a connection while it lives.
  // At the limit of connections an idle HTTP connection makes way; without one: kOverflow.
  class RawPlace {
   public:
    RawPlace(UpstreamUsage& upstream, HostUsage& host)
        : running_(upstream, host, RunningToken::Kind::kRaw), connection_(upstream) {}

   private:
    RunningToken running_;
    ConnectionToken connection_;
  };
  Result<std::unique_ptr<RawPlace>> admit_raw(const UpstreamPtr& upstream,
                                              const Endpoint& endpoint);

  // Nothing is kept for later any more: idle connections close now, the others after their last
  // exchange. Requests that are in progress are served to their end, on new connections if they
  // need them.
  void drain();

  // For tests and statistics.
  [[nodiscard]] size_t idle() const { return idle_count_; }
  [[nodiscard]] size_t upstreams() const { return upstreams_.size(); }

 private:
  class Lease;
  class PooledExchange;

  UpstreamUsage& usage(const UpstreamPtr& upstream);
  PoolGroup& group(UpstreamUsage& upstream, HostUsage& host, const Endpoint& endpoint, bool http2);
  PooledConnection* at_hand(PoolGroup& group);
  bool make_room(UpstreamUsage& upstream);
  net::Task<Result<PooledConnection*>> acquire(PoolGroup& group, const Endpoint& endpoint,
                                               Time deadline);
  net::Task<Result<PooledConnection*>> dial(PoolGroup& group, const Endpoint& endpoint,
                                            Time deadline);
  void take(PooledConnection& connection);
  void release(PooledConnection& connection);
  void keep_idle(PooledConnection& connection);
  void close(PooledConnection& connection);
  void sweep();

  net::Reactor& reactor_;
  Dial dial_;
  bool draining_ = false;
  size_t idle_count_ = 0;
  IdleList idle_;  // the longest unused first
  net::Timer sweep_timer_;
  std::unordered_map<std::string, std::unique_ptr<UpstreamUsage>> upstreams_;  // last
};

}  // namespace culvert::waypoint
