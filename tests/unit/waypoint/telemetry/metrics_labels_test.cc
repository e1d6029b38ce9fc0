#include "waypoint/telemetry/metrics_labels.h"

#include <gtest/gtest.h>

#include <map>

namespace culvert::waypoint {
namespace {

std::map<std::string_view, std::string> as_map(const Labels& labels) {
  return {labels.begin(), labels.end()};
}

TEST(MetricLabels, NamesAndOrderOfRequests) {
  std::vector<std::string_view> names;
  for (const auto& [name, value] : metric_labels({})) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string_view>{"reporter",
                                                  "source_workload",
                                                  "source_workload_namespace",
                                                  "source_principal",
                                                  "source_app",
                                                  "source_version",
                                                  "source_canonical_service",
                                                  "source_canonical_revision",
                                                  "source_cluster",
                                                  "destination_workload",
                                                  "destination_workload_namespace",
                                                  "destination_principal",
                                                  "destination_app",
                                                  "destination_version",
                                                  "destination_canonical_service",
                                                  "destination_canonical_revision",
                                                  "destination_cluster",
                                                  "destination_service",
                                                  "destination_service_name",
                                                  "destination_service_namespace",
                                                  "request_protocol",
                                                  "response_code",
                                                  "response_flags",
                                                  "grpc_response_status",
                                                  "connection_security_policy"}));
}

TEST(MetricLabels, NothingKnown) {
  for (const auto& [name, value] : metric_labels({})) {
    if (name == "reporter")
      EXPECT_EQ(value, "waypoint");
    else if (name == "request_protocol")
      EXPECT_EQ(value, "http");
    else if (name == "response_code")
      EXPECT_EQ(value, "0");
    else if (name == "response_flags")
      EXPECT_EQ(value, "-");
    else if (name == "grpc_response_status")
      EXPECT_EQ(value, "");
    else if (name == "connection_security_policy")
      EXPECT_EQ(value, "none");
    else
      EXPECT_EQ(value, "unknown") << name;
  }
}

TEST(MetricLabels, PeersAndService) {
  Workload client;
  client.namespace_ = "stale";
  client.workload_name = "client";
  client.canonical_name = "client";
  client.cluster_id = "Kubernetes";
  Workload server;
  server.namespace_ = "demo";
  server.service_account = "server-v1";
  server.workload_name = "server-v1";
  server.canonical_name = "server";
  const ServiceRef service{"server.demo.svc.cluster.local", "", "demo"};
  MetricFacts facts{&client,
                    "spiffe://cluster.local/ns/demo/sa/client",
                    &server,
                    &service,
                    RequestProtocol::kGrpc,
                    200,
                    14,
                    "UF,URX"};
  auto labels = as_map(metric_labels(facts));
  EXPECT_EQ(labels["source_workload"], "client");
  // The certificate wins over the table.
  EXPECT_EQ(labels["source_workload_namespace"], "demo");
  EXPECT_EQ(labels["source_principal"], "spiffe://cluster.local/ns/demo/sa/client");
  EXPECT_EQ(labels["source_canonical_revision"], "latest");
  EXPECT_EQ(labels["source_version"], "latest");
  EXPECT_EQ(labels["destination_canonical_revision"], "unknown");
  EXPECT_EQ(labels["destination_app"], "server");
  EXPECT_EQ(labels["destination_principal"], "spiffe://cluster.local/ns/demo/sa/server-v1");
  EXPECT_EQ(labels["destination_service_name"], "server");
  EXPECT_EQ(labels["request_protocol"], "grpc");
  EXPECT_EQ(labels["grpc_response_status"], "14");
  EXPECT_EQ(labels["response_flags"], "UF,URX");
  EXPECT_EQ(labels["connection_security_policy"], "mutual_tls");
  facts.own_identity_known = false;
  EXPECT_EQ(as_map(metric_labels(facts))["connection_security_policy"], "none");
}

// CVE-2025-43915: what a peer sends must not make new series without end.
TEST(MetricLabels, GrpcStatusIsBounded) {
  MetricFacts facts;
  facts.protocol = RequestProtocol::kGrpc;
  for (const int status : {-1, 17, 123456}) {
    facts.grpc_status = status;
    EXPECT_EQ(as_map(metric_labels(facts))["grpc_response_status"], "unknown");
  }
  facts.grpc_status = 16;
  EXPECT_EQ(as_map(metric_labels(facts))["grpc_response_status"], "16");
  facts.protocol = RequestProtocol::kHttp;
  EXPECT_EQ(as_map(metric_labels(facts))["grpc_response_status"], "");
}

TEST(MetricLabels, TcpHasNoResponse) {
  MetricFacts facts;
  facts.protocol = RequestProtocol::kTcp;
  const auto labels = as_map(metric_labels(facts));
  EXPECT_EQ(labels.size(), 23U);
  EXPECT_FALSE(labels.contains("response_code"));
  EXPECT_FALSE(labels.contains("grpc_response_status"));
  EXPECT_EQ(labels.at("request_protocol"), "tcp");
}

}  // namespace
}  // namespace culvert::waypoint
