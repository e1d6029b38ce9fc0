#include "ztunnel/config.h"

#include <nlohmann/json.hpp>

// The encodings are those that Istio's ztunnel prints, so that a person who compares two dumps sees
// only what differs.
namespace culvert::ztunnel {
namespace {

using nlohmann::json;

template <class T>
json optional(const std::optional<T>& value) {
  return value ? json(*value) : json(nullptr);
}

json duration(nanoseconds value) {
  constexpr int64_t kSecond = 1'000'000'000;
  return {{"secs", value.count() / kSecond}, {"nanos", value.count() % kSecond}};
}

json listen_address(const ListenAddress& value) {
  if (value.localhost) return {{"Localhost", json::array({value.ipv6, value.port()})}};
  return {{"SocketAddr", value.address.to_string()}};
}

json workload(const std::optional<PodInfo>& value) {
  if (!value) return nullptr;
  return {{"name", value->name},
          {"namespace", value->namespace_},
          {"serviceAccount", value->service_account}};
}

json root_cert(const RootCert& value) {
  switch (value.kind) {
    case RootCert::Kind::kFile:
      return {{"File", value.value}};
    case RootCert::Kind::kPem:
      return "Static";
    case RootCert::Kind::kSystem:
      return "Default";
  }
  return nullptr;
}

json uri(const std::optional<ControlPlaneAddress>& value) {
  return value ? json(value->uri) : json(nullptr);
}

json headers(const std::vector<std::pair<std::string, std::string>>& values) {
  json list = json::array();
  for (const auto& [key, value] : values) list.push_back(json::array({key, value}));
  return list;
}

void add_listeners(json& out, const Config::Listeners& listeners) {
  out["adminAddr"] = listen_address(listeners.admin);
  out["statsAddr"] = listen_address(listeners.stats);
  out["readinessAddr"] = listen_address(listeners.readiness);
  out["inboundAddr"] = listeners.inbound.to_string();
  out["inboundPlaintextAddr"] = listeners.inbound_plaintext.to_string();
  out["outboundAddr"] = listeners.outbound.to_string();
  out["dnsProxyAddr"] = listen_address(listeners.dns);
  out["socks5Addr"] = listeners.socks5 ? json(listeners.socks5->to_string()) : json(nullptr);
  out["illegalPorts"] = listeners.illegal_ports;
}

void add_control_plane(json& out, const Config& config) {
  out["xdsAddress"] = uri(config.xds.address);
  out["xdsRootCert"] = root_cert(config.xds.root);
  out["altXdsHostname"] = optional(config.xds.alt_hostname);
  out["xdsHeaders"] = headers(config.xds.headers);
  out["xdsOnDemand"] = config.xds.on_demand;
  out["proxyMetadata"] = config.xds.metadata;
  out["caAddress"] = uri(config.ca.address);
  out["caRootCert"] = root_cert(config.ca.root);
  out["altCaHostname"] = optional(config.ca.alt_hostname);
  out["caHeaders"] = headers(config.ca.headers);
  out["secretTtl"] = duration(config.ca.secret_ttl);
  out["fakeCa"] = config.ca.local_dir.has_value();
  out["localCaDir"] = optional(config.ca.local_dir);
  out["fakeSelfInbound"] = false;
}

json resolver_json(const Config::Resolver& value) {
  json servers = json::array();
  for (const std::string& server : value.name_servers) servers.push_back({{"ip", server}});
  return {{"domain", nullptr}, {"search", value.search}, {"name_servers", std::move(servers)}};
}

}  // namespace

json Config::to_json() const {
  json out;
  out["proxy"] = proxy;
  out["dnsProxy"] = dns_proxy;
  out["windowSize"] = http2.stream_window;
  out["connectionWindowSize"] = http2.connection_window;
  out["frameSize"] = http2.frame_size;
  out["memoryBudget"] = memory.budget;
  out["workloadMemoryBudget"] = memory.workload_budget;
  out["poolMaxStreamsPerConn"] = pool.max_streams_per_connection;
  out["poolUnusedReleaseTimeout"] = duration(pool.unused_release_timeout);
  add_listeners(out, listeners);
  out["network"] = mesh.network;
  out["localNode"] = optional(mesh.node);
  out["proxyMode"] = mode == ProxyMode::kShared ? "Shared" : "Dedicated";
  out["proxyWorkloadInformation"] = workload(proxy_workload);
  out["clusterId"] = mesh.cluster_id;
  out["clusterDomain"] = mesh.cluster_domain;
  out["preferedServiceNamespace"] = optional(mesh.prefered_service_namespace);
  add_control_plane(out, *this);
  out["selfTerminationDeadline"] = duration(termination_deadline);
  out["numWorkerThreads"] = worker_threads;
  out["requireOriginalSource"] = optional(sockets.original_source);
  out["proxyArgs"] = args;
  out["dnsResolverCfg"] = resolver_json(resolver);
  out["dnsResolverOpts"] = json::object();
  out["inpodUds"] = inpod.uds;
  out["inpodPortReuse"] = inpod.port_reuse;
  out["packetMark"] = optional(sockets.packet_mark);
  out["socketConfig"] = {{"keepaliveTime", duration(sockets.keepalive_time)},
                         {"keepaliveInterval", duration(sockets.keepalive_interval)},
                         {"keepaliveRetries", sockets.keepalive_retries},
                         {"keepaliveEnabled", sockets.keepalive},
                         {"userTimeoutEnabled", sockets.user_timeout}};
  out["localhostAppTunnel"] = mesh.localhost_app_tunnel;
  out["ztunnelIdentity"] = own_identity ? json(own_identity->to_string()) : json(nullptr);
  out["ztunnelWorkload"] = workload(own_workload);
  out["ipv6Enabled"] = ipv6;
  out["crlPath"] = optional(tls.crl_path);
  out["enableEnhancedBaggage"] = mesh.baggage;
  return out;
}

}  // namespace culvert::ztunnel
