#pragma once

#include "common/net/event.h"
#include "waypoint/model/model_upstream.h"

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

// What one worker has under way to upstreams and their endpoints, counted by tokens: whoever holds
// one is counted, and its destruction, for whatever reason, ends that. For waypoint/upstream only.
namespace culvert::waypoint {

struct PoolGroup;

// One endpoint of one upstream, by its address.
struct HostUsage {
  HostUsage();
  ~HostUsage();
  HostUsage(const HostUsage&) = delete;
  HostUsage& operator=(const HostUsage&) = delete;

  uint32_t running = 0;  // requests and raw streams, from open() to their end
  bool listed = false;   // by `list` of its upstream
  // HTTP connections; more than one group only while the endpoint changes its identity, tunnel or
  // protocol.
  std::vector<std::unique_ptr<PoolGroup>> groups;
};

// One upstream, by its name; survives new models.
struct UpstreamUsage {
  UpstreamUsage(std::string upstream, net::Reactor& reactor);
  UpstreamUsage(const UpstreamUsage&) = delete;
  UpstreamUsage& operator=(const UpstreamUsage&) = delete;

  // `upstream` is what requests now come with: its limits apply, and its endpoints are looked up
  // once, so that active() costs no look-ups.
  void follow(const UpstreamPtr& upstream);
  HostUsage& host(const net::SocketAddress& address);
  [[nodiscard]] std::vector<uint32_t> active(const Upstream& upstream) const;
  // Forgets endpoints that nothing needs. Nothing may hold references to them.
  void tidy();
  // Nothing runs, waits or is kept open.
  [[nodiscard]] bool unused() const { return running == 0 && connections == 0; }

  const std::string name;
  UpstreamLimits limits;
  uint32_t running = 0;      // requests and raw streams
  uint32_t requests = 0;     // of these, HTTP requests
  uint32_t pending = 0;      // HTTP requests without a connection yet
  uint32_t connections = 0;  // open ones, and those being opened
  net::Event changed;        // something ended: whoever waits looks again

 private:
  UpstreamPtr followed_;                // kept, so that no other upstream can have its address
  std::vector<const HostUsage*> list_;  // of its endpoints, index by index
  std::unordered_map<net::SocketAddress, HostUsage> hosts_;  // last: connections count themselves
};

// A request or raw stream from open() to its end.
class RunningToken {
 public:
  enum class Kind : uint8_t { kHttp, kRaw };
  RunningToken(UpstreamUsage& upstream, HostUsage& host, Kind kind);
  ~RunningToken();
  RunningToken(const RunningToken&) = delete;
  RunningToken& operator=(const RunningToken&) = delete;

 private:
  UpstreamUsage& upstream_;
  HostUsage& host_;
  Kind kind_;
};

// A place among the connections of an upstream.
class ConnectionToken {
 public:
  explicit ConnectionToken(UpstreamUsage& upstream) : upstream_(upstream) {
    ++upstream_.connections;
  }
  ~ConnectionToken() {
    --upstream_.connections;
    upstream_.changed.wake_all();
  }
  ConnectionToken(const ConnectionToken&) = delete;
  ConnectionToken& operator=(const ConnectionToken&) = delete;

 private:
  UpstreamUsage& upstream_;
};

// A place among the requests that wait for a connection.
class PendingToken {
 public:
  explicit PendingToken(UpstreamUsage& upstream) : upstream_(upstream) { ++upstream_.pending; }
  ~PendingToken() { --upstream_.pending; }
  PendingToken(const PendingToken&) = delete;
  PendingToken& operator=(const PendingToken&) = delete;

 private:
  UpstreamUsage& upstream_;
};

}  // namespace culvert::waypoint
