#pragma once

#include "waypoint/model/model.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// The labels of Istio's standard metrics as a waypoint reports them. Dashboards and alerts depend
// on the names; the values cannot be chosen by clients (no paths, hosts or methods), so that their
// number is bounded by the mesh.
namespace culvert::waypoint {

inline constexpr std::string_view kRequestsTotal = "istio_requests_total";
inline constexpr std::string_view kRequestDuration = "istio_request_duration_milliseconds";
inline constexpr std::string_view kRequestBytes = "istio_request_bytes";
inline constexpr std::string_view kResponseBytes = "istio_response_bytes";
inline constexpr std::string_view kRequestMessages = "istio_request_messages_total";
inline constexpr std::string_view kResponseMessages = "istio_response_messages_total";
inline constexpr std::string_view kTcpOpened = "istio_tcp_connections_opened_total";
inline constexpr std::string_view kTcpClosed = "istio_tcp_connections_closed_total";
inline constexpr std::string_view kTcpSent = "istio_tcp_sent_bytes_total";
inline constexpr std::string_view kTcpReceived = "istio_tcp_received_bytes_total";

enum class RequestProtocol : uint8_t { kHttp, kGrpc, kTcp };

// What is known of a request or connection when it ends.
struct MetricFacts {
  const Workload* source = nullptr;   // by the client's address; nullptr: not in the workload table
  std::string_view source_principal;  // URI of the client's certificate
  const Workload* destination =
      nullptr;                          // of the endpoint chosen; nullptr: none, or not of the mesh
  const ServiceRef* service = nullptr;  // of the upstream
  RequestProtocol protocol = RequestProtocol::kHttp;
  int response_code = 0;  // 0: none was sent
  std::optional<int> grpc_status;
  std::string_view response_flags;  // empty: "-"
  bool own_identity_known = true;
};

using Labels = std::vector<std::pair<std::string_view, std::string>>;

// In the order of Istio's documentation. Missing values are "unknown", except that a source without
// a revision is "latest". TCP has neither response_code nor grpc_response_status.
[[nodiscard]] Labels metric_labels(const MetricFacts& facts);

}  // namespace culvert::waypoint
