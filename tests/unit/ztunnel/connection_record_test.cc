// The access log and the counters of one connection: exact lines, as log pipelines parse them.
#include "ztunnel/connection_record.h"

#include "common/h2/errors.h"
#include "common/hbone/connect.h"
#include "common/metrics/openmetrics.h"
#include "common/tls/errors.h"
#include "tests/support/state_builders.h"
#include "ztunnel/errors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

namespace culvert::ztunnel {
namespace {

using test::address;
using ::testing::ContainsRegex;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

state::WorkloadPtr workload(std::string name, std::string account) {
  auto result = test::pod(std::move(name), {});
  result.namespace_ = "demo";
  result.service_account = std::move(account);
  result.workload_name = "deploy";
  result.canonical_name = "app";
  result.canonical_revision = "v1";
  result.cluster_id = "Kubernetes";
  return state::Workload::make(result);
}

// Without the timestamp.
std::string body(const std::string& line) { return line.substr(line.find('\t') + 1); }

class ConnectionRecordTest : public ::testing::Test {
 protected:
  static ConnectionFacts outbound() {
    const auto source = workload("client-pod", "client");
    return {.reporter = Reporter::kSource,
            .source = address("10.0.0.1:1234"),
            .destination = address("10.0.0.2:15008"),
            .hbone_address = "10.0.0.2:8080",
            .source_workload = source,
            .destination_workload = workload("server-pod", "server"),
            .service = state::ServiceRef{"server.demo.svc", "server", "demo"},
            .mutual_tls = true,
            .source_identity = source->identity()};
  }
  std::string metrics() const { return metrics::render_openmetrics(registry_); }
  // Ends a connection with `error`; the line it wrote.
  std::string end(ConnectionFacts facts, const Error& error) {
    const log::Capture capture;
    ConnectionRecord(traffic_, std::move(facts), Clock::now()).finish(error);
    EXPECT_THAT(capture.lines(), SizeIs(1));
    return body(capture.lines().at(0));
  }

  metrics::Registry registry_;
  MetricFamilies families_{registry_, true};
  metrics::Shard& shard_ = registry_.make_shard();
  TrafficMetrics traffic_{families_, registry_, shard_};
};

TEST_F(ConnectionRecordTest, OutboundLine) {
  const log::Capture capture;
  ConnectionRecord record(traffic_, outbound(), Clock::now());
  record.received().add(11);
  record.sent().add(22);
  record.finish({});
  record.finish(Error(Errc::kDrain));  // only the first counts
  ASSERT_THAT(capture.lines(), SizeIs(1));
  EXPECT_THAT(
      body(capture.lines()[0]),
      ::testing::MatchesRegex(
          "info\taccess\tconnection complete\tsrc.addr=10.0.0.1:1234 src.workload=\"client-pod\" "
          "src.namespace=\"demo\" src.identity=\"spiffe://cluster.local/ns/demo/sa/client\" "
          "src.cluster=\"Kubernetes\" dst.addr=10.0.0.2:15008 dst.hbone_addr=10.0.0.2:8080 "
          "dst.service=\"server.demo.svc\" dst.workload=\"server-pod\" dst.namespace=\"demo\" "
          "dst.identity=\"spiffe://cluster.local/ns/demo/sa/server\" dst.cluster=\"Kubernetes\" "
          "direction=\"outbound\" bytes_sent=11 bytes_recv=22 duration=\"[0-9]+ms\""));
}

TEST_F(ConnectionRecordTest, InboundCountsFromTheOtherSide) {
  auto facts = outbound();
  facts.reporter = Reporter::kDestination;
  const log::Capture capture;
  ConnectionRecord record(traffic_, std::move(facts), Clock::now());
  record.received().add(11);
  record.sent().add(22);
  record.finish({});
  EXPECT_THAT(capture.lines()[0], HasSubstr("direction=\"inbound\" bytes_sent=22 bytes_recv=11"));
}

TEST_F(ConnectionRecordTest, WhatIsNotKnownIsLeftOut) {
  const auto line =
      end({.source = address("[fd00::1]:1"), .destination = address("1.2.3.4:80")}, {});
  EXPECT_THAT(line, ::testing::MatchesRegex(
                        "info\taccess\tconnection complete\tsrc.addr=\\[fd00::1\\]:1 "
                        "dst.addr=1.2.3.4:80 direction=\"outbound\" bytes_sent=0 bytes_recv=0 "
                        "duration=\"[0-9]+ms\""));
}

TEST_F(ConnectionRecordTest, NoIdentitiesInPlain) {
  auto facts = outbound();
  facts.mutual_tls = false;
  facts.source_identity.reset();
  facts.hbone_address.clear();
  const auto line = end(std::move(facts), {});
  EXPECT_THAT(line, Not(HasSubstr("identity")));
  EXPECT_THAT(line, Not(HasSubstr("hbone_addr")));
}

TEST_F(ConnectionRecordTest, ASourceTheMeshDoesNotKnowSaysItself) {
  auto facts = outbound();
  facts.reporter = Reporter::kDestination;
  facts.source_workload = nullptr;
  facts.source_baggage = {.cluster_id = "c2",
                          .namespace_ = "far",
                          .workload_name = "caller",
                          .service_name = "svc",
                          .service_version = "v9",
                          .region = "r",
                          .zone = "z"};
  const auto line = end(std::move(facts), {});
  EXPECT_THAT(line, HasSubstr("src.workload=\"caller\" src.namespace=\"far\" "
                              "src.identity=\"spiffe://cluster.local/ns/demo/sa/client\" "
                              "src.cluster=\"c2\""));
  EXPECT_THAT(metrics(), HasSubstr("source_workload=\"caller\",source_canonical_service=\"svc\","
                                   "source_canonical_revision=\"v9\","
                                   "source_workload_namespace=\"far\","
                                   "source_principal=\"spiffe://cluster.local/ns/demo/sa/client\","
                                   "source_app=\"caller\",source_version=\"v9\",source_cluster="
                                   "\"c2\""));
}

TEST_F(ConnectionRecordTest, NamesOfPodsWithoutNames) {
  auto facts = outbound();
  facts.destination_workload = workload("", "server");
  EXPECT_THAT(end(std::move(facts), {}), HasSubstr("dst.workload=\"app\""));
}

TEST_F(ConnectionRecordTest, CountsOpenedClosedAndBytes) {
  ConnectionRecord record(traffic_, outbound(), Clock::now());
  const std::string labels =
      "{reporter=\"source\",source_workload=\"deploy\",source_canonical_service=\"app\","
      "source_canonical_revision=\"v1\",source_workload_namespace=\"demo\",source_principal="
      "\"spiffe://cluster.local/ns/demo/sa/client\",source_app=\"app\",source_version=\"v1\","
      "source_cluster=\"Kubernetes\",destination_service=\"server.demo.svc\","
      "destination_service_namespace=\"demo\",destination_service_name=\"server\","
      "destination_workload=\"deploy\",destination_canonical_service=\"app\","
      "destination_canonical_revision=\"v1\",destination_workload_namespace=\"demo\","
      "destination_principal=\"spiffe://cluster.local/ns/demo/sa/server\",destination_app=\"app\","
      "destination_version=\"v1\",destination_cluster=\"Kubernetes\",request_protocol=\"tcp\","
      "response_flags=\"-\",connection_security_policy=\"mutual_tls\",source_region=\"unknown\","
      "source_zone=\"unknown\",destination_region=\"unknown\",destination_zone=\"unknown\"}";
  EXPECT_THAT(metrics(), HasSubstr("istio_tcp_connections_opened_total" + labels + " 1\n"));
  EXPECT_THAT(metrics(), HasSubstr("istio_tcp_received_bytes_total" + labels + " 0\n"));
  EXPECT_THAT(metrics(), Not(HasSubstr("istio_tcp_connections_closed_total{")));
  record.received().add(11);
  record.sent().add(22);
  EXPECT_THAT(metrics(), HasSubstr("istio_tcp_received_bytes_total" + labels + " 11\n"));
  EXPECT_THAT(metrics(), HasSubstr("istio_tcp_sent_bytes_total" + labels + " 22\n"));
  record.finish({});
  EXPECT_THAT(metrics(), HasSubstr("istio_tcp_connections_closed_total" + labels + " 1\n"));
  EXPECT_THAT(metrics(), Not(HasSubstr("istio_tcp_connections_failed_total{")));
}

TEST_F(ConnectionRecordTest, DestroyedUnfinishedWasCutByADrain) {
  const log::Capture capture;
  {
    const ConnectionRecord record(traffic_, outbound(), Clock::now());
  }
  ASSERT_THAT(capture.lines(), SizeIs(1));
  EXPECT_THAT(capture.lines()[0], HasSubstr("\terror\taccess\tconnection complete\t"));
  EXPECT_THAT(capture.lines()[0], HasSubstr("error=\"connection closed due to connection drain\""));
  EXPECT_THAT(metrics(), ContainsRegex("connections_closed_total.*response_flags=\"-\""));
  EXPECT_THAT(metrics(), Not(HasSubstr("istio_tcp_connections_failed_total{")));
}

TEST_F(ConnectionRecordTest, FlagsAndTexts) {
  struct Case {
    Error error;
    const char *flag, *text;
  };
  const Case cases[] = {
      {Error(Errc::kPolicyRejection, "explicitly denied by: ns/p"), "DENY",
       "connection closed due to policy rejection: explicitly denied by: ns/p"},
      {Error(Errc::kPolicyChange), "DENY", "connection closed due to policy change"},
      {Error(Errc::kConnectionFailed, "Connection refused"), "CONNECT",
       "connection failed: Connection refused"},
      {Error(hbone::Errc::kStatus, "401 Unauthorized"), "CONNECT", "http status: 401 Unauthorized"},
      {Error(tls::Errc::kHandshake, "x"), "TLS_FAILURE", "tls handshake error: x"},
      {Error(h2::Errc::kHandshake, "x"), "H2_HANDSHAKE_FAILURE", "x"},
      {Error(Errc::kNetworkPolicy, "Connection timed out"), "NETWORK_POLICY",
       "connection timed out, maybe a NetworkPolicy is blocking HBONE port 15008: Connection timed "
       "out"},
      {Error(Errc::kIdentity, "x"), "IDENTITY_ERROR", "identity error: x"},
      {system_error(ECONNREFUSED, "io error"), "CONNECT", "io error: Connection refused"},
  };
  for (const Case& c : cases) {
    const auto line = end(outbound(), c.error);
    EXPECT_THAT(line, ::testing::StartsWith("error\taccess\tconnection complete\t"));
    EXPECT_THAT(line, HasSubstr(c.text));
    EXPECT_EQ(to_string(response_flag(c.error)), c.flag) << c.text;
    for (const char* family :
         {"istio_tcp_connections_closed_total", "istio_tcp_connections_failed_total"})
      EXPECT_THAT(metrics(),
                  ContainsRegex(std::string(family) + "[^\n]*response_flags=\"" + c.flag + "\""));
  }
}

TEST_F(ConnectionRecordTest, EarlyDenialsAreLoggedAndNotCounted) {
  const log::Capture capture;
  log_early_deny(Reporter::kDestination, address("10.0.0.1:1"), address("10.0.0.2:15008"),
                 Error(Errc::kIpMismatch, "10.0.0.2 != 10.0.0.3"));
  log_early_deny(Reporter::kSource, address("10.0.0.1:1"), address("127.0.0.1:15001"),
                 Error(Errc::kSelfCall));
  ASSERT_THAT(capture.lines(), SizeIs(2));
  EXPECT_EQ(body(capture.lines()[0]),
            "warn\taccess\tconnection failed\tsrc.addr=10.0.0.1:1 dst.addr=10.0.0.2:15008 "
            "direction=\"inbound\" error=\"ip mismatch: 10.0.0.2 != 10.0.0.3\"");
  EXPECT_THAT(capture.lines()[1], HasSubstr("direction=\"outbound\" error=\"attempted recursive "
                                            "call to ourselves\""));
  EXPECT_THAT(metrics(), Not(HasSubstr("connections_opened_total{")));
}

TEST_F(ConnectionRecordTest, OpenedIsLoggedOnRequest) {
  log::set_filter(*log::Filter::parse("access=debug"));
  const log::Capture capture;
  ConnectionRecord record(traffic_, outbound(), Clock::now());
  log::set_filter(*log::Filter::parse("info"));
  ASSERT_THAT(capture.lines(), SizeIs(1));
  EXPECT_THAT(body(capture.lines()[0]),
              ::testing::StartsWith("debug\taccess\tconnection opened\t"));
  EXPECT_THAT(capture.lines()[0], HasSubstr("direction=\"outbound\""));
  EXPECT_THAT(capture.lines()[0], Not(HasSubstr("bytes_sent")));
  EXPECT_THAT(capture.lines()[0], Not(HasSubstr("duration")));
}

TEST_F(ConnectionRecordTest, OtherConnectionsTextsAreEscaped) {
  auto facts = outbound();
  facts.source_workload = nullptr;
  facts.reporter = Reporter::kDestination;
  facts.source_baggage.workload_name = "a\"b\nc";
  const auto line = end(std::move(facts), {});
  EXPECT_THAT(line, HasSubstr(R"(src.workload="a\"b\nc")"));
}

}  // namespace
}  // namespace culvert::ztunnel
