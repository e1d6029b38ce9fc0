#include "ztunnel/metrics.h"

#include "common/metrics/openmetrics.h"
#include "common/metrics/process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>

namespace culvert::ztunnel {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::vector<std::string> fixture_lines() {
  std::ifstream file("tests/fixtures/ztunnel/metrics.txt");
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  EXPECT_GT(lines.size(), 40U);
  return lines;
}

state::WorkloadSpec client_spec() {
  state::WorkloadSpec workload;
  workload.name = "client";
  workload.workload_name = "client";
  workload.canonical_name = "client";
  workload.canonical_revision = "v1";
  workload.namespace_ = "demo";
  workload.cluster_id = "Kubernetes";
  workload.trust_domain = "cluster.local";
  workload.service_account = "client";
  workload.locality = {"region1", "zone1", "sub1"};
  return workload;
}

state::WorkloadPtr client() { return state::Workload::make(client_spec()); }

state::WorkloadPtr server() {
  state::WorkloadSpec workload = client_spec();
  workload.name = "server-v2-pod";
  workload.workload_name = "server-v2";
  workload.canonical_name = "server";
  workload.canonical_revision = "v2";
  workload.service_account = "server-v2";
  workload.locality = {"region1", "zone2", ""};
  return state::Workload::make(workload);
}

state::ServiceRef service() {
  return {.hostname = "server.demo.svc.cluster.local", .name = "server", .namespace_ = "demo"};
}

DerivedWorkload baggage() {
  DerivedWorkload derived;
  derived.workload_name = "far";
  derived.namespace_ = "remote";
  derived.cluster = "c2";
  derived.service_name = "far-service";
  derived.revision = "v9";
  derived.zone = "zone9";
  derived.identity = "spiffe://other/ns/remote/sa/far";
  return derived;
}

class TrafficMetricsTest : public ::testing::Test {
 protected:
  std::string rendered() const { return metrics::render_openmetrics(registry_); }
  // The sample lines of one family.
  std::vector<std::string> samples(const std::string& name) const {
    std::vector<std::string> lines;
    std::istringstream all(rendered());
    for (std::string line; std::getline(all, line);) {
      if (line.starts_with(name + "{")) lines.push_back(line);
    }
    return lines;
  }
  std::string values(const TrafficLabels& labels) const {
    return std::string(
        metrics::Labels::make(registry_.families()[families_.opened.index].labels, labels.values())
            .text());
  }

  metrics::Registry registry_;
  MetricFamilies families_{registry_, true};
  metrics::Shard& shard_ = registry_.make_shard();
  TrafficMetrics traffic_{families_, registry_, shard_};
};

TEST_F(TrafficMetricsTest, SamplesAreThoseOfIstiosZtunnel) {
  // The first recorded connections of the fixture: to the server's pod directly, with mutual TLS.
  const auto from = client(), to = server();
  for (int i = 0; i < 2; ++i) {
    TrafficLabels labels(Reporter::kSource, SecurityPolicy::kMutualTls);
    labels.source(*from);
    labels.source_principal("spiffe://cluster.local/ns/demo/sa/client");
    labels.destination(*to);
    TrafficSeries& series = traffic_.opened(labels);
    series.sent().add(148);
  }
  const auto recorded = fixture_lines();
  ASSERT_EQ(samples("istio_tcp_connections_opened_total").size(), 1U);
  EXPECT_THAT(recorded, ::testing::Contains(samples("istio_tcp_connections_opened_total")[0]));
  EXPECT_THAT(recorded, ::testing::Contains(samples("istio_tcp_sent_bytes_total")[0]));
}

TEST_F(TrafficMetricsTest, HelpTypeAndUnitAreThoseOfIstiosZtunnelAndInItsOrder) {
  metrics::Registry registry;
  metrics::register_process_metrics(registry);
  const MetricFamilies families(registry, true);
  metrics::Shard& shard = registry.make_shard();
  // One series in every family, so that none is left out.
  for (size_t i = 2; i < registry.families().size(); ++i) {
    const auto& spec = registry.families()[i];
    const std::vector<std::string_view> values(spec.labels.size(), "x");
    const auto labels = metrics::Labels::make(spec.labels, values);
    if (spec.type == metrics::Type::kCounter) shard.counter({i}, labels);
    if (spec.type == metrics::Type::kGauge) shard.gauge({i}, labels);
    if (spec.type == metrics::Type::kHistogram) shard.histogram({i}, labels);
  }
  std::vector<std::string> ours;
  std::istringstream all(metrics::render_openmetrics(registry));
  for (std::string line; std::getline(all, line);) {
    if (line.starts_with("# ")) ours.push_back(line);
  }
  auto place = ours.begin();
  for (const std::string& line : fixture_lines()) {
    if (!line.starts_with("# ")) continue;
    place = std::find(place, ours.end(), line);
    ASSERT_NE(place, ours.end()) << "missing, or out of order: " << line;
  }
}

TEST_F(TrafficMetricsTest, AllButTheStableMetricsSayThatTheyAreNot) {
  const std::set<std::string> stable = {"istio_build", "istio_tcp_connections_opened",
                                        "istio_tcp_connections_closed", "istio_tcp_received_bytes",
                                        "istio_tcp_sent_bytes"};
  for (const auto& spec : registry_.families()) {
    EXPECT_EQ(spec.help.ends_with("(unstable)"), !stable.contains(spec.name)) << spec.name;
  }
}

TEST_F(TrafficMetricsTest, WorkloadManagerMetricsAreForSharedModeOnly) {
  metrics::Registry registry;
  const MetricFamilies families(registry, false);
  for (const auto& spec : registry.families()) {
    EXPECT_THAT(spec.name, Not(HasSubstr("workload_manager")));
  }
  EXPECT_THAT(rendered(), HasSubstr("\nworkload_manager_proxies_started_total 0\n"));
  EXPECT_THAT(rendered(), HasSubstr("\nworkload_manager_active_proxy_count 0\n"));
}

TEST_F(TrafficMetricsTest, ClosedCarriesTheFinalFlagAndFailedComesOnTop) {
  TrafficLabels labels(Reporter::kDestination, SecurityPolicy::kUnknown);
  const auto to = server();
  labels.destination(*to);
  TrafficSeries& series = traffic_.opened(labels);
  EXPECT_EQ(&traffic_.opened(labels), &series);
  // Byte counters exist from the start; closed and failed do not.
  EXPECT_THAT(samples("istio_tcp_received_bytes_total")[0], ::testing::EndsWith("} 0"));
  EXPECT_THAT(samples("istio_tcp_connections_closed_total"), ::testing::IsEmpty());

  traffic_.closed(series, ResponseFlag::kNone);
  EXPECT_THAT(samples("istio_tcp_connections_failed_total"), ::testing::IsEmpty());
  traffic_.closed(series, ResponseFlag::kConnect);
  const auto closed = samples("istio_tcp_connections_closed_total");
  ASSERT_EQ(closed.size(), 2U);
  EXPECT_THAT(closed[0], HasSubstr("response_flags=\"-\""));
  EXPECT_THAT(closed[1], HasSubstr("response_flags=\"CONNECT\""));
  const auto failed = samples("istio_tcp_connections_failed_total");
  ASSERT_EQ(failed.size(), 1U);
  EXPECT_THAT(failed[0], HasSubstr("response_flags=\"CONNECT\""));
  const auto opened = samples("istio_tcp_connections_opened_total");
  ASSERT_EQ(opened.size(), 1U);
  EXPECT_THAT(opened[0],
              ::testing::AllOf(HasSubstr("response_flags=\"-\""), ::testing::EndsWith(" 2")));
}

TEST_F(TrafficMetricsTest, EveryFlagHasItsName) {
  const std::pair<ResponseFlag, const char*> names[] = {
      {ResponseFlag::kNone, "-"},
      {ResponseFlag::kDeny, "DENY"},
      {ResponseFlag::kConnect, "CONNECT"},
      {ResponseFlag::kTlsFailure, "TLS_FAILURE"},
      {ResponseFlag::kH2HandshakeFailure, "H2_HANDSHAKE_FAILURE"},
      {ResponseFlag::kNetworkPolicy, "NETWORK_POLICY"},
      {ResponseFlag::kIdentityError, "IDENTITY_ERROR"},
      {ResponseFlag::kCertRevoked, "CERT_REVOKED"}};
  TrafficLabels labels(Reporter::kSource, SecurityPolicy::kUnknown);
  TrafficSeries& series = traffic_.opened(labels);
  for (const auto& [flag, name] : names) {
    EXPECT_EQ(to_string(flag), name);
    traffic_.closed(series, flag);
  }
  EXPECT_EQ(samples("istio_tcp_connections_closed_total").size(), kResponseFlags);
  EXPECT_EQ(samples("istio_tcp_connections_failed_total").size(), kResponseFlags - 1);
}

TEST_F(TrafficMetricsTest, WithNothingAppliedTheLocalityIsAbsent) {
  const TrafficLabels nothing(Reporter::kSource, SecurityPolicy::kUnknown);
  EXPECT_THAT(values(nothing), Not(HasSubstr("region")));
  EXPECT_THAT(values(nothing),
              ::testing::AllOf(HasSubstr("source_workload=\"unknown\""),
                               HasSubstr("request_protocol=\"tcp\""),
                               HasSubstr("connection_security_policy=\"unknown\"")));
  TrafficLabels some(Reporter::kSource, SecurityPolicy::kUnknown);
  const auto nameless = state::Workload::make({});
  some.source(*nameless);
  EXPECT_THAT(values(some),
              HasSubstr("source_region=\"unknown\",source_zone=\"unknown\","
                        "destination_region=\"unknown\",destination_zone=\"unknown\""));
  // A service alone is not a workload.
  const state::ServiceRef named = service();
  TrafficLabels only_service(Reporter::kSource, SecurityPolicy::kUnknown);
  only_service.service(named);
  EXPECT_THAT(values(only_service), Not(HasSubstr("region")));
}

TEST_F(TrafficMetricsTest, ASourceWorkloadOverwritesBaggageExceptThePrincipal) {
  const DerivedWorkload derived = baggage();
  const auto from = client();
  TrafficLabels labels(Reporter::kDestination, SecurityPolicy::kMutualTls);
  labels.derived_source(derived);
  EXPECT_THAT(values(labels),
              HasSubstr("source_workload=\"far\",source_canonical_service=\"far-service\","
                        "source_canonical_revision=\"v9\",source_workload_namespace=\"remote\","
                        "source_principal=\"spiffe://other/ns/remote/sa/far\",source_app=\"far\","
                        "source_version=\"v9\",source_cluster=\"c2\""));
  labels.source(*from);
  EXPECT_THAT(
      values(labels),
      ::testing::AllOf(HasSubstr("source_workload=\"client\""), HasSubstr("source_app=\"client\""),
                       HasSubstr("source_principal=\"spiffe://other/ns/remote/sa/far\""),
                       HasSubstr("source_zone=\"zone1\"")));
}

TEST_F(TrafficMetricsTest, ADerivedDestinationOverwritesTheWholeDestination) {
  const auto gateway = server();
  const state::ServiceRef named = service();
  const DerivedWorkload derived = baggage();
  TrafficLabels labels(Reporter::kSource, SecurityPolicy::kMutualTls);
  labels.destination(*gateway);
  labels.service(named);
  EXPECT_THAT(values(labels),
              HasSubstr("destination_principal=\"spiffe://cluster.local/ns/demo/sa/server-v2\""));
  labels.derived_destination(derived);
  EXPECT_THAT(
      values(labels),
      ::testing::AllOf(
          HasSubstr("destination_service=\"server.demo.svc.cluster.local\","
                    "destination_service_namespace=\"demo\",destination_service_name=\"server\","
                    "destination_workload=\"far\",destination_canonical_service=\"far-service\""),
          HasSubstr(
              "destination_principal=\"spiffe://other/ns/remote/sa/far\",destination_app=\"far\""),
          HasSubstr("destination_region=\"unknown\",destination_zone=\"zone9\"")));
}

TEST_F(TrafficMetricsTest, KeysAreExact) {
  // Equal when joined, different as values.
  state::WorkloadSpec a_spec, b_spec;
  a_spec.workload_name = "xy";
  b_spec.workload_name = "x";
  b_spec.canonical_name = "y";
  const auto a = state::Workload::make(a_spec), b = state::Workload::make(b_spec);
  TrafficLabels first(Reporter::kSource, SecurityPolicy::kUnknown);
  first.source(*a);
  TrafficLabels second(Reporter::kSource, SecurityPolicy::kUnknown);
  second.source(*b);
  EXPECT_NE(&traffic_.opened(first), &traffic_.opened(second));
  // Equal values of different objects are one series.
  const auto copy = state::Workload::make(a_spec);
  TrafficLabels third(Reporter::kSource, SecurityPolicy::kUnknown);
  third.source(*copy);
  EXPECT_EQ(&traffic_.opened(first), &traffic_.opened(third));
}

TEST_F(TrafficMetricsTest, BeyondTheLimitConnectionsCountTogether) {
  TrafficMetrics limited(families_, registry_, shard_, 1);
  TrafficSeries* series[3];
  for (int i = 0; i < 3; ++i) {
    state::WorkloadSpec spec;
    spec.workload_name = "w" + std::to_string(i);
    const auto workload = state::Workload::make(spec);
    TrafficLabels labels(Reporter::kSource, SecurityPolicy::kUnknown);
    labels.source(*workload);
    series[i] = &limited.opened(labels);
  }
  EXPECT_NE(series[0], series[1]);
  EXPECT_EQ(series[1], series[2]);
  limited.closed(*series[2], ResponseFlag::kDeny);
  EXPECT_THAT(samples("istio_tcp_connections_closed_total")[0],
              ::testing::AllOf(HasSubstr("source_workload=\"overflow\""),
                               HasSubstr("response_flags=\"DENY\"")));
}

TEST_F(TrafficMetricsTest, SocketsAreCountedByReporter) {
  traffic_.sockets_open(Reporter::kDestination).add();
  traffic_.sockets_open(Reporter::kSource).add();
  traffic_.sockets_open(Reporter::kSource).sub();
  EXPECT_THAT(
      samples("istio_tcp_sockets_open"),
      ::testing::UnorderedElementsAre("istio_tcp_sockets_open{reporter=\"source\"} 0",
                                      "istio_tcp_sockets_open{reporter=\"destination\"} 1"));
}

}  // namespace
}  // namespace culvert::ztunnel
