#pragma once

#include "common/h2/connection.h"
#include "common/hbone/stream.h"
#include "common/net/scope.h"
#include "common/net/socket.h"
#include "common/tls/engine.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace culvert::hbone {

// What a tunnel is good for: connections of one source identity from one client address to one
// destination that may prove one of a list of identities. Two users share a tunnel only if all of
// it is equal.
struct TunnelKey {
  state::Identity source;
  std::vector<state::Identity> destination;  // acceptable, in order
  net::SocketAddress address;                // to dial
  net::IpAddress client;                     // the workload that asks
  bool operator==(const TunnelKey&) const = default;
};
struct TunnelKeyHash {
  size_t operator()(const TunnelKey& key) const noexcept;
};

struct PoolOptions {
  uint32_t max_streams = 100;  // per tunnel, or what the peer allows if that is less
  // Since the last stream began; 0: a tunnel is hardly ever used twice.
  std::chrono::milliseconds unused_timeout = std::chrono::minutes(5);
  size_t max_idle = 500;  // tunnels without streams kept; the longest unused goes first
  std::chrono::milliseconds handshake_timeout = std::chrono::seconds(10);
  h2::TunnelSettings settings;
  h2::Keepalive keepalive;
};

// Outgoing tunnels of one worker, shared by all connections of their owner: one pod of the
// ztunnel's, or the whole waypoint.
//
// One tunnel is opened at a time per key, however many ask: the others wait for it, and when it
// fails they all learn the error at once, so that an unreachable peer costs one connect timeout,
// not one per client.
class Pool {
 public:
  // Makes the TCP connection and the credentials of a new tunnel; runs on the pool's reactor.
  struct Dialled {
    std::unique_ptr<net::Socket> socket;
    std::unique_ptr<tls::Engine> engine;
  };
  using Dial = std::function<net::Task<Result<Dialled>>(TunnelKey)>;

  // `memory` pays for what tunnels and their streams hold; it outlives them.
  Pool(net::Reactor& reactor, PoolOptions options, h2::Buffers& buffers, MemoryAccount& memory,
       Dial dial);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // What a user connection got: an open CONNECT stream, answered with 200.
  struct Connected {
    std::unique_ptr<Stream> stream;
    net::SocketAddress local;  // our end of the tunnel
  };
  // Opens a stream on a tunnel for `key`. A stream refused before the peer did anything (a tunnel
  // that is going away) is retried once on a new tunnel. Streams beyond the peer's
  // SETTINGS_MAX_CONCURRENT_STREAMS, opened before it was known, are retried wherever there is room
  // until `deadline`. Errors: dial's, tls::Errc, h2::Errc, hbone::Errc::kStatus,
  // culvert::Errc::kTimedOut (the deadline) and kMemory.
  net::Task<Result<Connected>> connect(TunnelKey key, std::vector<h2::Field> fields, Time deadline);

  // Graceful: no new tunnels or streams; tunnels close as their streams end.
  void drain();
  // After drain(): returns once every tunnel is closed and what it said last has arrived, or at
  // `deadline`, after 10 s at most. Who destroys the pool sooner cuts that off.
  net::Task<> drained(Time deadline);

  [[nodiscard]] size_t tunnels() const;

 private:
  struct Tunnel;
  struct Entry;
  net::Task<Result<std::shared_ptr<Tunnel>>> checkout(const TunnelKey& key, Time deadline);
  net::Task<> establish(TunnelKey key);
  std::shared_ptr<Tunnel> usable(Entry& entry);
  [[nodiscard]] h2::TunnelSettings settings_for(const Entry& entry) const;
  void sweep();
  void sweep_later();
  void sweep_soon();
  void retire(const std::shared_ptr<Tunnel>& tunnel);
  net::Task<> let_go(std::shared_ptr<Tunnel> tunnel);

  net::Reactor& reactor_;
  PoolOptions options_;
  h2::Buffers& buffers_;
  MemoryAccount& memory_;
  Dial dial_;
  std::unordered_map<TunnelKey, std::unique_ptr<Entry>, TunnelKeyHash> entries_;
  std::vector<std::shared_ptr<Tunnel>> retired_;  // out of the pool, streams still running
  net::Timer sweep_timer_;
  bool sweeping_soon_ = false;
  size_t lingering_ = 0;  // closed, see h2::Connection::linger
  net::Event changed_;    // a tunnel closed, or is gone
  bool draining_ = false;
  net::Scope scope_;  // last member: establishing tasks die first
};

}  // namespace culvert::hbone
