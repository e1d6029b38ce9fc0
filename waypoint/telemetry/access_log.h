#pragma once

#include "common/base/clock.h"
#include "waypoint/model/model.h"

#include <chrono>
#include <cstdint>
#include <string>

namespace culvert::waypoint {

// Everything one line of the access log says, of a request or of a TCP connection. Empty text is
// printed as
// "-" (text) or null (JSON), the way Envoy prints what it does not know.
struct AccessEntry {
  WallTime start_time;
  std::string method;
  std::string path;      // as the client sent it, before rewrites
  std::string protocol;  // "HTTP/1.1", "HTTP/2"; empty for TCP
  int response_code = 0;
  std::string response_flags;         // Envoy's short flags, joined by commas: "UF,URX"
  std::string response_code_details;  // "via_upstream", "rbac_access_denied_matched_policy[…]"
  std::string connection_termination_details;
  std::string upstream_transport_failure_reason;
  uint64_t bytes_received = 0;  // of bodies
  uint64_t bytes_sent = 0;
  std::chrono::milliseconds duration{0};
  std::string upstream_service_time;  // milliseconds, of x-envoy-upstream-service-time
  std::string x_forwarded_for;
  std::string user_agent;
  std::string request_id;
  std::string authority;
  std::string upstream_host;
  std::string upstream_cluster;
  std::string upstream_local_address;
  std::string downstream_local_address;
  std::string downstream_remote_address;
  std::string requested_server_name;
  std::string route_name;
};

// One line without its newline, in Istio's default text format or its JSON form (the same 24 items,
// in the same order). Text from peers is escaped in both, so that one request is one line whatever
// it holds: quotes, backslashes, controls and bytes that are not ASCII appear as \", \\, \xHH in
// the text form.
[[nodiscard]] std::string format_access_log(const AccessEntry& entry,
                                            AccessLogOptions::Format format);

// Whether the options want this line.
[[nodiscard]] bool is_logged(const AccessEntry& entry, const AccessLogOptions& options);

}  // namespace culvert::waypoint
