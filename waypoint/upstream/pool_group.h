#pragma once

#include "waypoint/upstream/http_connection.h"
#include "waypoint/upstream/usage.h"

#include <boost/intrusive/list.hpp>

#include <optional>
#include <string>
#include <vector>

// The HTTP connections to one endpoint. Plain data of HttpPool; for waypoint/upstream only.
namespace culvert::waypoint {

struct ReadyTag;
struct IdleTag;
using ReadyHook = net::intrusive::list_base_hook<net::intrusive::tag<ReadyTag>, net::AutoUnlink>;
using IdleHook = net::intrusive::list_base_hook<net::intrusive::tag<IdleTag>, net::AutoUnlink>;

struct PooledConnection : ReadyHook, IdleHook {
  PooledConnection(PoolGroup& of, UpstreamUsage& upstream) : group(of), place(upstream) {}

  PoolGroup& group;
  ConnectionToken place;
  std::unique_ptr<HttpConnection> http;
  std::string local_address;
  uint32_t running = 0;  // exchanges
  Time expires{};        // when idle
  size_t position = 0;   // in the group's list
};
using ReadyList = net::intrusive::list<PooledConnection, net::intrusive::base_hook<ReadyHook>,
                                       net::intrusive::constant_time_size<false>>;
using IdleList = net::intrusive::list<PooledConnection, net::intrusive::base_hook<IdleHook>,
                                      net::intrusive::constant_time_size<false>>;

// Connections to one endpoint that are alike in all that matters to who may use them.
struct PoolGroup {
  PoolGroup(UpstreamUsage& of, const Endpoint& endpoint, bool speaks_http2)
      : upstream(of),
        tunnel(endpoint.tunnel),
        node(endpoint.node),
        identity(endpoint.identity),
        http2(speaks_http2) {}
  [[nodiscard]] bool serves(const Endpoint& endpoint, bool speaks_http2) const {
    return http2 == speaks_http2 && tunnel == endpoint.tunnel && node == endpoint.node &&
           identity == endpoint.identity;
  }

  UpstreamUsage& upstream;
  const Tunnel tunnel;
  const net::SocketAddress node;
  const std::optional<state::Identity> identity;
  const bool http2;

  // HTTP/2: one connection is opened at a time, and all who wait for it learn why it failed.
  bool opening = false;
  uint64_t failures = 0;
  Error last_failure;

  ReadyList ready;  // those that may have room, the last used first
  std::vector<std::unique_ptr<PooledConnection>> connections;
};

}  // namespace culvert::waypoint
