#pragma once

#include "waypoint/codec/exchange.h"
#include "waypoint/model/client_tunnel.h"
#include "waypoint/request/grpc_frames.h"
#include "waypoint/request/local_reply.h"
#include "waypoint/telemetry/access_log.h"
#include "waypoint/telemetry/telemetry.h"
#include "waypoint/worker.h"

#include <optional>
#include <string>
#include <string_view>

namespace culvert::waypoint {

// What one request leaves behind: a line of the access log and its metrics. Lives as long as the
// request is served; whoever learns something writes it in. A record that is destroyed unfinished
// is that of a client that went away. Worker thread.
class RequestRecord {
 public:
  // References outlive it. Takes what the request's head says.
  RequestRecord(Worker& worker, Telemetry& telemetry, ServerExchange& exchange,
                const ClientTunnel& tunnel);
  ~RequestRecord();
  RequestRecord(const RequestRecord&) = delete;
  RequestRecord& operator=(const RequestRecord&) = delete;

  AccessEntry log;
  UpstreamPtr upstream;     // whose service the metrics name
  WorkloadPtr destination;  // of the endpoint that was tried last
  std::optional<int> grpc_status;
  GrpcFrames request_frames, response_frames;

  [[nodiscard]] Time started() const { return started_; }
  [[nodiscard]] bool grpc() const { return grpc_; }
  // The request as policies saw it: normalised, with the proxy's headers.
  void take_headers(const http::RequestHead& head);
  // Envoy's short flags; a flag twice is one.
  void add_flag(std::string_view flag);
  void answered(int status, std::string details);
  // Of a response head or of trailers.
  void take_grpc_status(const http::Headers& headers);
  // Counts and writes the line. Call once, after the last byte.
  void finish();
  // finish() for a client that did not wait for the end.
  void disconnected();

 private:
  Worker& worker_;
  Telemetry& telemetry_;
  ServerExchange& exchange_;
  const ClientTunnel& tunnel_;
  ModelPtr model_;
  Time started_;
  bool grpc_ = false;
  bool finished_ = false;
};

}  // namespace culvert::waypoint
