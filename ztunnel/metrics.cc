#include "ztunnel/metrics.h"

#include "common/base/check.h"

#include <algorithm>

namespace culvert::ztunnel {
namespace {

constexpr std::string_view kUnknown = "unknown";

// Places in the label order; metrics_families.cc names them.
enum Index : size_t {
  kReporterAt = 0,
  kSourceWorkload,
  kSourceCanonicalService,
  kSourceCanonicalRevision,
  kSourceNamespace,
  kSourcePrincipal,
  kSourceApp,
  kSourceVersion,
  kSourceCluster,
  kDestinationService,
  kDestinationServiceNamespace,
  kDestinationServiceName,
  kDestinationWorkload,
  kDestinationCanonicalService,
  kDestinationCanonicalRevision,
  kDestinationNamespace,
  kDestinationPrincipal,
  kDestinationApp,
  kDestinationVersion,
  kDestinationCluster,
  kRequestProtocol,
  kResponseFlagsLabel,
  kSecurityPolicy,
  kSourceRegion,
  kSourceZone,
  kDestinationRegion,
  kDestinationZone,
};
static_assert(kResponseFlagsLabel == TrafficLabels::kFlagIndex);
static_assert(kDestinationZone + 1 == TrafficLabels::kValues);

std::string_view known(std::string_view value) { return value.empty() ? kUnknown : value; }

}  // namespace

std::string_view to_string(ResponseFlag flag) {
  switch (flag) {
    case ResponseFlag::kNone:
      return "-";
    case ResponseFlag::kDeny:
      return "DENY";
    case ResponseFlag::kConnect:
      return "CONNECT";
    case ResponseFlag::kTlsFailure:
      return "TLS_FAILURE";
    case ResponseFlag::kH2HandshakeFailure:
      return "H2_HANDSHAKE_FAILURE";
    case ResponseFlag::kNetworkPolicy:
      return "NETWORK_POLICY";
    case ResponseFlag::kIdentityError:
      return "IDENTITY_ERROR";
    case ResponseFlag::kCertRevoked:
      return "CERT_REVOKED";
  }
  return kUnknown;
}

std::string_view to_string(Reporter reporter) {
  return reporter == Reporter::kSource ? "source" : "destination";
}

TrafficLabels::TrafficLabels(Reporter reporter, SecurityPolicy policy) {
  values_.fill(kUnknown);
  values_[kReporterAt] = to_string(reporter);
  values_[kRequestProtocol] = "tcp";
  values_[kResponseFlagsLabel] = to_string(ResponseFlag::kNone);
  if (policy == SecurityPolicy::kMutualTls) values_[kSecurityPolicy] = "mutual_tls";
}

void TrafficLabels::derived_source(const DerivedWorkload& source) {
  applied_ = true;
  values_[kSourceWorkload] = known(source.workload_name);
  values_[kSourceCanonicalService] = known(source.service_name);
  values_[kSourceCanonicalRevision] = known(source.revision);
  values_[kSourceNamespace] = known(source.namespace_);
  values_[kSourcePrincipal] = known(source.identity);
  // Not the service name: dashboards built on Istio's ztunnel see the workload's here.
  values_[kSourceApp] = known(source.workload_name);
  values_[kSourceVersion] = known(source.revision);
  values_[kSourceCluster] = known(source.cluster);
  values_[kSourceRegion] = known(source.region);
  values_[kSourceZone] = known(source.zone);
}

void TrafficLabels::source(const state::Workload& workload) {
  applied_ = true;
  values_[kSourceWorkload] = known(workload.workload_name());
  values_[kSourceCanonicalService] = known(workload.canonical_name());
  values_[kSourceCanonicalRevision] = known(workload.canonical_revision());
  values_[kSourceNamespace] = known(workload.ns());
  values_[kSourceApp] = known(workload.canonical_name());
  values_[kSourceVersion] = known(workload.canonical_revision());
  values_[kSourceCluster] = known(workload.cluster_id());
  values_[kSourceRegion] = known(workload.region());
  values_[kSourceZone] = known(workload.zone());
}

void TrafficLabels::source_principal(std::string_view verified_identity) {
  values_[kSourcePrincipal] = known(verified_identity);
}

void TrafficLabels::destination(const state::Workload& workload) {
  applied_ = true;
  destination_principal_ = workload.identity().to_string();
  values_[kDestinationWorkload] = known(workload.workload_name());
  values_[kDestinationCanonicalService] = known(workload.canonical_name());
  values_[kDestinationCanonicalRevision] = known(workload.canonical_revision());
  values_[kDestinationNamespace] = known(workload.ns());
  values_[kDestinationPrincipal] = destination_principal_;
  values_[kDestinationApp] = known(workload.canonical_name());
  values_[kDestinationVersion] = known(workload.canonical_revision());
  values_[kDestinationCluster] = known(workload.cluster_id());
  values_[kDestinationRegion] = known(workload.region());
  values_[kDestinationZone] = known(workload.zone());
}

void TrafficLabels::service(const state::ServiceRef& service) {
  values_[kDestinationService] = known(service.hostname);
  values_[kDestinationServiceNamespace] = known(service.namespace_);
  values_[kDestinationServiceName] = known(service.name);
}

void TrafficLabels::derived_destination(const DerivedWorkload& destination) {
  applied_ = true;
  values_[kDestinationWorkload] = known(destination.workload_name);
  values_[kDestinationCanonicalService] = known(destination.service_name);
  values_[kDestinationCanonicalRevision] = known(destination.revision);
  values_[kDestinationNamespace] = known(destination.namespace_);
  values_[kDestinationPrincipal] = known(destination.identity);
  values_[kDestinationApp] = known(destination.workload_name);
  values_[kDestinationVersion] = known(destination.revision);
  values_[kDestinationCluster] = known(destination.cluster);
  values_[kDestinationRegion] = known(destination.region);
  values_[kDestinationZone] = known(destination.zone);
}

std::span<const std::string_view> TrafficLabels::values() const {
  return {values_.data(), applied_ ? kValues : static_cast<size_t>(kSourceRegion)};
}

void TrafficLabels::append_key(std::string& out) const {
  const auto all = values();
  for (size_t i = 0; i < all.size(); ++i) {
    if (i == kFlagIndex) continue;
    // A length in front of each value keeps different sets apart whatever bytes they hold.
    const auto length = static_cast<uint32_t>(all[i].size());
    out.append(reinterpret_cast<const char*>(&length), sizeof length);
    out += all[i];
  }
}

TrafficMetrics::TrafficMetrics(const MetricFamilies& families, const metrics::Registry& registry,
                               metrics::Shard& shard, size_t max_label_sets)
    : families_(families),
      names_(registry.families()[families.opened.index].labels),
      shard_(shard),
      max_label_sets_(max_label_sets) {
  CULVERT_CHECK(names_.size() == TrafficLabels::kValues);
}

TrafficSeries& TrafficMetrics::opened(const TrafficLabels& labels) {
  key_.clear();
  labels.append_key(key_);
  TrafficSeries* series = nullptr;
  if (const auto found = series_.find(key_); found != series_.end()) {
    series = found->second.get();
  } else if (series_.size() < max_label_sets_) {
    series = series_.emplace(key_, make(labels.values())).first->second.get();
  } else {
    if (!overflow_) {
      std::array<std::string_view, TrafficLabels::kValues> values;
      values.fill("overflow");
      values[TrafficLabels::kFlagIndex] = to_string(ResponseFlag::kNone);
      overflow_ = make(values);
    }
    series = overflow_.get();
  }
  series->opened_->add();
  return *series;
}

std::unique_ptr<TrafficSeries> TrafficMetrics::make(std::span<const std::string_view> values) {
  auto series = std::make_unique<TrafficSeries>();
  series->labels_ = metrics::Labels::make(names_, values);
  series->opened_ = &shard_.counter(families_.opened, series->labels_);
  // Byte counters exist, at 0, from the moment a connection is open.
  series->received_ = &shard_.counter(families_.received, series->labels_);
  series->sent_ = &shard_.counter(families_.sent, series->labels_);
  return series;
}

void TrafficMetrics::closed(TrafficSeries& series, ResponseFlag flag) {
  const auto at = static_cast<size_t>(flag);
  if (series.closed_[at] == nullptr) {
    const metrics::Labels labels =
        series.labels_.with(names_[TrafficLabels::kFlagIndex], to_string(flag));
    series.closed_[at] = &shard_.counter(families_.closed, labels);
    if (flag != ResponseFlag::kNone) {
      series.failed_[at] = &shard_.counter(families_.failed, labels);
    }
  }
  series.closed_[at]->add();
  if (flag != ResponseFlag::kNone) series.failed_[at]->add();
}

metrics::Gauge& TrafficMetrics::sockets_open(Reporter reporter) {
  metrics::Gauge*& gauge = sockets_open_[static_cast<size_t>(reporter)];
  if (gauge == nullptr) {
    gauge = &shard_.gauge(families_.sockets_open,
                          shard_.labels(families_.sockets_open, {to_string(reporter)}));
  }
  return *gauge;
}

}  // namespace culvert::ztunnel
