#pragma once

#include "common/hbone/pool.h"
#include "common/net/byte_stream.h"
#include "common/net/socket_factory.h"
#include "waypoint/worker.h"

#include <memory>
#include <string>

namespace culvert::waypoint {

// Byte streams to endpoints: inside of a tunnel to the endpoint's node (HBONE, shared by all
// streams to it), or a TCP connection of their own. One per worker, on its thread; streams may
// outlive it and behave as reset then.
//
// The CONNECT says where to and nothing of who asked: the far side sees this waypoint's identity,
// as with Istio's Envoy, which sends neither `baggage` nor `forwarded` by default.
class Tunnels {
 public:
  explicit Tunnels(Worker& worker);
  Tunnels(const Tunnels&) = delete;
  Tunnels& operator=(const Tunnels&) = delete;

  struct Link {
    std::unique_ptr<net::ByteStream> stream;
    std::string local_address;
  };
  // `endpoint` outlives the call. Errors, with a context that says where to and why:
  // ExchangeErrc::kConnectFailed, culvert::Errc::kTimedOut.
  net::Task<Result<Link>> connect(const Endpoint& endpoint, Time deadline);

  // No new tunnels; returns once those that are open have ended with their streams, and what was
  // said last has arrived, or at `deadline`.
  net::Task<> drain(Time deadline);

  // Open tunnels, for tests and statistics.
  [[nodiscard]] size_t tunnels() const { return pool_.tunnels(); }

 private:
  net::Task<Result<Link>> connect_plain(net::SocketAddress address, Time deadline);
  net::Task<Result<Link>> connect_tunnel(const Endpoint& endpoint, Time deadline);
  net::Task<Result<hbone::Pool::Dialled>> dial(hbone::TunnelKey key);
  net::Task<Result<std::unique_ptr<net::Socket>>> dial_socket(net::SocketAddress address,
                                                              Time deadline);

  Worker& worker_;
  net::SocketFactory sockets_;
  hbone::Pool pool_;  // last: it dials with the others
};

}  // namespace culvert::waypoint
