#pragma once

#include "common/state/store.h"

#include <fmt/format.h>

#include <cstdint>
#include <map>
#include <utility>

// A mesh of any size for micro-benchmarks: `workloads` pods spread over services of
// `endpoints_each`, all in one network.
namespace culvert::bench {

struct Sizes {
  uint32_t workloads = 0;
  uint32_t endpoints_each = 200;
  [[nodiscard]] uint32_t services() const {
    return (workloads + endpoints_each - 1) / endpoints_each;
  }
};

inline net::IpAddress numbered(const char* pattern, uint32_t number) {
  return net::IpAddress::parse(
             fmt::format(fmt::runtime(pattern), number >> 16, number >> 8 & 255, number & 255))
      .value();
}
inline net::IpAddress pod_ip(uint32_t i) { return numbered("10.{}.{}.{}", i); }
inline net::IpAddress service_vip(uint32_t i) { return numbered("172.{}.{}.{}", i); }

inline state::NamespacedHostname service_key(uint32_t service) {
  return {fmt::format("ns-{}", service % 200),
          fmt::format("app-{}.ns-{}.svc.cluster.local", service, service % 200)};
}

inline state::ServiceSpec service(uint32_t number) {
  state::ServiceSpec result;
  auto key = service_key(number);
  result.name = fmt::format("app-{}", number);
  result.namespace_ = std::move(key.namespace_);
  result.hostname = std::move(key.hostname);
  result.vips = {{"", service_vip(number)}};
  result.ports = {{80, 8080}, {9090, 9090}};
  return result;
}

inline state::WorkloadSpec workload(uint32_t i, const Sizes& sizes) {
  const uint32_t number = i / sizes.endpoints_each;
  state::WorkloadSpec result;
  result.namespace_ = fmt::format("ns-{}", number % 200);
  result.name = fmt::format("app-{}-{:08x}-{:05x}", number, number * 2654435761U, i);
  result.uid = fmt::format("cluster1//Pod/{}/{}", result.namespace_, result.name);
  result.ips = {pod_ip(i)};
  result.protocol = state::Protocol::kHbone;
  result.trust_domain = "cluster.local";
  result.service_account = fmt::format("app-{}", number);
  result.node = fmt::format("worker-{}", i % 50);
  result.workload_name = result.canonical_name = fmt::format("app-{}", number);
  result.workload_type = "deployment";
  result.canonical_revision = "v1";
  result.cluster_id = "cluster1";
  return result;
}

inline state::ServicePorts ports_of(uint32_t i, const Sizes& sizes) {
  return {{service_key(i / sizes.endpoints_each), {{80, 8080}, {9090, 9090}}}};
}

inline void insert(state::Store& store, uint32_t i, const Sizes& sizes) {
  store.upsert_workload(workload(i, sizes), ports_of(i, sizes));
}

// Everything inserted and committed.
inline void fill(state::Store& store, const Sizes& sizes) {
  for (uint32_t i = 0; i < sizes.services(); ++i) store.upsert_service(service(i));
  for (uint32_t i = 0; i < sizes.workloads; ++i) insert(store, i, sizes);
  store.commit();
}

}  // namespace culvert::bench
