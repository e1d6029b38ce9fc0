#include "waypoint/telemetry/metrics_labels.h"

#include <fmt/format.h>

namespace culvert::waypoint {
namespace {

constexpr std::string_view kUnknown = "unknown";
constexpr int kLastGrpcStatus = 16;  // UNAUTHENTICATED

std::string or_unknown(std::string_view value) {
  return std::string(value.empty() ? kUnknown : value);
}

// One side's labels; `side` is "source" or "destination".
struct Names {
  std::string_view workload, workload_namespace, principal, app, version, canonical_service,
      canonical_revision, cluster;
};
constexpr Names kSource{
    "source_workload", "source_workload_namespace", "source_principal",          "source_app",
    "source_version",  "source_canonical_service",  "source_canonical_revision", "source_cluster"};
constexpr Names kDestination{"destination_workload",
                             "destination_workload_namespace",
                             "destination_principal",
                             "destination_app",
                             "destination_version",
                             "destination_canonical_service",
                             "destination_canonical_revision",
                             "destination_cluster"};

void add_peer(Labels& out, const Names& names, const Workload* peer, std::string ns,
              std::string principal, std::string_view no_revision) {
  static const Workload kNobody;
  const bool known = peer != nullptr;
  const Workload& workload = known ? *peer : kNobody;
  const std::string revision = workload.canonical_revision.empty()
                                   ? std::string(known ? no_revision : kUnknown)
                                   : workload.canonical_revision;
  out.emplace_back(names.workload, or_unknown(workload.workload_name));
  out.emplace_back(names.workload_namespace, std::move(ns));
  out.emplace_back(names.principal, std::move(principal));
  out.emplace_back(names.app, or_unknown(workload.canonical_name));
  out.emplace_back(names.version, revision);
  out.emplace_back(names.canonical_service, or_unknown(workload.canonical_name));
  out.emplace_back(names.canonical_revision, revision);
  out.emplace_back(names.cluster, or_unknown(workload.cluster_id));
}

std::string source_namespace(const MetricFacts& facts) {
  // The certificate is proof; the table goes by address, which another pod may have had.
  if (const auto identity = state::Identity::parse(facts.source_principal)) {
    return or_unknown(identity->namespace_);
  }
  return facts.source == nullptr ? std::string(kUnknown) : or_unknown(facts.source->namespace_);
}

std::string_view protocol_text(RequestProtocol protocol) {
  switch (protocol) {
    case RequestProtocol::kHttp:
      return "http";
    case RequestProtocol::kGrpc:
      return "grpc";
    case RequestProtocol::kTcp:
      return "tcp";
  }
  return kUnknown;
}

// Applications may send any number, which would be a new series each.
std::string grpc_status_text(const MetricFacts& facts) {
  if (facts.protocol != RequestProtocol::kGrpc || !facts.grpc_status) return {};
  if (*facts.grpc_status < 0 || *facts.grpc_status > kLastGrpcStatus) return std::string(kUnknown);
  return std::to_string(*facts.grpc_status);
}

}  // namespace

Labels metric_labels(const MetricFacts& facts) {
  Labels out;
  out.reserve(28);
  out.emplace_back("reporter", "waypoint");
  add_peer(out, kSource, facts.source, source_namespace(facts), or_unknown(facts.source_principal),
           "latest");
  const Workload* to = facts.destination;
  add_peer(out, kDestination, to,
           to == nullptr ? std::string(kUnknown) : or_unknown(to->namespace_),
           to == nullptr ? std::string(kUnknown) : to->identity().to_string(), kUnknown);
  const ServiceRef service = facts.service == nullptr ? ServiceRef{} : *facts.service;
  const std::string_view first_label =
      std::string_view(service.hostname).substr(0, service.hostname.find('.'));
  out.emplace_back("destination_service", or_unknown(service.hostname));
  out.emplace_back("destination_service_name",
                   or_unknown(service.name.empty() ? first_label : service.name));
  out.emplace_back("destination_service_namespace", or_unknown(service.namespace_));
  out.emplace_back("request_protocol", std::string(protocol_text(facts.protocol)));
  const bool tcp = facts.protocol == RequestProtocol::kTcp;
  if (!tcp) out.emplace_back("response_code", std::to_string(facts.response_code));
  out.emplace_back("response_flags",
                   facts.response_flags.empty() ? "-" : std::string(facts.response_flags));
  if (!tcp) out.emplace_back("grpc_response_status", grpc_status_text(facts));
  const bool mutual = !facts.source_principal.empty() && facts.own_identity_known;
  out.emplace_back("connection_security_policy", mutual ? "mutual_tls" : "none");
  return out;
}

}  // namespace culvert::waypoint
