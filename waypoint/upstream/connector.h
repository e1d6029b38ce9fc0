#pragma once

#include "common/net/task.h"
#include "waypoint/exchange.h"
#include "waypoint/worker.h"

#include <memory>
#include <optional>
#include <string>

namespace culvert::waypoint {

// Connections to endpoints, for requests and for raw TCP, pooled per worker. Tunnels (hbone::Pool)
// are shared by everything that goes to one node address; within them HTTP/1.1 connections are kept
// alive and reused one request at a time, HTTP/2 connections carry many. Worker thread.
class Connector {
 public:
  explicit Connector(Worker& worker);
  ~Connector();
  Connector(const Connector&) = delete;
  Connector& operator=(const Connector&) = delete;

  struct Exchange {
    std::unique_ptr<ClientExchange> exchange;
    std::string upstream_host;  // for the access log: "ip:port" of the endpoint
    std::string local_address;
  };
  // A connection ready for one request to `endpoint`, new or pooled. `http2`: what to speak
  // (protocol of the upstream, or the client's version for kSniff). A pooled connection that turns
  // out to be closed before a byte of the request was answered is replaced by a new one, unseen.
  // Errors: ExchangeErrc::kConnectFailed (retry elsewhere), kOverflow (limits of `upstream`),
  // culvert::Errc::kTimedOut.
  net::Task<Result<Exchange>> open(UpstreamPtr upstream, const Endpoint& endpoint, bool http2,
                                   Time deadline);
  // A fresh byte stream to `endpoint`, for raw TCP and upgrades.
  struct Raw {
    std::unique_ptr<net::ByteStream> stream;
    std::string upstream_host, local_address;
  };
  net::Task<Result<Raw>> open_raw(UpstreamPtr upstream, const Endpoint& endpoint, Time deadline);

  // Requests now running per endpoint of `upstream`, index by index: what Balancer::pick compares.
  // Counted from open() to the end of the exchange (or stream).
  [[nodiscard]] std::vector<uint32_t> active(const Upstream& upstream) const;

  // No new connections; idle ones close. For shutdown.
  void drain();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace culvert::waypoint
