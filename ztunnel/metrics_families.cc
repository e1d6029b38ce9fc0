#include "ztunnel/metrics.h"

namespace culvert::ztunnel {
namespace {

using metrics::FamilyId;
using metrics::FamilySpec;
using metrics::Registry;
using metrics::Type;
using Names = std::vector<std::string>;

const Names kReporter = {"reporter"};

Names source_names() {
  return {"source_workload",
          "source_canonical_service",
          "source_canonical_revision",
          "source_workload_namespace",
          "source_principal",
          "source_app",
          "source_version",
          "source_cluster"};
}

Names traffic_names() {
  Names names = kReporter;
  for (std::string& name : source_names()) names.push_back(std::move(name));
  for (const char* name :
       {"destination_service", "destination_service_namespace", "destination_service_name",
        "destination_workload", "destination_canonical_service", "destination_canonical_revision",
        "destination_workload_namespace", "destination_principal", "destination_app",
        "destination_version", "destination_cluster", "request_protocol", "response_flags",
        "connection_security_policy", "source_region", "source_zone", "destination_region",
        "destination_zone"}) {
    names.emplace_back(name);
  }
  return names;
}

FamilyId counter(Registry& registry, const char* name, const char* help, Names labels = {}) {
  FamilySpec spec;
  spec.name = name;
  spec.help = help;
  spec.labels = std::move(labels);
  return registry.add(std::move(spec));
}

FamilyId gauge(Registry& registry, const char* name, const char* help, Names labels = {}) {
  FamilySpec spec;
  spec.name = name;
  spec.help = help;
  spec.type = Type::kGauge;
  spec.labels = std::move(labels);
  return registry.add(std::move(spec));
}

void add_xds(Registry& registry, MetricFamilies& to) {
  to.xds_terminations =
      counter(registry, "istio_xds_connection_terminations",
              "The total number of completed connections to xds server (unstable)", {"reason"});
  to.xds_messages = counter(registry, "istio_xds_message",
                            "Total number of messages received (unstable)", {"url"});
  FamilySpec bytes;
  bytes.name = "istio_xds_message_bytes";
  bytes.help = "Total number of bytes received (unstable)";
  bytes.labels = {"url"};
  bytes.unit = "bytes";
  to.xds_message_bytes = registry.add(std::move(bytes));
}

void add_traffic(Registry& registry, MetricFamilies& to) {
  to.opened = counter(registry, "istio_tcp_connections_opened",
                      "The total number of TCP connections opened", traffic_names());
  to.closed = counter(registry, "istio_tcp_connections_closed",
                      "The total number of TCP connections closed", traffic_names());
  to.received =
      counter(registry, "istio_tcp_received_bytes",
              "The size of total bytes received during request in case of a TCP connection",
              traffic_names());
  to.sent = counter(registry, "istio_tcp_sent_bytes",
                    "The size of total bytes sent during response in case of a TCP connection",
                    traffic_names());
  to.failed = counter(registry, "istio_tcp_connections_failed",
                      "The total number of TCP connections that failed to establish (unstable)",
                      traffic_names());
  to.sockets_open = gauge(registry, "istio_tcp_sockets_open",
                          "The current number of open TCP sockets (unstable)", kReporter);
  Names on_demand = source_names();
  on_demand.emplace_back("hostname");
  to.on_demand_dns =
      counter(registry, "istio_on_demand_dns",
              "The total number of requests that used on-demand DNS (unstable)", on_demand);
  to.crl_rejections =
      counter(registry, "istio_crl_policy_rejections",
              "The total number of TLS handshakes rejected because of a CRL (unstable)", kReporter);
  to.crl_untracked = counter(
      registry, "istio_crl_untracked_connections",
      "The total number of connections that a CRL reload cannot reach (unstable)", kReporter);
}

void add_dns(Registry& registry, MetricFamilies& to) {
  const Names labels = {"request_query_type", "request_protocol", "source_canonical_service",
                        "source_canonical_revision"};
  to.dns_requests =
      counter(registry, "istio_dns_requests", "Total number of DNS requests (unstable)", labels);
  to.dns_upstream_requests =
      counter(registry, "istio_dns_upstream_requests",
              "Total number of DNS requests forwarded to upstream (unstable)", labels);
  to.dns_upstream_failures =
      counter(registry, "istio_dns_upstream_failures",
              "Total number of DNS requests that upstream did not answer (unstable)", labels);
  FamilySpec seconds;
  seconds.name = "istio_dns_upstream_request_duration_seconds";
  seconds.help = "Time it took upstream to answer DNS requests (unstable)";
  seconds.type = Type::kHistogram;
  seconds.labels = labels;
  seconds.unit = "seconds";
  seconds.buckets = {0.0005, 0.001, 0.01, 0.1, 1, 5};
  to.dns_upstream_seconds = registry.add(std::move(seconds));
}

}  // namespace

MetricFamilies::MetricFamilies(Registry& registry, bool shared_mode) {
  build = gauge(registry, "istio_build", "Istio component build info", {"component", "tag"});
  development_ca = gauge(registry, "culvert_development_ca",
                         "Whether certificates come from a development CA on disk (unstable)");
  config_loads = counter(registry, "culvert_config_loads",
                         "Versions of the mesh file that took effect (unstable)");
  config_rejected = counter(registry, "culvert_config_rejected",
                            "Versions of the mesh file that were refused (unstable)");
  add_xds(registry, *this);
  add_traffic(registry, *this);
  add_dns(registry, *this);
  if (!shared_mode) return;
  active_proxies = gauge(registry, "workload_manager_active_proxy_count",
                         "The total number current workloads with active proxies (unstable)");
  pending_proxies = gauge(registry, "workload_manager_pending_proxy_count",
                          "The total number current workloads with pending proxies (unstable)");
  proxies_started = counter(registry, "workload_manager_proxies_started",
                            "The total number of proxies that were started (unstable)");
  proxies_stopped = counter(registry, "workload_manager_proxies_stopped",
                            "The total number of proxies that were stopped (unstable)");
}

}  // namespace culvert::ztunnel
