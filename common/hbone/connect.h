#pragma once

#include "common/base/result.h"
#include "common/h2/headers.h"
#include "common/net/address.h"
#include "common/state/workload.h"

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

// The heads of an HBONE exchange: CONNECT, its headers, and the answer, as Istio's ztunnel writes
// and reads them.
namespace culvert::hbone {

// ---- baggage: who is at the other end, for telemetry. Comma-joined key=value, absent when empty.
struct Baggage {
  std::string cluster_id;       // k8s.cluster.name
  std::string namespace_;       // k8s.namespace.name
  std::string workload_name;    // k8s.{deployment,cronjob,pod,job}.name
  std::string service_name;     // service.name: canonical name
  std::string service_version;  // service.version: canonical revision
  std::string region;           // cloud.region
  std::string zone;             // cloud.availability_zone
  bool operator==(const Baggage&) const = default;
};
std::string format_baggage(const state::Workload& workload);
// All `baggage` fields of a head, in order; the last occurrence of a key wins. A field with bytes
// outside visible ASCII makes the whole of it "no baggage".
Baggage parse_baggage(const h2::Head& head);

// ---- :authority: ip:port, or host:port. Errors: kNoAuthority.
struct HostPort {
  std::string host;
  uint16_t port = 0;
  bool operator==(const HostPort&) const = default;
};
using Authority = std::variant<net::SocketAddress, HostPort>;
Result<Authority> parse_authority(std::string_view text);
std::string to_string(const Authority& authority);

// ---- forwarded (RFC 7239): for="<ip:port>" and ;host=<service>, the host unquoted.
std::string format_forwarded(const net::SocketAddress& source, std::string_view service_hostname);
// The first field's host= part; absent when missing, empty or not ASCII.
std::optional<std::string> parse_forwarded_host(const h2::Head& head);

// ---- traceparent (W3C): version 00, random ids, flags 00.
std::string make_traceparent(uint64_t random1, uint64_t random2, uint64_t random3);

// ---- the request.
struct ConnectRequest {
  std::string authority;
  std::string baggage;
  std::string forwarded;
  std::string traceparent;
  std::string origin_network;  // x-forwarded-network; empty: not sent
};
// Fields to send, pointing into `request`.
std::vector<h2::Field> to_fields(const ConnectRequest& request);

// The status of an answer; 0 when it has none.
int parse_status(const h2::Head& head);
std::string_view status_reason(int status);  // "Unauthorized"

enum class Errc {
  kNotConnect = 1,  // expected method CONNECT
  kNoAuthority,     // no valid authority pseudo header
  kStatus,          // http status: <code> <reason>
};
std::error_code make_error_code(Errc value);

}  // namespace culvert::hbone

template <>
struct std::is_error_code_enum<culvert::hbone::Errc> : std::true_type {};
