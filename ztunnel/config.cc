#include "ztunnel/config.h"

#include "common/config/memory_budget.h"
#include "common/config/proxy_config.h"
#include "ztunnel/resolv_conf.h"
#include "ztunnel/unsupported.h"
#include "ztunnel/worker_threads.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>

#include <nlohmann/json.hpp>

namespace culvert::ztunnel {
namespace {

using config::Env;
using config::EnvReader;
using config::ProxyConfig;
using std::chrono::seconds;

constexpr uint16_t kAdminPort = 15000;
constexpr uint16_t kOutboundPort = 15001;
constexpr uint16_t kInboundPlaintextPort = 15006;
constexpr uint16_t kInboundPort = 15008;
constexpr uint16_t kStatsPort = 15020;
constexpr uint16_t kReadinessPort = 15021;
constexpr uint16_t kDnsPort = 15053;
constexpr uint16_t kSocks5Port = 15080;
constexpr uint32_t kPacketMark = 1337;
constexpr const char* kDefaultRoot = "./var/run/secrets/istio/root-cert.pem";
constexpr const char* kDefaultToken = "./var/run/secrets/tokens/istio-token";
// FAKE_CA's folder: the image's root file system is read-only except for /tmp.
constexpr const char* kFakeCaDir = "/tmp/culvert-development-ca";
constexpr std::string_view kMetaPrefix = "ISTIO_META_";
constexpr std::string_view kMetaJsonPrefix = "ISTIO_METAJSON_";

std::optional<std::string> non_empty(const EnvReader& env, const std::string& name) {
  auto value = env.text(name);
  return value && !value->empty() ? value : std::nullopt;
}

bool is_true(std::string_view text) {
  return std::ranges::equal(text, std::string_view("true"),
                            [](unsigned char a, unsigned char b) { return std::tolower(a) == b; });
}

// defaults <- mesh configuration file <- PROXY_CONFIG
ProxyConfig read_proxy_config(EnvReader& env, const Surroundings& around) {
  ProxyConfig merged;
  if (around.mesh_config) {
    auto mesh = config::parse_mesh_config(*around.mesh_config);
    if (mesh) {
      merged.merge(std::move(*mesh));
    } else {
      env.fail(fmt::format("error parsing proxy config: failed parsing mesh config file {}: {}",
                           kMeshConfigPath, mesh.error().message()));
    }
  }
  if (const auto text = non_empty(env, "PROXY_CONFIG")) {
    auto own = config::parse_proxy_config(*text);
    if (own) {
      merged.merge(std::move(*own));
    } else {
      env.fail(fmt::format("error parsing proxy config: failed parsing proxy config env: {}",
                           own.error().message()));
    }
  }
  return merged;
}

std::map<std::string, std::string> read_metadata(const Env& env, const ProxyConfig& proxy_config) {
  std::map<std::string, std::string> metadata;
  for (const auto& [key, value] : proxy_config.proxy_metadata) {
    metadata[key.starts_with(kMetaPrefix) ? key.substr(kMetaPrefix.size()) : key] = value;
  }
  for (auto it = env.lower_bound(std::string(kMetaPrefix));
       it != env.end() && it->first.starts_with(kMetaPrefix); ++it) {
    std::string_view key = it->first;
    while (key.starts_with(kMetaPrefix)) key.remove_prefix(kMetaPrefix.size());
    metadata[std::string(key)] = it->second;
  }
  return metadata;
}

// XDS_HEADER_<K>, CA_HEADER_<K>: gRPC metadata, so a lower-case token without the "-bin" of binary
// values and a value of visible ASCII (gRPC over HTTP/2, "Custom-Metadata").
std::vector<std::pair<std::string, std::string>> read_headers(const Env& all, EnvReader& env,
                                                              const std::string& prefix) {
  const auto token_char = [](unsigned char c) {
    return std::isdigit(c) != 0 || (c >= 'a' && c <= 'z') || c == '-' || c == '_' || c == '.';
  };
  std::vector<std::pair<std::string, std::string>> headers;
  for (auto it = all.lower_bound(prefix); it != all.end() && it->first.starts_with(prefix); ++it) {
    std::string key = it->first.substr(prefix.size());
    std::ranges::transform(key, key.begin(),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const std::string& value = it->second;
    if (key.empty() || key.ends_with("-bin") || !std::ranges::all_of(key, token_char)) {
      env.fail(fmt::format("failed to parse header key: {}", it->first));
    } else if (!std::ranges::all_of(value, [](char c) { return c >= 0x20 && c < 0x7F; })) {
      env.fail(fmt::format("failed to parse header value: {}", value));
    } else {
      headers.emplace_back(std::move(key), value);
    }
  }
  return headers;
}

RootCert read_root(const EnvReader& env, const std::string& name, const Surroundings& around) {
  const std::string value = env.text(name, kDefaultRoot);
  if (around.exists(value)) return {RootCert::Kind::kFile, value};
  if (value == "SYSTEM") return {RootCert::Kind::kSystem, ""};
  // A missing file must not turn its own name into (empty) PEM text, which nobody could diagnose: a
  // path stays a path, and the connection that reads it says what is wrong.
  if (value.find("-----BEGIN") == std::string::npos) return {RootCert::Kind::kFile, value};
  return {RootCert::Kind::kPem, value};
}

std::optional<ControlPlaneAddress> read_address(EnvReader& env, const std::string& name,
                                                const std::optional<std::string>& second_choice) {
  std::string text = env.text("KUBERNETES_SERVICE_HOST") ? "https://istiod.istio-system.svc:15012"
                                                         : "https://localhost:15012";
  if (second_choice) text = *second_choice;
  const auto own = env.text(name);
  if (own) text = *own;
  if (text.empty()) return std::nullopt;
  auto address = ControlPlaneAddress::parse(text);
  if (address) return *address;
  if (own) {
    env.reject(name, address.error().message());
  } else {
    env.fail(address.error().message());
  }
  return std::nullopt;
}

void read_mode(EnvReader& env, Config& config) {
  const std::string mode = env.text("PROXY_MODE", "shared");
  if (mode == "dedicated") {
    config.mode = ProxyMode::kDedicated;
  } else if (mode != "shared") {
    env.reject("PROXY_MODE", "PROXY_MODE must be one of dedicated, shared");
  }
  config.sockets.packet_mark = env.optional_number<uint32_t>("PACKET_MARK");
  if (config.mode == ProxyMode::kShared) {
    if (!config.sockets.packet_mark) config.sockets.packet_mark = kPacketMark;
    return;
  }
  const auto info = env.text("PROXY_WORKLOAD_INFO");
  if (!info) {
    env.fail("invalid configuration: PROXY_MODE=dedicated requires PROXY_WORKLOAD_INFO to be set");
    return;
  }
  const size_t first = info->find('/');
  const size_t second = first == std::string::npos ? first : info->find('/', first + 1);
  if (second == std::string::npos) {
    env.fail(
        fmt::format("invalid configuration: PROXY_WORKLOAD_INFO must match the format "
                    "'namespace/name/service-account' (got {})",
                    *info));
    return;
  }
  config.proxy_workload = PodInfo{.name = info->substr(first + 1, second - first - 1),
                                  .namespace_ = info->substr(0, first),
                                  .service_account = info->substr(second + 1)};
}

void read_dns(EnvReader& env, bool ipv6_loopback, Config& config) {
  const auto& metadata = config.xds.metadata;
  if (const auto capture = metadata.find("DNS_CAPTURE"); capture != metadata.end()) {
    config.dns_proxy = is_true(capture->second);
  }
  config.listeners.dns = ListenAddress::loopback(ipv6_loopback, kDnsPort);
  const auto given = metadata.find("DNS_PROXY_ADDR");
  if (given == metadata.end()) return;
  constexpr std::string_view kLocalhost = "localhost:";
  std::string why;
  if (given->second.starts_with(kLocalhost)) {
    const auto port = config::parse_unsigned(given->second.substr(kLocalhost.size()), 65535);
    if (port) {
      config.listeners.dns = ListenAddress::loopback(ipv6_loopback, static_cast<uint16_t>(*port));
      return;
    }
    why = port.error().message();
  } else {
    const auto address = net::SocketAddress::parse(given->second);
    if (address) {
      config.listeners.dns = ListenAddress::at(*address);
      return;
    }
    why = address.error().message();
  }
  env.fail(fmt::format("invalid configuration: failed to parse DNS_PROXY_ADDR: {} ({})",
                       given->second, why));
}

void read_listeners(EnvReader& env, const ProxyConfig& proxy_config, const Surroundings& around,
                    Config& config) {
  config.ipv6 = env.boolean("IPV6_ENABLED", true);
  const bool ipv6_loopback = config.ipv6 && around.ipv6_loopback;
  const net::IpAddress any = config.ipv6 ? net::IpAddress::any_v6() : net::IpAddress::any_v4();
  auto& to = config.listeners;
  to.admin =
      ListenAddress::loopback(ipv6_loopback, proxy_config.proxy_admin_port.value_or(kAdminPort));
  to.stats = ListenAddress::at({any, proxy_config.stats_port.value_or(kStatsPort)});
  to.readiness = ListenAddress::at({any, kReadinessPort});
  to.inbound = {any, kInboundPort};
  to.inbound_plaintext = {any, kInboundPlaintextPort};
  to.outbound = {any, kOutboundPort};
  to.illegal_ports = {kInboundPort, kInboundPlaintextPort, kOutboundPort};
  if (env.boolean("UNSTABLE_ENABLE_SOCKS5", false)) {
    to.socks5 = net::SocketAddress{net::IpAddress::loopback_v4(), kSocks5Port};
    to.illegal_ports.insert(kSocks5Port);
  }
  read_dns(env, ipv6_loopback, config);
}

void read_http2_and_pool(EnvReader& env, Config& config) {
  constexpr uint32_t kMaxWindow = 0x7FFFFFFF;  // RFC 9113 section 6.9.1
  auto& http2 = config.http2;
  http2.stream_window = env.number("HTTP2_STREAM_WINDOW_SIZE", http2.stream_window);
  http2.connection_window = env.number("HTTP2_CONNECTION_WINDOW_SIZE", http2.connection_window);
  http2.frame_size = env.number("HTTP2_FRAME_SIZE", http2.frame_size);
  if (http2.stream_window == 0 || http2.stream_window > kMaxWindow) {
    env.reject("HTTP2_STREAM_WINDOW_SIZE", "must be between 1 and 2147483647");
  }
  // A connection starts with 65535 bytes and WINDOW_UPDATE can only add to that (RFC 9113
  // section 6.9.2).
  if (http2.connection_window < 65535 || http2.connection_window > kMaxWindow) {
    env.reject("HTTP2_CONNECTION_WINDOW_SIZE", "must be between 65535 and 2147483647");
  }
  // RFC 9113 section 6.5.2, SETTINGS_MAX_FRAME_SIZE.
  if (http2.frame_size < 16384 || http2.frame_size > 16777215) {
    env.reject("HTTP2_FRAME_SIZE", "must be between 16384 and 16777215");
  }
  auto& pool = config.pool;
  pool.max_streams_per_connection =
      env.number("POOL_MAX_STREAMS_PER_CONNECTION", pool.max_streams_per_connection);
  if (pool.max_streams_per_connection == 0) {
    env.reject("POOL_MAX_STREAMS_PER_CONNECTION", "must be at least 1");
  }
  pool.unused_release_timeout =
      env.duration("POOL_UNUSED_RELEASE_TIMEOUT", pool.unused_release_timeout);
}

void read_memory(EnvReader& env, const MemoryUse& machine, Config& config) {
  auto& memory = config.memory;
  memory.budget = config::process_memory_budget(env, machine);
  memory.workload_budget =
      config::memory_budget(env, "CULVERT_WORKLOAD_MEMORY_BUDGET",
                            std::max(memory.budget / 2, config::kLeastMemoryBudget));
}

void read_sockets(EnvReader& env, Config& config) {
  auto& sockets = config.sockets;
  sockets.keepalive = env.boolean("KEEPALIVE_ENABLED", sockets.keepalive);
  sockets.keepalive_time = env.duration("KEEPALIVE_TIME", sockets.keepalive_time);
  sockets.keepalive_interval = env.duration("KEEPALIVE_INTERVAL", sockets.keepalive_interval);
  sockets.keepalive_retries = env.number("KEEPALIVE_RETRIES", sockets.keepalive_retries);
  sockets.user_timeout = env.boolean("USER_TIMEOUT_ENABLED", sockets.user_timeout);
  sockets.original_source = env.optional_boolean("ENABLE_ORIG_SRC");
}

void read_mesh(EnvReader& env, Config& config) {
  auto& mesh = config.mesh;
  mesh.network = env.text("NETWORK", "");
  mesh.node = non_empty(env, "NODE_NAME");
  mesh.cluster_id = env.text("ISTIO_META_CLUSTER_ID", env.text("CLUSTER_ID", mesh.cluster_id));
  mesh.cluster_domain = env.text("CLUSTER_DOMAIN", mesh.cluster_domain);
  mesh.prefered_service_namespace = non_empty(env, "PREFERED_SERVICE_NAMESPACE");
  mesh.localhost_app_tunnel = env.boolean("LOCALHOST_APP_TUNNEL", true);
  mesh.baggage = env.boolean("ENABLE_RESPONSE_BAGGAGE", true);
}

void read_xds(const Env& all, EnvReader& env, const ProxyConfig& proxy_config,
              const Surroundings& around, Config& config) {
  auto& xds = config.xds;
  xds.address = read_address(env, "XDS_ADDRESS", proxy_config.discovery_address);
  xds.root = read_root(env, "XDS_ROOT_CA", around);
  xds.alt_hostname = non_empty(env, "ALT_XDS_HOSTNAME");
  xds.headers = read_headers(all, env, "XDS_HEADER_");
  xds.on_demand = env.boolean("XDS_ON_DEMAND", false);
  xds.local_path = non_empty(env, "LOCAL_XDS_PATH");
  xds.local_inline = non_empty(env, "LOCAL_XDS");
  if (xds.local_path && xds.local_inline) {
    env.fail("only one of LOCAL_XDS_PATH or LOCAL_XDS may be set");
  }
  xds.pod_name = env.text("POD_NAME", "");
  xds.pod_namespace = env.text("POD_NAMESPACE", "");
  xds.instance_ip = env.text("INSTANCE_IP", xds.instance_ip);
  // istiod refuses a node whose id does not hold an IP address.
  if (const auto ip = net::IpAddress::parse(xds.instance_ip); !ip) {
    env.reject("INSTANCE_IP", ip.error().message());
  }
  for (auto it = all.lower_bound(std::string(kMetaJsonPrefix));
       it != all.end() && it->first.starts_with(kMetaJsonPrefix); ++it) {
    if (nlohmann::json::accept(it->second)) {
      xds.metadata_json[it->first.substr(kMetaJsonPrefix.size())] = it->second;
    } else {
      config.warnings.push_back(
          fmt::format("{} is not JSON; it is not sent to the control plane", it->first));
    }
  }
}

void read_ca(const Env& all, EnvReader& env, const Surroundings& around, Config& config) {
  auto& ca = config.ca;
  ca.root = read_root(env, "CA_ROOT_CA", around);
  ca.alt_hostname = non_empty(env, "ALT_CA_HOSTNAME");
  ca.headers = read_headers(all, env, "CA_HEADER_");
  ca.secret_ttl = env.duration("SECRET_TTL", ca.secret_ttl);
  ca.local_dir = non_empty(env, "LOCAL_CA_DIR");
  if (env.boolean("FAKE_CA", false) && !ca.local_dir) ca.local_dir = kFakeCaDir;

  const size_t errors = env.errors().size();
  ca.address = read_address(env, "CA_ADDRESS", std::nullopt);
  if (!ca.address && !ca.local_dir && env.errors().size() == errors) {
    env.reject("CA_ADDRESS", "certificates need a CA: give its address, or LOCAL_CA_DIR");
  }
  if (ca.local_dir) ca.address.reset();

  if (const auto token = env.text("AUTH_TOKEN")) {
    if (!token->empty()) config.auth = AuthToken{around.exists(*token), *token};
  } else if (around.exists(kDefaultToken)) {
    config.auth = AuthToken{true, kDefaultToken};
  }
}

void read_termination(EnvReader& env, Config& config) {
  const auto deadline = env.optional_duration("CONNECTION_TERMINATION_DEADLINE");
  const auto grace = env.optional_number<uint64_t>("TERMINATION_GRACE_PERIOD_SECONDS");
  if (deadline) {
    config.termination_deadline = *deadline;
  } else if (grace) {
    // Leave time to exit before the kubelet kills the process. A year is for ever here.
    constexpr uint64_t kYear = 365 * 86400;
    const uint64_t given = std::clamp<uint64_t>(*grace, 1, kYear);
    const uint64_t kept = given > 10 ? given - 5 : given - 1;
    config.termination_deadline = seconds(std::max<uint64_t>(1, kept));
  }
}

void read_logging(EnvReader& env, Config& config) {
  auto& logging = config.logging;
  if (env.equals("LOG_FORMAT", "json")) logging.format = log::Format::kJson;
  // The directive in front is what Istio's ztunnel lists, and tools compare the listing.
  logging.filter = "hickory_server::server=off," + env.text("RUST_LOG", "info");
  if (const auto filter = log::Filter::parse(logging.filter); !filter) {
    env.reject("RUST_LOG", filter.error().message());
  }
  logging.policy_at_info = env.equals("AUTHZ_POLICY_INFO_LOGGING", "true");
}

void read_own_identity(const EnvReader& env, Config& config) {
  const auto name = non_empty(env, "POD_NAME");
  const auto ns = non_empty(env, "POD_NAMESPACE");
  const auto account = non_empty(env, "SERVICE_ACCOUNT");
  if (!name || !ns || !account) return;
  config.own_workload = PodInfo{.name = *name, .namespace_ = *ns, .service_account = *account};
  config.own_identity = state::Identity{env.text("TRUST_DOMAIN", "cluster.local"), *ns, *account};
}

}  // namespace

Result<Config> Config::from_env(const Env& all, const Surroundings& around) {
  Config config;
  EnvReader env(all);
  config.warnings = around.warnings;
  config.args = fmt::format("{}", fmt::join(around.args, " "));
  config.istio_version = env.text("ISTIO_META_ISTIO_VERSION", config.istio_version);

  const ProxyConfig proxy_config = read_proxy_config(env, around);
  config.xds.metadata = read_metadata(all, proxy_config);
  config.proxy = env.boolean("ENABLE_PROXY", true);
  config.worker_threads = ztunnel::worker_threads(env, proxy_config.concurrency, around.cpus);
  read_mode(env, config);
  read_listeners(env, proxy_config, around, config);
  read_http2_and_pool(env, config);
  read_memory(env, around.memory, config);
  read_sockets(env, config);
  read_mesh(env, config);
  read_xds(all, env, proxy_config, around, config);
  read_ca(all, env, around, config);
  read_termination(env, config);
  read_logging(env, config);
  read_own_identity(env, config);
  config.resolver = parse_resolv_conf(around.resolv_conf);
  config.inpod.uds = env.text("INPOD_UDS", config.inpod.uds);
  config.inpod.port_reuse = env.boolean("INPOD_PORT_REUSE", true);
  config.tls.tls12 = env.equals("TLS12_ENABLED", "true");
  config.tls.post_quantum_only = env.equals("COMPLIANCE_POLICY", "pqc");
  config.tls.crl_path = non_empty(env, "CRL_PATH");

  if (config.dns_proxy && config.xds.on_demand) {
    env.fail("error parsing proxy config: DNS proxy does not currently support on-demand mode");
  }
  if (!config.proxy && !config.dns_proxy) {
    env.fail("error parsing proxy config: ztunnel run without any servers enabled");
  }
  report_unsupported(all, env, config);
  if (auto result = env.result(); !result) return result.error();
  return config;
}

}  // namespace culvert::ztunnel
