#include "ztunnel/connection_record.h"

#include "ztunnel/errors.h"

#include <fmt/format.h>

#include <chrono>

namespace culvert::ztunnel {
namespace {

const log::Target kAccess{"access"};

DerivedWorkload derived(const ConnectionFacts& facts) {
  const hbone::Baggage& said = facts.source_baggage;
  return {.workload_name = said.workload_name,
          .namespace_ = said.namespace_,
          .cluster = said.cluster_id,
          .service_name = said.service_name,
          .revision = said.service_version,
          .region = said.region,
          .zone = said.zone,
          .identity = facts.source_identity ? facts.source_identity->to_string() : ""};
}

TrafficSeries& open_series(TrafficMetrics& metrics, const ConnectionFacts& facts) {
  TrafficLabels labels(facts.reporter,
                       facts.mutual_tls ? SecurityPolicy::kMutualTls : SecurityPolicy::kUnknown);
  const DerivedWorkload source = derived(facts);
  if (facts.reporter == Reporter::kDestination && facts.source_workload == nullptr)
    labels.derived_source(source);
  if (facts.source_workload != nullptr) labels.source(*facts.source_workload);
  if (!source.identity.empty()) labels.source_principal(source.identity);
  if (facts.destination_workload != nullptr) labels.destination(*facts.destination_workload);
  if (facts.service) labels.service(*facts.service);
  return metrics.opened(labels);
}

void add(std::vector<log::Field>& fields, std::string_view key, std::string_view value) {
  if (!value.empty()) fields.push_back(log::str(key, std::string(value)));
}

// What a workload is called in the log: its pod, else its service.
std::string log_name(const state::Workload& workload) {
  std::string name = workload.name();
  return name.empty() ? std::string(workload.canonical_name()) : name;
}

}  // namespace

ConnectionRecord::ConnectionRecord(TrafficMetrics& metrics, ConnectionFacts facts, Time started)
    : metrics_(metrics),
      facts_(std::move(facts)),
      series_(&open_series(metrics, facts_)),
      started_(started),
      received_(series_->received()),
      sent_(series_->sent()) {
  if (kAccess.enabled(log::Level::kDebug))
    log(log::Level::kDebug, "connection opened", nullptr, false);
}

ConnectionRecord::~ConnectionRecord() { finish(Error(Errc::kDrain)); }

void ConnectionRecord::finish(const Error& error) {
  if (finished_) return;
  finished_ = true;
  metrics_.closed(*series_, response_flag(error));
  const bool failed = static_cast<bool>(error.code);
  const auto level = failed ? log::Level::kError : log::Level::kInfo;
  if (kAccess.enabled(level)) log(level, "connection complete", failed ? &error : nullptr, true);
}

void ConnectionRecord::log(log::Level level, std::string_view message, const Error* error,
                           bool ended) const {
  std::vector<log::Field> fields;
  fields.reserve(17);
  fields.push_back(log::bare("src.addr", facts_.source.to_string()));
  if (const auto& workload = facts_.source_workload; workload != nullptr) {
    add(fields, "src.workload", log_name(*workload));
    add(fields, "src.namespace", workload->ns());
  } else {
    add(fields, "src.workload", facts_.source_baggage.workload_name);
    add(fields, "src.namespace", facts_.source_baggage.namespace_);
  }
  if (facts_.mutual_tls && facts_.source_identity)
    add(fields, "src.identity", facts_.source_identity->to_string());
  const state::Workload* source_workload = facts_.source_workload.get();
  if (source_workload != nullptr) {
    add(fields, "src.cluster", source_workload->cluster_id());
  } else {
    add(fields, "src.cluster", facts_.source_baggage.cluster_id);
  }
  fields.push_back(log::bare("dst.addr", facts_.destination.to_string()));
  if (!facts_.hbone_address.empty())
    fields.push_back(log::bare("dst.hbone_addr", facts_.hbone_address));
  if (facts_.service) add(fields, "dst.service", facts_.service->hostname);
  if (const auto& workload = facts_.destination_workload; workload != nullptr) {
    add(fields, "dst.workload", log_name(*workload));
    add(fields, "dst.namespace", workload->ns());
    if (facts_.mutual_tls) add(fields, "dst.identity", workload->identity().to_string());
    add(fields, "dst.cluster", workload->cluster_id());
  }
  const bool source = facts_.reporter == Reporter::kSource;
  add(fields, "direction", source ? "outbound" : "inbound");
  if (ended) {
    // The log speaks from this proxy's side: what it sent towards the other end of the mesh.
    fields.push_back(log::num("bytes_sent", source ? received_.total() : sent_.total()));
    fields.push_back(log::num("bytes_recv", source ? sent_.total() : received_.total()));
    const auto elapsed =
        std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - started_);
    fields.push_back(log::str("duration", fmt::format("{}ms", elapsed.count())));
  }
  if (error != nullptr) fields.push_back(log::str("error", error->message()));
  kAccess.write(level, message, fields);
}

void log_early_deny(Reporter reporter, const net::SocketAddress& source,
                    const net::SocketAddress& destination, const Error& error) {
  if (!kAccess.enabled(log::Level::kWarn)) return;
  kAccess.write(
      log::Level::kWarn, "connection failed",
      {log::bare("src.addr", source.to_string()), log::bare("dst.addr", destination.to_string()),
       log::str("direction", reporter == Reporter::kSource ? "outbound" : "inbound"),
       log::str("error", error.message())});
}

}  // namespace culvert::ztunnel
