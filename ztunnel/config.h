#pragma once

#include "common/base/log.h"
#include "common/base/result.h"
#include "common/config/env.h"
#include "common/net/address.h"
#include "common/state/identity.h"
#include "ztunnel/pod.h"
#include "ztunnel/surroundings.h"

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace culvert::ztunnel {

using std::chrono::nanoseconds;

enum class ProxyMode : uint8_t { kShared, kDedicated };

// Where an HTTP or DNS server listens: one address, or "localhost" (127.0.0.1, and ::1 if `ipv6`).
struct ListenAddress {
  bool localhost = false;
  bool ipv6 = false;
  net::SocketAddress address;  // for localhost: 127.0.0.1

  static ListenAddress loopback(bool ipv6, uint16_t port);
  static ListenAddress at(net::SocketAddress address) { return {false, false, address}; }
  [[nodiscard]] std::vector<net::SocketAddress> all() const;
  [[nodiscard]] uint16_t port() const { return address.port; }
};

// https://istiod.istio-system.svc:15012, split for those who connect.
struct ControlPlaneAddress {
  std::string uri;   // normalised, with scheme
  std::string host;  // without brackets
  uint16_t port = 0;
  bool tls = true;
  // A missing scheme becomes https. Error "invalid uri: …".
  static Result<ControlPlaneAddress> parse(std::string_view text);
};

// Roots that verify the control plane's certificate.
struct RootCert {
  enum class Kind : uint8_t { kFile, kSystem, kPem };
  Kind kind = Kind::kFile;
  std::string value;  // path or PEM text
};

// The bearer token for istiod: a file read for every call, or the token itself.
struct AuthToken {
  bool file = true;
  std::string value;
};

// Everything the process is told at start: defaults here, then the mesh configuration file, then
// PROXY_CONFIG, then single environment variables. Immutable afterwards.
struct Config {
  bool proxy = true;                      // ENABLE_PROXY: run the TCP proxy
  bool dns_proxy = true;                  // ISTIO_META_DNS_CAPTURE: run the DNS proxy
  ProxyMode mode = ProxyMode::kShared;    // PROXY_MODE
  std::optional<PodInfo> proxy_workload;  // PROXY_WORKLOAD_INFO: who a dedicated proxy serves
  unsigned worker_threads = 2;            // data-plane threads
  nanoseconds termination_deadline = std::chrono::seconds(5);  // drain time before closing by force
  bool ipv6 = true;                                            // IPV6_ENABLED
  std::string args;                                            // the command line, for /config_dump

  struct Listeners {
    ListenAddress admin;                       // proxyAdminPort, 15000, loopback only
    ListenAddress stats;                       // statsPort, 15020
    ListenAddress readiness;                   // 15021
    net::SocketAddress inbound;                // HBONE, 15008
    net::SocketAddress inbound_plaintext;      // 15006
    net::SocketAddress outbound;               // 15001
    ListenAddress dns;                         // ISTIO_META_DNS_PROXY_ADDR, loopback 15053
    std::optional<net::SocketAddress> socks5;  // UNSTABLE_ENABLE_SOCKS5: 127.0.0.1:15080
    std::set<uint16_t> illegal_ports;  // destinations that would loop back into this process
  } listeners;

  struct Http2 {
    uint32_t stream_window = 4U << 20U;       // HTTP2_STREAM_WINDOW_SIZE
    uint32_t connection_window = 16U << 20U;  // HTTP2_CONNECTION_WINDOW_SIZE
    uint32_t frame_size = 1U << 20U;          // HTTP2_FRAME_SIZE
  } http2;

  // What may be held for those who do not read (common/base/memory_account.h). What waits
  // for one connection is at most http2.stream_window.
  struct Memory {
    uint64_t budget = 0;           // CULVERT_MEMORY_BUDGET: of the process
    uint64_t workload_budget = 0;  // CULVERT_WORKLOAD_MEMORY_BUDGET: of a pod
  } memory;

  struct Pool {
    uint16_t max_streams_per_connection = 100;  // POOL_MAX_STREAMS_PER_CONNECTION
    nanoseconds unused_release_timeout = std::chrono::minutes(5);  // POOL_UNUSED_RELEASE_TIMEOUT
  } pool;

  struct Sockets {
    bool keepalive = true;                                       // KEEPALIVE_ENABLED
    nanoseconds keepalive_time = std::chrono::seconds(180);      // KEEPALIVE_TIME
    nanoseconds keepalive_interval = std::chrono::seconds(180);  // KEEPALIVE_INTERVAL
    uint32_t keepalive_retries = 9;                              // KEEPALIVE_RETRIES
    bool user_timeout = false;                                   // USER_TIMEOUT_ENABLED
    std::optional<uint32_t> packet_mark;  // PACKET_MARK: SO_MARK; 1337 in shared mode
    std::optional<bool> original_source;  // ENABLE_ORIG_SRC; absent: if the kernel lets us
  } sockets;

  struct Mesh {
    std::string network;                                    // NETWORK of this node
    std::optional<std::string> node;                        // NODE_NAME
    std::string cluster_id = "Kubernetes";                  // ISTIO_META_CLUSTER_ID, CLUSTER_ID
    std::string cluster_domain = "cluster.local";           // CLUSTER_DOMAIN
    std::optional<std::string> prefered_service_namespace;  // PREFERED_SERVICE_NAMESPACE
    bool localhost_app_tunnel = true;  // LOCALHOST_APP_TUNNEL: application tunnels dial localhost
    bool baggage = true;               // ENABLE_RESPONSE_BAGGAGE: answer with, and believe, baggage
  } mesh;

  struct Xds {
    std::optional<ControlPlaneAddress> address;  // XDS_ADDRESS; absent: no control plane
    RootCert root;                               // XDS_ROOT_CA
    std::optional<std::string> alt_hostname;  // ALT_XDS_HOSTNAME: also accepted in its certificate
    std::vector<std::pair<std::string, std::string>>
        headers;                                       // XDS_HEADER_*: lower-case key, value
    bool on_demand = false;                            // XDS_ON_DEMAND
    std::optional<std::string> local_path;             // LOCAL_XDS_PATH
    std::optional<std::string> local_inline;           // LOCAL_XDS
    std::string pod_name, pod_namespace;               // POD_NAME, POD_NAMESPACE, for the node id
    std::string instance_ip = "1.1.1.1";               // INSTANCE_IP
    std::map<std::string, std::string> metadata;       // ISTIO_META_* and proxyMetadata
    std::map<std::string, std::string> metadata_json;  // ISTIO_METAJSON_*: key, JSON text as given
  } xds;

  struct Ca {
    std::optional<ControlPlaneAddress> address;  // CA_ADDRESS; absent with a development CA
    RootCert root;                               // CA_ROOT_CA
    std::optional<std::string> alt_hostname;     // ALT_CA_HOSTNAME
    // CA_HEADER_*. Never sent: "authorization" and "clusterid", which the client sets itself, once.
    std::vector<std::pair<std::string, std::string>> headers;
    nanoseconds secret_ttl = std::chrono::hours(24);  // SECRET_TTL: validity asked for
    std::optional<std::string> local_dir;  // LOCAL_CA_DIR, or FAKE_CA's: a development CA on disk
  } ca;

  std::optional<AuthToken> auth;  // AUTH_TOKEN; absent: no credentials are sent

  struct Inpod {
    std::string uds = "/var/run/ztunnel/ztunnel.sock";  // INPOD_UDS: the CNI agent's socket
    bool port_reuse = true;  // INPOD_PORT_REUSE: two generations may overlap
  } inpod;

  struct Tls {
    bool tls12 = false;                   // TLS12_ENABLED
    bool post_quantum_only = false;       // COMPLIANCE_POLICY=pqc
    std::optional<std::string> crl_path;  // CRL_PATH
  } tls;

  struct Logging {
    log::Format format = log::Format::kText;  // LOG_FORMAT
    std::string filter;                       // from RUST_LOG; what /logging?reset returns to
    bool policy_at_info = false;              // AUTHZ_POLICY_INFO_LOGGING
  } logging;

  struct Resolver {
    std::vector<std::string> name_servers;  // of /etc/resolv.conf
    std::vector<std::string> search;
  } resolver;

  std::optional<state::Identity> own_identity;  // POD_NAMESPACE, SERVICE_ACCOUNT, TRUST_DOMAIN
  std::optional<PodInfo> own_workload;          // with POD_NAME: serve our metrics over HBONE
  std::string istio_version = "unknown";        // ISTIO_META_ISTIO_VERSION

  std::vector<std::string> warnings;  // for the log, once it runs

  // Pure. All errors at once, joined by "; ": `invalid env var NAME=VALUE (reason)` and Istio's
  // texts.
  static Result<Config> from_env(const config::Env& env, const Surroundings& around);
  // The `config` section of /config_dump, in the reference's keys and encodings.
  [[nodiscard]] nlohmann::json to_json() const;
};

}  // namespace culvert::ztunnel
