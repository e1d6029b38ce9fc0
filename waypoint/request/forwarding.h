#pragma once

#include "common/net/event.h"
#include "common/net/scope.h"
#include "waypoint/model/client_tunnel.h"
#include "waypoint/model/router.h"
#include "waypoint/request/attempt.h"
#include "waypoint/request/local_reply.h"
#include "waypoint/request/mirror.h"
#include "waypoint/request/request_body.h"
#include "waypoint/request/request_record.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace culvert::waypoint {

// What all requests of one worker share.
struct ProxyContext {
  ProxyContext(Worker& of, Upstreams& to, Telemetry& counts)
      : worker(of), upstreams(to), telemetry(counts), mirrors(of, to) {}

  Worker& worker;
  Upstreams& upstreams;
  Telemetry& telemetry;
  Mirrors mirrors;
  uint32_t pending = 0;                               // requests that wait for a connection
  std::unordered_map<std::string, uint32_t> retries;  // now running, by name of the upstream
};

// One request that goes to an endpoint: choice of target and endpoint, tries, retries with their
// pauses, time limits, and the response on its way to the client. Lives in the coroutine that
// serves the request. Worker thread.
class Forwarding {
 public:
  // References outlive it. The route's action is a Forward.
  Forwarding(ProxyContext& context, ServerExchange& exchange, const ClientTunnel& tunnel,
             RequestRecord& record, const Route& route);
  Forwarding(const Forwarding&) = delete;
  Forwarding& operator=(const Forwarding&) = delete;

  // Call once. What to answer instead; nullopt: the client has its response, or is gone.
  net::Task<std::optional<LocalReply>> run();

 private:
  // Why waiting ended early.
  enum class Stop : uint8_t {
    kNone,
    kRequestTimeout,
    kTryTimeout,
    kIdle,
    kClientGone,
    kBadBody,
    kBodyTooLarge,
  };
  // How the response got to the client.
  enum class Relayed : uint8_t { kComplete, kClientFailed, kUpstreamFailed };

  Result<> prepare();
  void mirror();
  bool start_attempt();
  net::Task<Stop> wait_for_outcome();
  net::Task<Stop> pause(Time until);
  net::Task<std::optional<LocalReply>> respond();
  net::Task<> relay_response();
  net::Task<Result<>> relay_body();
  Result<> prepare_response(http::ResponseHead& response);
  std::optional<LocalReply> fail_response(Stop stop);

  [[nodiscard]] Stop expired(Time now) const;
  [[nodiscard]] Time next_deadline() const;
  [[nodiscard]] Time request_deadline() const;
  [[nodiscard]] Time try_deadline() const;
  [[nodiscard]] Time idle_deadline() const;
  [[nodiscard]] Stop body_failure() const;
  [[nodiscard]] LocalReply reply_to(Stop stop) const;
  [[nodiscard]] LocalReply reply_to_failure() const;

  ProxyContext& context_;
  ServerExchange& exchange_;
  const ClientTunnel& tunnel_;
  RequestRecord& record_;
  const Route& route_;
  const Forward& forward_;
  net::Event changed_;
  http::RequestHead head_;  // as the endpoint gets it
  const WeightedTarget* target_ = nullptr;
  UpstreamPtr upstream_;
  RequestBody body_;
  std::vector<size_t> tried_;
  bool tunnelling_ = false;  // after an upgrade: only idleness ends it
  bool mirrored_ = false;
  std::unique_ptr<Attempt> attempt_;
  Time relayed_at_{};  // last byte of the response
  std::optional<Relayed> relayed_;
  Error relay_error_;
  net::Scope relay_;  // last
};

}  // namespace culvert::waypoint
