#pragma once

#include "common/metrics/registry.h"
#include "common/metrics/shard.h"
#include "common/state/balance.h"
#include "common/state/workload.h"

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

// The node proxy's metrics: Istio's names, help texts and label orders, which dashboards depend on.
namespace culvert::ztunnel {

// Every family, in order of output. Registered once, before the first shard is made. Those of what
// this build does not do (xDS, DNS, CRLs) are there, without values, as dashboards name them.
struct MetricFamilies {
  MetricFamilies(metrics::Registry& registry, bool shared_mode);

  metrics::FamilyId build;                          // component, tag
  metrics::FamilyId development_ca;                 // 1 while certificates come from LOCAL_CA_DIR
  metrics::FamilyId config_loads, config_rejected;  // versions of the mesh file taken, and refused
  metrics::FamilyId xds_terminations;               // reason
  metrics::FamilyId xds_messages;                   // url
  metrics::FamilyId xds_message_bytes;              // url
  metrics::FamilyId opened, closed, received, sent, failed;  // traffic labels
  metrics::FamilyId sockets_open;                            // reporter
  metrics::FamilyId on_demand_dns;                           // source_*, hostname
  metrics::FamilyId crl_rejections, crl_untracked;           // reporter
  metrics::FamilyId dns_requests, dns_upstream_requests, dns_upstream_failures,
      dns_upstream_seconds;
  // Shared mode only; without it these are not registered and must not be used.
  metrics::FamilyId active_proxies, pending_proxies, proxies_started, proxies_stopped;
};

enum class Reporter : uint8_t { kSource, kDestination };
enum class SecurityPolicy : uint8_t { kUnknown, kMutualTls };

// How a connection ended. kNone ("-") is success, and connections closed by a drain.
enum class ResponseFlag : uint8_t {
  kNone,
  kDeny,
  kConnect,
  kTlsFailure,
  kH2HandshakeFailure,
  kNetworkPolicy,
  kIdentityError,
  kCertRevoked
};
inline constexpr size_t kResponseFlags = 8;
std::string_view to_string(ResponseFlag flag);
std::string_view to_string(Reporter reporter);

// A peer known only by what it said of itself in baggage, and by its certificate. Empty: not given.
struct DerivedWorkload {
  std::string workload_name, namespace_, cluster, service_name, revision, region, zone;
  std::string identity;  // "spiffe://…", verified
};

// The label values of one connection's traffic metrics. Refers to the objects given; built, used
// for one look-up and dropped while they live. Empty values print as "unknown". The calls keep
// Istio's order, later ones win: derived_source, source, destination, service, derived_destination.
class TrafficLabels {
 public:
  TrafficLabels(Reporter reporter, SecurityPolicy policy);
  TrafficLabels(const TrafficLabels&) = delete;
  TrafficLabels& operator=(const TrafficLabels&) = delete;

  void derived_source(const DerivedWorkload& source);
  // Everything of the source except its principal, which only a certificate gives.
  void source(const state::Workload& workload);
  void source_principal(std::string_view verified_identity);
  // Also the principal, computed from the workload's names: it is not verified.
  void destination(const state::Workload& workload);
  void service(const state::ServiceRef& service);
  // Everything of the destination, with "unknown" for what the peer did not say.
  void derived_destination(const DerivedWorkload& destination);

  // A temporary would be gone before the look-up.
  void derived_source(const DerivedWorkload&&) = delete;
  void source(const state::Workload&&) = delete;
  void destination(const state::Workload&&) = delete;
  void service(const state::ServiceRef&&) = delete;
  void derived_destination(const DerivedWorkload&&) = delete;

  static constexpr size_t kValues = 27;
  static constexpr size_t kFlagIndex = 21;
  // In the order of the label names; without the locality quartet if nothing was applied.
  [[nodiscard]] std::span<const std::string_view> values() const;
  // An exact, compact encoding of everything but the response flag.
  void append_key(std::string& out) const;

 private:
  std::array<std::string_view, kValues> values_{};
  std::string destination_principal_;
  bool applied_ = false;
};

// The counters of one label set on one worker. Stable for the worker's life; a connection keeps a
// pointer.
class TrafficSeries {
 public:
  // Bytes read from the client's side, and bytes written towards it, whoever reports. Added as they
  // pass.
  metrics::Counter& received() { return *received_; }
  metrics::Counter& sent() { return *sent_; }

 private:
  friend class TrafficMetrics;
  metrics::Counter* received_ = nullptr;
  metrics::Counter* sent_ = nullptr;
  metrics::Counter* opened_ = nullptr;
  // By flag; made when a connection first ends so, because a series that exists is printed.
  std::array<metrics::Counter*, kResponseFlags> closed_{};
  std::array<metrics::Counter*, kResponseFlags> failed_{};
  metrics::Labels labels_;  // with the flag "-"
};

// A worker's connection counters. opened and closed{flag} are different series, as in Istio:
// "opened" is counted with the flag "-", "closed" with the final one, and "failed" in addition if
// that is not "-".
class TrafficMetrics {
 public:
  static constexpr size_t kMaxLabelSets = 100'000;

  TrafficMetrics(const MetricFamilies& families, const metrics::Registry& registry,
                 metrics::Shard& shard, size_t max_label_sets = kMaxLabelSets);

  // Counts a connection. At most `max_label_sets` sets are kept apart, all further ones count as
  // one whose values are "overflow".
  TrafficSeries& opened(const TrafficLabels& labels);
  void closed(TrafficSeries& series, ResponseFlag flag);
  metrics::Gauge& sockets_open(Reporter reporter);

 private:
  std::unique_ptr<TrafficSeries> make(std::span<const std::string_view> values);

  const MetricFamilies& families_;
  const std::vector<std::string>& names_;
  metrics::Shard& shard_;
  const size_t max_label_sets_;
  std::string key_;  // scratch
  std::unordered_map<std::string, std::unique_ptr<TrafficSeries>> series_;
  std::unique_ptr<TrafficSeries> overflow_;
  std::array<metrics::Gauge*, 2> sockets_open_{};
};

}  // namespace culvert::ztunnel
