#include "ztunnel/connection_record.h"

#include "ztunnel/errors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <numeric>

namespace culvert::ztunnel {
namespace {

const log::Target kAccess{"access"};

// ConnectionRecord's texts.
enum Text : size_t { kHboneAddress, kService, kIdentity, kTexts };

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
      series_(&open_series(metrics, facts)),
      started_(started),
      source_workload_(std::move(facts.source_workload)),
      destination_workload_(std::move(facts.destination_workload)),
      source_(facts.source),
      destination_(facts.destination),
      reporter_(facts.reporter),
      mutual_tls_(facts.mutual_tls),
      received_(series_->received()),
      sent_(series_->sent()) {
  if (source_workload_ == nullptr && facts.source_baggage != hbone::Baggage())
    source_baggage_ = std::make_unique<const hbone::Baggage>(std::move(facts.source_baggage));
  const std::array<std::string, kTexts> texts{
      std::move(facts.hbone_address), facts.service ? facts.service->hostname : std::string(),
      mutual_tls_ && facts.source_identity ? facts.source_identity->to_string() : std::string()};
  static_assert(kTexts == std::tuple_size_v<decltype(text_sizes_)>);
  texts_.reserve(texts[0].size() + texts[1].size() + texts[2].size());
  for (size_t i = 0; i < kTexts; ++i) {
    text_sizes_[i] = static_cast<uint16_t>(std::min<size_t>(texts[i].size(), UINT16_MAX));
    texts_.append(texts[i], 0, text_sizes_[i]);
  }
  if (kAccess.enabled(log::Level::kDebug))
    log(log::Level::kDebug, "connection opened", nullptr, false);
}

std::string_view ConnectionRecord::text(size_t which) const {
  const size_t begin = std::accumulate(text_sizes_.begin(), text_sizes_.begin() + which, size_t{0});
  return std::string_view(texts_).substr(begin, text_sizes_[which]);
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
  fields.push_back(log::bare("src.addr", source_.to_string()));
  if (source_workload_ != nullptr) {
    add(fields, "src.workload", log_name(*source_workload_));
    add(fields, "src.namespace", source_workload_->ns());
  } else if (source_baggage_ != nullptr) {
    add(fields, "src.workload", source_baggage_->workload_name);
    add(fields, "src.namespace", source_baggage_->namespace_);
  }
  add(fields, "src.identity", text(kIdentity));
  if (source_workload_ != nullptr)
    add(fields, "src.cluster", source_workload_->cluster_id());
  else if (source_baggage_ != nullptr)
    add(fields, "src.cluster", source_baggage_->cluster_id);
  fields.push_back(log::bare("dst.addr", destination_.to_string()));
  if (!text(kHboneAddress).empty())
    fields.push_back(log::bare("dst.hbone_addr", std::string(text(kHboneAddress))));
  add(fields, "dst.service", text(kService));
  if (destination_workload_ != nullptr) {
    add(fields, "dst.workload", log_name(*destination_workload_));
    add(fields, "dst.namespace", destination_workload_->ns());
    if (mutual_tls_) add(fields, "dst.identity", destination_workload_->identity().to_string());
    add(fields, "dst.cluster", destination_workload_->cluster_id());
  }
  const bool source = reporter_ == Reporter::kSource;
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
