#pragma once

#include "common/net/event.h"
#include "common/net/scope.h"
#include "waypoint/model/retry.h"
#include "waypoint/request/request_body.h"
#include "waypoint/upstream/upstreams.h"

#include <memory>
#include <optional>
#include <string>

namespace culvert::waypoint {

// One try to get a response for a request from one endpoint: connects, sends the head, then the
// body while it waits for the response's head. Destroying it gives the exchange up. Worker thread.
class Attempt {
 public:
  // What is sent, and where. References outlive the attempt.
  struct Input {
    UpstreamPtr upstream;
    Endpoint endpoint;
    const http::RequestHead& head;
    BodySize size;
    const std::string& upgrade;  // empty: none
    bool http2 = false;
  };
  // `changed` is woken when any of the states below changes.
  Attempt(net::Reactor& reactor, Upstreams& upstreams, Input input, RequestBody& body,
          net::Event& changed);
  Attempt(const Attempt&) = delete;
  Attempt& operator=(const Attempt&) = delete;

  // Runs until it has to wait: afterwards connecting() tells whether a connection was at hand.
  void start();
  // Ends it from outside, before a response: a timeout, or our own limits.
  void give_up(TryOutcome::Kind kind);

  [[nodiscard]] bool connecting() const { return !outcome_ && connection_.exchange == nullptr; }
  // Set when there is a response head, or when there will be none.
  [[nodiscard]] const std::optional<TryOutcome>& outcome() const { return outcome_; }
  [[nodiscard]] const Error& error() const { return error_; }
  [[nodiscard]] http::ResponseHead& response() { return response_; }
  [[nodiscard]] ClientExchange& exchange() { return *connection_.exchange; }
  [[nodiscard]] const Upstreams::Exchange& connection() const { return connection_; }
  [[nodiscard]] const Endpoint& endpoint() const { return input_.endpoint; }
  [[nodiscard]] Time started() const { return started_; }
  // The last byte of the request is on its way.
  [[nodiscard]] bool sent() const { return sent_; }
  [[nodiscard]] Time last_activity() const { return last_activity_; }

  // After a response of 101: the client's bytes go to the endpoint from now on.
  void start_tunnel();

 private:
  net::Task<> run();
  net::Task<> send_body();
  void fail(const Error& error, TryOutcome::Kind otherwise);

  Upstreams& upstreams_;
  Input input_;
  RequestBody& body_;
  net::Event& changed_;
  Time started_, last_activity_;
  Upstreams::Exchange connection_;
  bool head_sent_ = false, sent_ = false;
  std::optional<TryOutcome> outcome_;
  Error error_;
  http::ResponseHead response_;
  net::Scope tasks_;  // last: they use everything above
};

}  // namespace culvert::waypoint
