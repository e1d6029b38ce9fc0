#pragma once

#include "common/net/task.h"
#include "waypoint/codec/exchange.h"
#include "waypoint/worker.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace culvert::waypoint {

// What the proxy logic wants of connections to endpoints; tests give it scripted ones.
class Upstreams {
 public:
  virtual ~Upstreams() = default;

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
  virtual net::Task<Result<Exchange>> open(UpstreamPtr upstream, const Endpoint& endpoint,
                                           bool http2, Time deadline) = 0;
  // A fresh byte stream to `endpoint`, for raw TCP and upgrades.
  struct Raw {
    std::unique_ptr<net::ByteStream> stream;
    std::string upstream_host, local_address;
  };
  virtual net::Task<Result<Raw>> open_raw(UpstreamPtr upstream, const Endpoint& endpoint,
                                          Time deadline) = 0;
  // Requests now running per endpoint of `upstream`, index by index: what Balancer::pick compares.
  // Counted from open() to the end of the exchange (or stream).
  [[nodiscard]] virtual std::vector<uint32_t> active(const Upstream& upstream) const = 0;
};

// Connections to endpoints, for requests and for raw TCP, pooled per worker. Tunnels (hbone::Pool)
// are shared by everything that goes to one node address; within them HTTP/1.1 connections are kept
// alive and reused one request at a time, HTTP/2 connections carry many. Worker thread.
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

  // No new connections; idle ones close. For shutdown.
  void drain();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace culvert::waypoint
