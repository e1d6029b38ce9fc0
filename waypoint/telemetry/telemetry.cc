#include "waypoint/telemetry/telemetry.h"

#include <string>
#include <utility>
#include <vector>

namespace culvert::waypoint {
namespace {

using metrics::FamilyId;
using metrics::FamilySpec;
using metrics::Registry;
using metrics::Type;
using Names = std::vector<std::string>;

// Envoy's default buckets: dashboards sum histograms of both.
const std::vector<double>& buckets() {
  static const std::vector<double> kBuckets{0.5,   1,      5,      10,      25,     50,    100,
                                            250,   500,    1000,   2500,    5000,   10000, 30000,
                                            60000, 300000, 600000, 1800000, 3600000};
  return kBuckets;
}

Names label_names(RequestProtocol protocol) {
  MetricFacts facts;
  facts.protocol = protocol;
  Names names;
  for (const auto& [name, value] : metric_labels(facts)) names.emplace_back(name);
  return names;
}

// Counters are registered by their base name; "_total" is added when they are rendered.
std::string base_name(std::string_view name) {
  constexpr std::string_view kSuffix = "_total";
  if (name.ends_with(kSuffix)) name.remove_suffix(kSuffix.size());
  return std::string(name);
}

FamilyId add(Registry& registry, Type type, std::string_view name, std::string_view help,
             Names labels = {}) {
  FamilySpec spec;
  spec.name = base_name(name);
  spec.help = help;
  spec.type = type;
  spec.labels = std::move(labels);
  if (type == Type::kHistogram) spec.buckets = buckets();
  return registry.add(std::move(spec));
}

}  // namespace

MetricFamilies::MetricFamilies(Registry& registry) {
  const Names http = label_names(RequestProtocol::kHttp);
  const Names tcp = label_names(RequestProtocol::kTcp);
  requests = add(registry, Type::kCounter, kRequestsTotal, "Requests that were answered", http);
  request_duration = add(registry, Type::kHistogram, kRequestDuration,
                         "Time from a request's head to the end of its answer", http);
  request_bytes = add(registry, Type::kHistogram, kRequestBytes,
                      "Size of requests on the wire, heads included", http);
  response_bytes = add(registry, Type::kHistogram, kResponseBytes,
                       "Size of answers on the wire, heads included", http);
  request_messages =
      add(registry, Type::kCounter, kRequestMessages, "gRPC messages that clients sent", http);
  response_messages = add(registry, Type::kCounter, kResponseMessages,
                          "gRPC messages that clients were sent", http);
  tcp_opened = add(registry, Type::kCounter, kTcpOpened, "TCP connections opened", tcp);
  tcp_closed = add(registry, Type::kCounter, kTcpClosed, "TCP connections closed", tcp);
  tcp_sent = add(registry, Type::kCounter, kTcpSent, "Bytes sent to clients over TCP", tcp);
  tcp_received =
      add(registry, Type::kCounter, kTcpReceived, "Bytes received from clients over TCP", tcp);
  build =
      add(registry, Type::kGauge, "istio_build", "Which version is running", {"component", "tag"});
  development_ca = add(registry, Type::kGauge, "culvert_development_ca",
                       "1 if certificates come from a development CA on disk");
  config_loads = add(registry, Type::kCounter, "culvert_config_loads",
                     "Versions of the configuration that took effect");
  config_rejected = add(registry, Type::kCounter, "culvert_config_rejected",
                        "Versions of the configuration that were refused");
  tunnels = add(registry, Type::kGauge, "culvert_client_tunnels", "Open tunnels of clients");
  connects_refused = add(registry, Type::kCounter, "culvert_connects_refused",
                         "CONNECT requests that were refused, by status", {"status"});
}

metrics::Labels Telemetry::labels(const MetricFacts& facts) {
  const Labels pairs = metric_labels(facts);
  Names names;
  std::vector<std::string_view> values;
  names.reserve(pairs.size());
  values.reserve(pairs.size());
  for (const auto& [name, value] : pairs) {
    names.emplace_back(name);
    values.emplace_back(value);
  }
  return metrics::Labels::make(names, values);
}

void Telemetry::request(const MetricFacts& facts, const Request& request) {
  const metrics::Labels set = labels(facts);
  shard_.counter(families_.requests, set).add();
  shard_.histogram(families_.request_duration, set)
      .observe(static_cast<double>(request.duration.count()));
  shard_.histogram(families_.request_bytes, set)
      .observe(static_cast<double>(request.wire_received));
  shard_.histogram(families_.response_bytes, set).observe(static_cast<double>(request.wire_sent));
  if (facts.protocol != RequestProtocol::kGrpc) return;
  shard_.counter(families_.request_messages, set).add(request.request_messages);
  shard_.counter(families_.response_messages, set).add(request.response_messages);
}

Telemetry::TcpBytes Telemetry::tcp_opened(const MetricFacts& facts) {
  const metrics::Labels set = labels(facts);
  shard_.counter(families_.tcp_opened, set).add();
  return {&shard_.counter(families_.tcp_sent, set), &shard_.counter(families_.tcp_received, set)};
}

void Telemetry::tcp_closed(const MetricFacts& facts) {
  shard_.counter(families_.tcp_closed, labels(facts)).add();
}

void Telemetry::connect_refused(int status) {
  const std::string text = std::to_string(status);
  shard_.counter(families_.connects_refused, shard_.labels(families_.connects_refused, {text}))
      .add();
}

}  // namespace culvert::waypoint
