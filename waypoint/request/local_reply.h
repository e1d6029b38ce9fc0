#pragma once

#include "common/base/clock.h"
#include "common/http/message.h"
#include "waypoint/codec/exchange.h"

#include <optional>
#include <string>
#include <string_view>

// Answers that the waypoint gives itself, with the texts, flags and details that Envoy has for
// them, because alerts and people look for those.
namespace culvert::waypoint {

struct LocalReply {
  int status = 500;
  std::string body;
  std::string flag;     // of the access log and metrics: "UH"; empty: none
  std::string details;  // response_code_details: "no_healthy_upstream"
  std::string content_type = "text/plain";
  http::Headers headers;  // further ones: the Location of a redirect
};

namespace replies {
LocalReply bad_path();
LocalReply headers_too_large();
LocalReply bad_request_body();
LocalReply body_too_large();
LocalReply denied(std::string details);
LocalReply no_route();
// No longer served since the connection was made, that is, after a change of configuration.
LocalReply not_served();
LocalReply unknown_target(int status);
LocalReply no_healthy_upstream();
LocalReply request_timeout();
LocalReply per_try_timeout();
// 504, or 408 when it is the client's request that has not come to its end.
LocalReply idle_timeout(bool request_complete);
LocalReply overflow();
// Nobody is there to read it; its status is 0.
LocalReply client_gone();
// `reason`: "connection failure", as in Envoy's text; `transport`: what is behind it, may be empty.
LocalReply upstream_failure(int status, std::string_view flag, std::string_view reason,
                            std::string_view transport);
}  // namespace replies

// Content-Type "application/grpc", perhaps with a suffix or parameters; not grpc-web.
[[nodiscard]] bool is_grpc(const http::Headers& headers);

// The value of grpc-status, in a response's head or trailers; absent: there is none. What is no
// number is -1, a status that nobody knows.
[[nodiscard]] std::optional<int> grpc_status(const http::Headers& headers);

// The status of gRPC for a status of HTTP, by gRPC's table "HTTP to gRPC Status Code Mapping".
[[nodiscard]] int grpc_status_of(int http_status);

// Head and body of the answer to `request`. A gRPC client gets a trailers-only response: status
// 200, grpc-status and grpc-message, because it cannot read any other. HEAD gets no body.
struct WrittenReply {
  http::ResponseHead head;
  std::string body;
  int grpc_status = -1;
};
[[nodiscard]] WrittenReply write_reply(const LocalReply& reply, const http::RequestHead& request,
                                       WallTime now);

}  // namespace culvert::waypoint
