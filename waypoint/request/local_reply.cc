#include "waypoint/request/local_reply.h"

#include "waypoint/model/authz.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace culvert::waypoint {
namespace {

constexpr std::string_view kGrpcType = "application/grpc";

// grpc-message: bytes outside of visible ASCII, and '%', are percent-encoded.
std::string encode_grpc_message(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f && c != '%') {
      out += c;
    } else {
      out += fmt::format("%{:02X}", byte);
    }
  }
  return out;
}

// RFC 9110 section 5.6.7.
std::string http_date(WallTime now) {
  const auto time = fmt::gmtime(WallClock::to_time_t(now));
  return fmt::format("{:%a, %d %b %Y %H:%M:%S} GMT", time);
}

std::string underscored(std::string_view text) {
  std::string out(text);
  std::replace(out.begin(), out.end(), ' ', '_');
  return out;
}

LocalReply make(int status, std::string body, std::string flag, std::string details) {
  LocalReply reply;
  reply.status = status;
  reply.body = std::move(body);
  reply.flag = std::move(flag);
  reply.details = std::move(details);
  return reply;
}

void set(http::Headers& headers, std::string_view name, std::string_view value) {
  // Our own fields fit: a reply's head starts empty.
  if (auto done = headers.set(name, value); !done) headers.remove(name);
}

}  // namespace

namespace replies {

LocalReply bad_path() { return make(400, "", "", "path_normalization_failed"); }
LocalReply headers_too_large() { return make(431, "", "", "request_headers_too_large"); }
LocalReply bad_request_body() { return make(400, "Bad Request", "DPE", "codec_error"); }
LocalReply body_too_large() {
  return make(413, "Payload Too Large", "", "request_payload_too_large");
}
LocalReply denied(std::string details) {
  return make(kDeniedStatus, std::string(kDeniedBody), "", std::move(details));
}
LocalReply no_route() { return make(404, "", "NR", "route_not_found"); }
LocalReply not_served() { return make(404, "", "NR", "filter_chain_not_found"); }
LocalReply unknown_target(int status) { return make(status, "", "NC", "cluster_not_found"); }
LocalReply no_healthy_upstream() {
  return make(503, "no healthy upstream", "UH", "no_healthy_upstream");
}
LocalReply request_timeout() {
  return make(504, "upstream request timeout", "UT", "response_timeout");
}
LocalReply per_try_timeout() {
  return make(504, "upstream request timeout", "UT", "upstream_per_try_timeout");
}
LocalReply idle_timeout(bool request_complete) {
  return make(request_complete ? 504 : 408, "stream timeout", "SI", "stream_idle_timeout");
}
LocalReply client_gone() { return make(0, "", "DC", "downstream_remote_disconnect"); }
LocalReply overflow() {
  LocalReply reply = upstream_failure(503, "UO", "overflow", "");
  // By which Envoy's clients tell our own limits from an endpoint's failure.
  set(reply.headers, "x-envoy-overloaded", "true");
  return reply;
}

LocalReply upstream_failure(int status, std::string_view flag, std::string_view reason,
                            std::string_view transport) {
  std::string body = fmt::format(
      "upstream connect error or disconnect/reset before headers. reset reason: {}", reason);
  if (!transport.empty()) body += fmt::format(", transport failure reason: {}", transport);
  return make(status, std::move(body), std::string(flag),
              fmt::format("upstream_reset_before_response_started{{{}}}", underscored(reason)));
}

}  // namespace replies

bool is_grpc(const http::Headers& headers) {
  std::string_view type = headers.get("content-type").value_or(std::string_view());
  if (type.size() < kGrpcType.size()) return false;
  if (!http::iequals(type.substr(0, kGrpcType.size()), kGrpcType)) return false;
  type.remove_prefix(kGrpcType.size());
  return type.empty() || type.front() == '+' || type.front() == ';' || type.front() == ' ';
}

std::optional<int> grpc_status(const http::Headers& headers) {
  const auto text = headers.get("grpc-status");
  if (!text) return std::nullopt;
  int value = -1;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  return error == std::errc() && end == text->data() + text->size() ? value : -1;
}

int grpc_status_of(int http_status) {
  switch (http_status) {
    case 400:
      return 13;  // INTERNAL
    case 401:
      return 16;  // UNAUTHENTICATED
    case 403:
      return 7;  // PERMISSION_DENIED
    case 404:
      return 12;  // UNIMPLEMENTED
    case 429:
    case 502:
    case 503:
    case 504:
      return 14;  // UNAVAILABLE
    default:
      return 2;  // UNKNOWN
  }
}

WrittenReply write_reply(const LocalReply& reply, const http::RequestHead& request, WallTime now) {
  WrittenReply out;
  http::Headers& headers = out.head.headers;
  headers = reply.headers;
  set(headers, "date", http_date(now));
  if (is_grpc(request.headers)) {
    out.grpc_status = grpc_status_of(reply.status);
    out.head.status = 200;
    set(headers, "content-type", kGrpcType);
    set(headers, "grpc-status", std::to_string(out.grpc_status));
    if (!reply.body.empty()) set(headers, "grpc-message", encode_grpc_message(reply.body));
    return out;
  }
  out.head.status = reply.status;
  if (reply.body.empty()) return out;
  set(headers, "content-type", reply.content_type);
  set(headers, "content-length", std::to_string(reply.body.size()));
  if (request.method != "HEAD") out.body = reply.body;
  return out;
}

}  // namespace culvert::waypoint
