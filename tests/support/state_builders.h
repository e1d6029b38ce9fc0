#pragma once

#include "common/state/store.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

// Short ways to say workloads, services and policies in tests.
namespace culvert::test {

inline net::IpAddress ip(std::string_view text) { return net::IpAddress::parse(text).value(); }
inline net::SocketAddress address(std::string_view text) {
  return net::SocketAddress::parse(text).value();
}
inline net::Cidr cidr(std::string_view text) { return net::Cidr::parse(text).value(); }

inline std::vector<net::IpAddress> ips(const std::vector<std::string_view>& texts) {
  std::vector<net::IpAddress> result;
  for (const auto text : texts) result.push_back(ip(text));
  return result;
}

// A pod "cluster1//Pod/ns/<name>" of service account "default" that speaks HBONE.
inline state::WorkloadSpec pod(std::string name, const std::vector<std::string_view>& addresses) {
  state::WorkloadSpec workload;
  workload.uid = "cluster1//Pod/ns/" + name;
  workload.name = std::move(name);
  workload.namespace_ = "ns";
  workload.ips = ips(addresses);
  workload.protocol = state::Protocol::kHbone;
  workload.trust_domain = "cluster.local";
  workload.service_account = "default";
  return workload;
}

// A service <name>.ns.svc of network "" with port 80 -> 8080.
inline state::ServiceSpec service(std::string name, const std::vector<std::string_view>& vips) {
  state::ServiceSpec result;
  result.hostname = name + ".ns.svc";
  result.name = std::move(name);
  result.namespace_ = "ns";
  for (const auto vip : vips) result.vips.push_back({"", ip(vip)});
  result.ports = {{80, 8080}};
  return result;
}

inline state::GatewayAddress gateway(std::string network, std::string_view address, uint16_t port) {
  return {state::NetworkAddress{std::move(network), ip(address)}, port};
}
inline state::GatewayAddress gateway_host(std::string ns, std::string hostname, uint16_t port) {
  return {state::NamespacedHostname{std::move(ns), std::move(hostname)}, port};
}

}  // namespace culvert::test
