#pragma once

#include "waypoint/upstream/upstreams.h"
#include "waypoint/worker.h"

#include <memory>
#include <vector>

namespace culvert::waypoint {

// Connections to endpoints, for requests and for raw TCP, pooled per worker. Tunnels (Tunnels) are
// shared by everything that goes to one node address as one identity; within them HTTP/1.1
// connections are kept alive and reused one request at a time, HTTP/2 connections carry many
// (HttpPool). Worker thread.
class Connector final : public Upstreams {
 public:
  explicit Connector(Worker& worker);
  ~Connector() override;
  Connector(const Connector&) = delete;
  Connector& operator=(const Connector&) = delete;

  net::Task<Result<Exchange>> open(UpstreamPtr upstream, const Endpoint& endpoint, bool http2,
                                   Time deadline) override;
  net::Task<Result<Raw>> open_raw(UpstreamPtr upstream, const Endpoint& endpoint,
                                  Time deadline) override;
  [[nodiscard]] std::vector<uint32_t> active(const Upstream& upstream) const override;

  // For shutdown, when nobody asks any more: idle connections close now, the others after their
  // last exchange. Returns once the tunnels are closed and what was said last has arrived, or at
  // `deadline`, after 10 s at most.
  net::Task<> drain(Time deadline);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace culvert::waypoint
