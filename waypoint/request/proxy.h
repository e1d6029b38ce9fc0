#pragma once

#include "waypoint/codec/exchange.h"
#include "waypoint/model/client_tunnel.h"
#include "waypoint/request/forwarding.h"
#include "waypoint/request/request_record.h"

namespace culvert::waypoint {

// What happens to a request, in this order, which policies depend on: the path is normalised, the
// proxy's headers are added, the chain's filters authorise it, a route is found, and its action
// done: forwarding, a redirect, or an answer. One per worker, on its thread.
class Proxy {
 public:
  // References outlive it.
  Proxy(Worker& worker, Upstreams& upstreams, Telemetry& telemetry)
      : context_(worker, upstreams, telemetry) {}

  // One request that came out of `tunnel`, to the end of its answer. Uses the newest model: a
  // connection that was made before a change obeys the change (`tunnel` is replaced then).
  // References outlive it. Destroying the task is how a codec says that the client is gone.
  net::Task<> serve(ServerExchange& exchange, ClientTunnelPtr& tunnel);

  [[nodiscard]] ProxyContext& context() { return context_; }

 private:
  net::Task<std::optional<LocalReply>> handle(ServerExchange& exchange, const ClientTunnel& tunnel,
                                              RequestRecord& record, const Route*& route);
  net::Task<> answer(ServerExchange& exchange, const ClientTunnel& tunnel, RequestRecord& record,
                     LocalReply reply, const Route* route);

  ProxyContext context_;
};

}  // namespace culvert::waypoint
