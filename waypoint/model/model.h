#pragma once

#include "common/base/result.h"
#include "common/http/path.h"
#include "common/net/address.h"
#include "waypoint/model/authz.h"
#include "waypoint/model/model_route.h"
#include "waypoint/model/model_upstream.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

// What a waypoint does with connections and requests, as one immutable value. Front ends (the local
// YAML file, istiod's xDS) build a new one off-line and swap the pointer; the data path reads
// whichever it took when the connection or request began. Nothing in here knows where it came from.
namespace culvert::waypoint {

// ---- options of the whole proxy

enum class XfccMode : uint8_t {
  kSanitize,  // x-forwarded-client-cert of the client is removed: Istio's default
  kIdentity,  // and replaced by "By=<our identity>;URI=<client's identity>"
};
enum class XffMode : uint8_t {
  kKeep,    // x-forwarded-for stays as the client sent it: Istio's default (use_remote_address:
            // false)
  kAppend,  // the client's address is appended
};

struct AccessLogOptions {
  enum class Format : uint8_t { kText, kJson };
  bool enabled = false;  // off until asked for, as in Istio
  Format format = Format::kText;
  bool errors_only = false;  // status 400 and above, connections that ended badly, denials
};

// Of the side that faces clients. The header limits are checked by the codecs while they read.
struct Limits {
  uint32_t max_header_bytes =
      60 * 1024;  // of a request or response head: Envoy's max_request_headers_kb
  uint32_t max_header_fields = 100;
  uint32_t max_tunnel_streams = 200;     // CONNECT streams per client connection
  uint32_t max_http2_streams = 100;      // requests at a time inside of one CONNECT
  uint32_t max_pending_requests = 1024;  // waiting for an endpoint's connection, per worker
  uint32_t max_buffered_body = 0;        // bytes kept to replay a request on retry; 0: none
  Millis header_timeout{60'000};         // from the first byte of a head to its last
  Millis idle_timeout{
      3'600'000};                 // HTTP/1.1 connection between requests, TCP session without bytes
  Millis stream_idle_timeout{0};  // request without a byte; 0: none (Istio's default)
  Millis request_timeout{0};      // where the route says nothing; 0: none
  // An undeclared port whose client does not speak within this is taken for raw TCP, so that
  // protocols in which the server speaks first work.
  Millis sniff_timeout{200};
};

struct Options {
  http::PathNormalization path_normalization = http::PathNormalization::kBase;
  XfccMode xfcc = XfccMode::kSanitize;
  XffMode xff = XffMode::kKeep;
  std::string server_name;  // value of the `server` response header; empty: the application's stays
  AccessLogOptions access_log;
  Limits limits;
};

// Who this waypoint is.
struct Self {
  std::string name = "waypoint";
  std::string namespace_ = "default";
  std::string service_account = "waypoint";
  std::string trust_domain = "cluster.local";
  std::string cluster_domain = "cluster.local";
  std::string cluster_id = "Kubernetes";
  std::string network;

  [[nodiscard]] state::Identity identity() const {
    return {trust_domain, namespace_, service_account};
  }
};

// ---- what is served

// One step before routing, in the order in which the control plane gave them.
using Filter = std::variant<AuthzFilter>;

// What happens to a connection of one port in one protocol.
struct Chain {
  std::string name;  // "inbound-vip|80|http|server.demo.svc.cluster.local", "direct-tcp"
  bool http = false;
  ServiceRef service;  // empty for direct chains
  std::vector<Filter> filters;
  std::vector<Route> routes;  // http; tried in order
  // TCP; empty: the connection is closed
  std::vector<WeightedTarget> tcp_targets;
  uint64_t tcp_total_weight = 0;
};
using ChainPtr = std::shared_ptr<const Chain>;

// All authorization filters of a chain, in order; the first that refuses decides.
[[nodiscard]] AuthzDecision authorize(const Chain& chain, const AuthzFacts& facts);

struct ServicePort {
  uint16_t port = 0;
  AppProtocol protocol = AppProtocol::kSniff;
  ChainPtr http;  // set if has_http_chain(protocol)
  ChainPtr tcp;   // set if has_tcp_chain(protocol)
};

struct Service {
  ServiceRef ref;
  std::vector<std::string> hostnames;  // lower case; first is ref.hostname
  std::vector<net::IpAddress> vips;
  std::vector<net::Cidr> ranges;
  std::map<uint16_t, ServicePort> ports;
};

// Where a CONNECT goes.
struct Destination {
  const Service* service = nullptr;  // nullptr: a workload's own address
  ServicePort port;                  // port.port as dialled
  // What policies and logs call the destination: the address dialled, or for a host name the
  // service's first VIP with that port (the unspecified address if it has none).
  net::SocketAddress address;
};

class Model;
using ModelPtr = std::shared_ptr<const Model>;

class Model {
 public:
  struct Parts {
    Self self;
    Options options;
    std::vector<Service> services;
    // Any port of these addresses is served by the direct chains.
    std::vector<net::IpAddress> direct_addresses;
    ChainPtr direct_http, direct_tcp;
    std::vector<WorkloadPtr> workloads;
  };
  // Errors (kInvalid): two services that claim one address and port or one host name and port, a
  // port without the chain its protocol needs. `parts.services` may share VIPs if their ports
  // differ.
  static Result<ModelPtr> build(Parts parts);

  // The chain for the authority of a CONNECT: "10.96.1.10:80", "[fd00::1]:80",
  // "server.demo.svc:80". nullopt: not served here, or not an authority; the caller refuses.
  // Pointers live as long as the model.
  [[nodiscard]] std::optional<Destination> resolve(std::string_view authority) const;
  // Exact VIPs first, then workloads' own addresses, then the longest range that has the port. The
  // address of a VIP is never looked up further: an unknown port of it is not served.
  [[nodiscard]] std::optional<Destination> find(const net::SocketAddress& address) const;
  // Hosts in any case, with or without the final dot.
  [[nodiscard]] std::optional<Destination> find_host(std::string_view host, uint16_t port) const;

  // The mesh's workload of that address, for telemetry and for tunnels to it; nullptr: not known.
  [[nodiscard]] WorkloadPtr workload(const net::IpAddress& ip) const;

  [[nodiscard]] const Self& self() const { return parts_.self; }
  [[nodiscard]] const Options& options() const { return parts_.options; }
  [[nodiscard]] const std::vector<Service>& services() const { return parts_.services; }

 private:
  explicit Model(Parts parts) : parts_(std::move(parts)) {}
  Result<> index();
  Result<> index_service(const Service& service);
  [[nodiscard]] Destination direct(const net::SocketAddress& address) const;

  using Claim = std::pair<const Service*, const ServicePort*>;
  Parts parts_;
  std::unordered_map<net::SocketAddress, Claim> by_address_;
  std::unordered_map<net::IpAddress, bool> vips_;  // true: a VIP; false: a direct workload
  // By length, the longest first; several services may have one range, with different ports.
  std::multimap<unsigned, std::pair<net::Cidr, const Service*>, std::greater<>> by_range_;
  std::map<std::string, std::map<uint16_t, Claim>, std::less<>> by_host_;
  std::unordered_map<net::IpAddress, WorkloadPtr> workloads_;
};

}  // namespace culvert::waypoint
