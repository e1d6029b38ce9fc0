#include "common/http/chars.h"
#include "waypoint/config/document.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace culvert::waypoint::config {
namespace {

constexpr size_t kMaxName = 253;  // of a Kubernetes object, and of a DNS name

bool is_kubernetes_name(std::string_view text) {
  const auto good = [](char c) {
    return (c >= 'a' && c <= 'z') || http::is_digit(c) || c == '-' || c == '.' || c == '_';
  };
  return !text.empty() && text.size() <= kMaxName && std::all_of(text.begin(), text.end(), good);
}

// Names that end up in identities and metric labels.
void read_kubernetes_name(const Fields& fields, std::string_view key, std::string& out) {
  fields.read(key, out);
  const auto item = fields.get(key);
  if (item && item->node().IsScalar() && !out.empty() && !is_kubernetes_name(out)) {
    item->fail("must be a Kubernetes name: lower-case letters, digits, '-', '.'");
  }
}

std::optional<Tunnel> read_tunnel(const Item& item) {
  return item.choice<Tunnel>({{"hbone", Tunnel::kHbone}, {"none", Tunnel::kPlain}});
}

std::optional<Health> read_health(const Item& item) {
  return item.choice<Health>({{"healthy", Health::kHealthy},
                              {"unhealthy", Health::kUnhealthy},
                              {"draining", Health::kDraining}});
}

Port read_port(const Item& item) {
  const Fields fields(item, {"name", "port", "targetPort", "protocol"});
  Port out;
  out.where = item.where();
  std::string ignored_name;  // for people; Istio would guess the protocol from it
  fields.read("name", ignored_name);
  if (const auto port = fields.require("port")) out.port = port->port().value_or(0);
  out.target = out.port;
  if (const auto target = fields.get("targetPort")) out.target = target->port().value_or(0);
  if (const auto protocol = fields.get("protocol")) {
    const auto value = protocol->choice<AppProtocol>({{"http", AppProtocol::kHttp},
                                                      {"http2", AppProtocol::kHttp2},
                                                      {"grpc", AppProtocol::kGrpc},
                                                      {"tcp", AppProtocol::kTcp},
                                                      {"tls", AppProtocol::kTls},
                                                      {"sniff", AppProtocol::kSniff}});
    out.protocol = value.value_or(AppProtocol::kSniff);
  }
  return out;
}

std::map<uint16_t, uint16_t> read_port_map(const Item& item) {
  std::map<uint16_t, uint16_t> out;
  for (const Item& element : item.list()) {
    const Fields fields(element, {"port", "targetPort"});
    const auto port = fields.require("port");
    const auto target = fields.require("targetPort");
    if (!port || !target) continue;
    const auto from = port->port();
    const auto to = target->port();
    if (from && to && !out.emplace(*from, *to).second) element.fail("names a port a second time");
  }
  return out;
}

ServiceEndpoint read_endpoint(const Item& item) {
  const Fields fields(
      item, {"workload", "address", "tunnel", "identity", "ports", "weight", "priority", "health"});
  ServiceEndpoint out;
  out.where = item.where();
  fields.read("workload", out.workload);
  if (const auto address = fields.get("address")) out.address = read_ip(*address);
  if (fields.has("workload") == fields.has("address")) {
    item.fail("needs either \"workload\" or \"address\"");
  }
  if (fields.has("workload") && (fields.has("tunnel") || fields.has("identity"))) {
    item.fail(
        "\"tunnel\" and \"identity\" belong to the workload, or to an endpoint with an address");
  }
  if (const auto tunnel = fields.get("tunnel")) {
    out.tunnel = read_tunnel(*tunnel).value_or(Tunnel::kPlain);
  }
  if (const auto identity = fields.get("identity")) {
    if (const auto text = identity->text()) {
      if (const auto parsed = state::Identity::parse(*text)) {
        out.identity = *parsed;
      } else {
        identity->fail("must look like spiffe://<trust domain>/ns/<namespace>/sa/<account>");
      }
    }
  }
  if (const auto ports = fields.get("ports")) out.ports = read_port_map(*ports);
  fields.read("weight", out.state.weight, 0, 1'000'000);
  fields.read("priority", out.state.priority, 0, 127);
  if (const auto health = fields.get("health")) {
    out.state.health = read_health(*health).value_or(Health::kUnhealthy);
  }
  return out;
}

UpstreamLimits read_traffic_policy(const Item& item) {
  const Fields fields(item, {"connectTimeout", "idleTimeout", "maxConnections",
                             "maxPendingRequests", "maxRequests", "maxRetries"});
  UpstreamLimits out;
  fields.read("connectTimeout", out.connect_timeout);
  fields.read("idleTimeout", out.idle_timeout);
  fields.read("maxConnections", out.max_connections, 1, UpstreamLimits::kUnlimited);
  fields.read("maxPendingRequests", out.max_pending_requests, 0, UpstreamLimits::kUnlimited);
  fields.read("maxRequests", out.max_requests, 1, UpstreamLimits::kUnlimited);
  fields.read("maxRetries", out.max_retries, 0, UpstreamLimits::kUnlimited);
  if (out.connect_timeout == Millis(0)) item.fail("\"connectTimeout\" must be more than 0");
  return out;
}

// An address is a VIP, with a slash a range of them.
void read_addresses(const Item& item, ServiceSpec& out) {
  for (const Item& element : item.list()) {
    const auto text = element.text();
    if (!text) continue;
    if (text->find('/') == std::string::npos) {
      if (const auto ip = read_ip(element)) out.vips.push_back(*ip);
    } else if (const auto range = read_cidr(element)) {
      out.ranges.push_back(*range);
    }
  }
}

state::Locality read_locality(const Item& item) {
  const Fields fields(item, {"region", "zone", "subzone"});
  state::Locality out;
  fields.read("region", out.region);
  fields.read("zone", out.zone);
  fields.read("subzone", out.subzone);
  return out;
}

}  // namespace

std::pair<std::string, std::string> read_name(const Fields& fields, const Self& self) {
  std::pair<std::string, std::string> out{"", self.namespace_};
  read_kubernetes_name(fields, "name", out.first);
  read_kubernetes_name(fields, "namespace", out.second);
  (void)fields.require("name");
  return out;
}

std::optional<net::IpAddress> read_ip(const Item& item) {
  const auto text = item.text();
  if (!text) return std::nullopt;
  const auto ip = net::IpAddress::parse(*text);
  if (!ip || ip->is_unspecified()) {
    item.fail(fmt::format("\"{}\" is not an IP address", *text));
    return std::nullopt;
  }
  return *ip;
}

std::optional<net::Cidr> read_cidr(const Item& item) {
  const auto text = item.text();
  if (!text) return std::nullopt;
  if (const auto range = net::Cidr::parse(*text)) return *range;
  if (const auto ip = net::IpAddress::parse(*text)) {
    if (const auto range = net::Cidr::make(*ip, ip->is_v4() ? 32 : 128)) return *range;
  }
  item.fail(fmt::format("\"{}\" is neither an IP address nor a range such as 10.0.0.0/8", *text));
  return std::nullopt;
}

std::optional<std::string> to_hostname(std::string text, const Item& item) {
  for (char& c : text) c = http::to_lower(c);
  if (text.ends_with('.')) text.pop_back();
  // An address would be looked up as a VIP and never as a name.
  if (!is_kubernetes_name(text) || net::IpAddress::parse(text)) {
    item.fail(fmt::format("\"{}\" is not a host name", text));
    return std::nullopt;
  }
  return text;
}

std::optional<std::string> read_hostname(const Item& item) {
  auto text = item.text();
  return text ? to_hostname(std::move(*text), item) : std::nullopt;
}

Self read_self(const Item& item, const Self& defaults) {
  const Fields fields(item, {"name", "namespace", "serviceAccount", "trustDomain", "clusterDomain",
                             "clusterId", "network"});
  Self out = defaults;
  read_kubernetes_name(fields, "name", out.name);
  read_kubernetes_name(fields, "namespace", out.namespace_);
  // Istio's controller names the account after the Gateway.
  if (out.name != defaults.name) out.service_account = out.name;
  read_kubernetes_name(fields, "serviceAccount", out.service_account);
  read_kubernetes_name(fields, "trustDomain", out.trust_domain);
  read_kubernetes_name(fields, "clusterDomain", out.cluster_domain);
  fields.read("clusterId", out.cluster_id);
  fields.read("network", out.network);
  return out;
}

ServiceSpec read_service(const Item& item, const Self& self) {
  const Fields fields(item, {"name", "namespace", "hostnames", "addresses", "ports", "endpoints",
                             "trafficPolicy", "served", "publishNotReadyAddresses"});
  ServiceSpec out;
  out.where = item.where();
  std::tie(out.ref.name, out.ref.namespace_) = read_name(fields, self);
  if (const auto hosts = fields.get("hostnames")) {
    for (const Item& host : hosts->list()) {
      if (auto name = read_hostname(host)) out.hostnames.push_back(std::move(*name));
    }
  }
  if (out.hostnames.empty()) {
    out.hostnames.push_back(
        fmt::format("{}.{}.svc.{}", out.ref.name, out.ref.namespace_, self.cluster_domain));
  }
  out.ref.hostname = out.hostnames.front();
  if (const auto addresses = fields.get("addresses")) read_addresses(*addresses, out);
  if (const auto ports = fields.require("ports")) {
    for (const Item& port : ports->list()) out.ports.push_back(read_port(port));
  }
  if (const auto endpoints = fields.get("endpoints")) {
    for (const Item& endpoint : endpoints->list()) {
      out.endpoints.push_back(read_endpoint(endpoint));
    }
  }
  if (const auto policy = fields.get("trafficPolicy")) out.limits = read_traffic_policy(*policy);
  fields.read("served", out.served);
  fields.read("publishNotReadyAddresses", out.publish_not_ready);
  return out;
}

WorkloadSpec read_workload(const Item& item, const Self& self) {
  const Fields fields(item, {"name", "namespace", "addresses", "serviceAccount", "trustDomain",
                             "workloadName", "workloadType", "canonicalName", "canonicalRevision",
                             "clusterId", "network", "locality", "tunnel", "direct"});
  WorkloadSpec out;
  out.where = item.where();
  Workload& workload = out.workload;
  std::tie(workload.name, workload.namespace_) = read_name(fields, self);
  workload.trust_domain = self.trust_domain;
  workload.cluster_id = self.cluster_id;
  workload.network = self.network;
  workload.workload_name = workload.name;
  if (const auto addresses = fields.require("addresses")) {
    for (const Item& address : addresses->list()) {
      if (const auto ip = read_ip(address)) workload.addresses.push_back(*ip);
    }
  }
  read_kubernetes_name(fields, "serviceAccount", workload.service_account);
  read_kubernetes_name(fields, "trustDomain", workload.trust_domain);
  fields.read("workloadName", workload.workload_name);
  fields.read("workloadType", workload.workload_type);
  workload.canonical_name = workload.workload_name;
  fields.read("canonicalName", workload.canonical_name);
  fields.read("canonicalRevision", workload.canonical_revision);
  fields.read("clusterId", workload.cluster_id);
  fields.read("network", workload.network);
  if (const auto locality = fields.get("locality")) workload.locality = read_locality(*locality);
  if (const auto tunnel = fields.get("tunnel")) {
    workload.tunnel = read_tunnel(*tunnel).value_or(Tunnel::kHbone);
  }
  fields.read("direct", out.direct);
  return out;
}

}  // namespace culvert::waypoint::config
