#pragma once

#include "common/net/byte_stream.h"
#include "common/net/task.h"
#include "waypoint/codec/exchange.h"
#include "waypoint/model/model_upstream.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace culvert::waypoint {

// What the proxy logic wants of connections to endpoints: waypoint/upstream/connector.h makes real
// ones, tests give it scripted ones. Worker thread; outlives the exchanges and streams it gives.
class Upstreams {
 public:
  virtual ~Upstreams() = default;

  struct Exchange {
    std::unique_ptr<ClientExchange> exchange;
    std::string upstream_host;  // for the access log: "ip:port" of the endpoint
    std::string local_address;  // our end of the TCP connection, that of the tunnel if there is one
  };
  // A connection ready for one request to `endpoint` (which outlives the call), new or pooled.
  // `http2`: what to speak (protocol of the upstream, or the client's version for kSniff). A pooled
  // connection may turn out to be closed when the request is sent on it: then the exchange fails
  // with ExchangeErrc::kRefused if it is safe to send the request again, which Istio's default
  // retry policy ("refused-stream") does.
  // Errors, each with a context that says where to and why: ExchangeErrc::kConnectFailed (retry
  // elsewhere), kOverflow (limits of `upstream`), culvert::Errc::kTimedOut.
  virtual net::Task<Result<Exchange>> open(UpstreamPtr upstream, const Endpoint& endpoint,
                                           bool http2, Time deadline) = 0;
  // A fresh byte stream to `endpoint`, for raw TCP. Errors as above.
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

}  // namespace culvert::waypoint
