#pragma once

#include "common/net/address.h"
#include "common/state/identity.h"
#include "common/state/workload.h"
#include "waypoint/model/balancer.h"

#include <chrono>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

// Where a waypoint sends requests: the half of the model that endpoint updates replace.
namespace culvert::waypoint {

using Millis = std::chrono::milliseconds;
inline constexpr uint16_t kHbonePort = 15008;

// How bytes get to an address: through its node's tunnel, or as they are.
enum class Tunnel : uint8_t { kHbone, kPlain };

// What telemetry says of a peer, and what its certificate must say. One entry per pod or VM.
struct Workload {
  std::string name;  // pod name
  std::string namespace_;
  std::string trust_domain = "cluster.local";
  std::string service_account = "default";
  std::string workload_name;  // controller name: source_workload, destination_workload
  std::string workload_type = "deployment";
  std::string canonical_name;
  std::string canonical_revision;  // empty: unknown; labels print "latest" for sources
  std::string cluster_id;
  std::string network;
  state::Locality locality;
  Tunnel tunnel = Tunnel::kHbone;
  std::vector<net::IpAddress> addresses;

  [[nodiscard]] state::Identity identity() const {
    return {trust_domain, namespace_, service_account};
  }
};
using WorkloadPtr = std::shared_ptr<const Workload>;

// One place that can serve a request.
struct Endpoint {
  Tunnel tunnel = Tunnel::kHbone;
  net::SocketAddress
      address;              // of the application: CONNECT's authority, or what is dialled (kPlain)
  net::SocketAddress node;  // where its tunnel listens (kHbone): the same IP, port 15008, as a rule
  // What the tunnel's certificate must say. Absent: any identity of the trust domain, as Envoy
  // checks it.
  std::optional<state::Identity> identity;
  WorkloadPtr workload;  // nullptr: unknown to the mesh
  state::Locality locality;
  EndpointState state;  // health, weight, priority: what the balancer looks at

  // Names this endpoint in pools, in the count of active requests and in the list of hosts already
  // tried.
  [[nodiscard]] const net::SocketAddress& key() const { return address; }
};

// What a service is called in metrics (destination_service and its kin).
struct ServiceRef {
  std::string hostname;
  std::string name;
  std::string namespace_;
  bool operator==(const ServiceRef&) const = default;
};

// What a port speaks.
enum class AppProtocol : uint8_t {
  kHttp,   // HTTP/1.1 towards the endpoint
  kHttp2,  // HTTP/2 with prior knowledge
  kGrpc,   // HTTP/2
  kTcp,
  kTls,    // passed through unread
  kSniff,  // undeclared: the client's first bytes decide, and HTTP keeps the client's version
};
[[nodiscard]] constexpr bool has_http_chain(AppProtocol protocol) {
  return protocol != AppProtocol::kTcp && protocol != AppProtocol::kTls;
}
[[nodiscard]] constexpr bool has_tcp_chain(AppProtocol protocol) {
  return !has_http_chain(protocol) || protocol == AppProtocol::kSniff;
}

// Istio's connection pool settings. "Unlimited" is Istio's default for all four counts.
struct UpstreamLimits {
  static constexpr uint32_t kUnlimited = std::numeric_limits<uint32_t>::max();
  uint32_t max_connections = kUnlimited;       // TCP connections, per worker
  uint32_t max_pending_requests = kUnlimited;  // waiting for a connection or stream, per worker
  uint32_t max_requests = kUnlimited;          // in flight, per worker
  uint32_t max_retries = kUnlimited;           // in flight, per worker
  Millis connect_timeout{10'000};
  Millis idle_timeout{3'600'000};  // of a pooled connection, and of a TCP session
};

struct Upstream {
  enum class Kind : uint8_t {
    kEndpoints,
    // The address that the client asked for, tunnelled if the workload table says that it takes
    // tunnels.
    kOriginalDestination,
  };
  std::string name;  // Istio's cluster name: "inbound-vip|80|http|server.demo.svc.cluster.local"
  Kind kind = Kind::kEndpoints;
  ServiceRef service;
  uint16_t port = 0;  // of the service
  AppProtocol protocol = AppProtocol::kSniff;
  std::vector<Endpoint> endpoints;
  Balancer balancer;  // over `endpoints`, index by index
  UpstreamLimits limits;

  // Sets the endpoints and rebuilds the balancer, the only way to keep the two together.
  void set_endpoints(std::vector<Endpoint> list);
};
using UpstreamPtr = std::shared_ptr<const Upstream>;

}  // namespace culvert::waypoint
