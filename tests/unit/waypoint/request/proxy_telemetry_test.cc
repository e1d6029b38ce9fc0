#include "tests/unit/waypoint/request/proxy_lab.h"

// What a request leaves behind: log lines and metrics; and gRPC, whose statuses they show.
namespace culvert::waypoint {
namespace {

using test::Hold;
using test::ProxyLab;

TEST(ProxyTelemetry, LineOfTheLog) {
  ProxyLab lab(ProxyLab::route("  - name: all\n    backendRefs: [{name: server, port: 80}]\n"));
  lab.upstreams.otherwise.headers = {{"x-envoy-upstream-service-time", "9"}};
  lab.upstreams.otherwise.body = {"hello"};
  auto r = lab.make("POST", "/x/../p?q=1",
                    {{"user-agent", "curl/8"},
                     {"x-forwarded-for", "1.2.3.4"},
                     {"x-request-id", "4a6f1d7e-0000-4000-8000-000000000000"}});
  r->client.will_send();
  r->client.say("abc");
  r->client.end();
  r->go();
  auto line = lab.last();
  EXPECT_TRUE(line["start_time"].is_string());
  EXPECT_TRUE(line["duration"].is_number());
  line.erase("start_time");
  line.erase("duration");
  line.erase("upstream_service_time");
  const nlohmann::json expected = {
      {"method", "POST"},
      {"path", "/p?q=1"},
      {"protocol", "HTTP/1.1"},
      {"response_code", 200},
      {"response_flags", "-"},
      {"response_code_details", "via_upstream"},
      {"connection_termination_details", nullptr},
      {"upstream_transport_failure_reason", nullptr},
      {"bytes_received", 3},
      {"bytes_sent", 5},
      {"x_forwarded_for", "1.2.3.4"},
      {"user_agent", "curl/8"},
      {"request_id", "4a6f1d7e-0000-4000-8000-000000000000"},
      {"authority", "server.demo"},
      {"upstream_host", "10.244.1.11:8080"},
      {"upstream_cluster", "inbound-vip|80|http|server.demo.svc.cluster.local"},
      {"upstream_local_address", "10.244.1.30:40000"},
      {"downstream_local_address", "10.96.1.10:80"},
      {"downstream_remote_address", "10.244.1.10:50000"},
      {"requested_server_name", nullptr},
      {"route_name", "all"},
  };
  EXPECT_EQ(line, expected) << line.dump(1);
}

TEST(ProxyTelemetry, PathOfTheLogIsTheClientsWhateverTheRoute) {
  ProxyLab lab;
  lab.get("/only?x=1");
  EXPECT_EQ(lab.last()["path"], "/only?x=1");
  EXPECT_EQ(lab.log().size(), 1U);
}

TEST(ProxyTelemetry, Labels) {
  ProxyLab lab;
  lab.get();
  const auto all = lab.metric("istio_requests_total");
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].count, 1U);
  const auto& labels = all[0].labels;
  const std::pair<const char*, const char*> expected[] = {
      {"reporter", "waypoint"},
      {"source_workload", "client"},
      {"source_workload_namespace", "demo"},
      {"source_principal", test::kClientId},
      {"source_app", "client"},
      {"source_canonical_revision", "latest"},
      {"destination_workload", "server"},
      {"destination_workload_namespace", "demo"},
      {"destination_principal", "spiffe://cluster.local/ns/demo/sa/server"},
      {"destination_canonical_revision", "v1"},
      {"destination_service", "server.demo.svc.cluster.local"},
      {"destination_service_name", "server"},
      {"destination_service_namespace", "demo"},
      {"request_protocol", "http"},
      {"response_code", "200"},
      {"response_flags", "-"},
      {"grpc_response_status", ""},
  };
  for (const auto& [name, value] : expected) EXPECT_EQ(labels.at(name), value) << name;
}

TEST(ProxyTelemetry, RefusedRequestsAreCountedToo) {
  ProxyLab lab(
      "authorizationPolicies:\n"
      "- {name: nothing, targetRefs: [{kind: Service, name: server}]}\n");
  lab.get();
  const auto all = lab.metric("istio_requests_total");
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].labels.at("response_code"), "403");
  EXPECT_EQ(all[0].labels.at("destination_workload"), "unknown");
}

TEST(ProxyTelemetry, SizesAreThoseOfTheWire) {
  ProxyLab lab;
  lab.upstreams.otherwise.body = {"hello"};
  lab.get();
  const auto in = lab.metric("istio_request_bytes");
  const auto out = lab.metric("istio_response_bytes");
  ASSERT_EQ(in.size(), 1U);
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(in[0].sum, 100);
  EXPECT_EQ(out[0].sum, 55);
  EXPECT_EQ(in[0].count, 1U);
  EXPECT_EQ(lab.metric("istio_request_duration_milliseconds").size(), 1U);
}

TEST(ProxyTelemetry, ErrorsOnly) {
  ProxyLab lab;
  lab.load("waypoint: {namespace: demo}\noptions: {accessLog: {format: json, filter: errors}}\n" +
           ProxyLab::config("").substr(ProxyLab::config("").find("services:")));
  lab.get();
  EXPECT_TRUE(lab.log().empty());
  lab.upstreams.otherwise.status = 404;
  lab.get();
  EXPECT_EQ(lab.log().size(), 1U);
}

std::string frame(std::string message) {
  return std::string("\0\0\0\0", 4) + static_cast<char>(message.size()) + message;
}

std::unique_ptr<ProxyLab::Running> call(ProxyLab& lab, std::vector<std::string> messages) {
  auto r =
      lab.make("POST", "/svc/M", {{"content-type", "application/grpc+proto"}, {"te", "trailers"}});
  r->client.will_send();
  for (std::string& message : messages) r->client.say(frame(std::move(message)));
  r->client.end();
  return r;
}

TEST(ProxyGrpc, StatusOfTrailersAndMessages) {
  ProxyLab lab;
  lab.upstreams.otherwise.headers = {{"content-type", "application/grpc"}};
  lab.upstreams.otherwise.body = {frame("a") + frame("b"), frame("c")};
  lab.upstreams.otherwise.trailers = {{"grpc-status", "5"}};
  auto r = call(lab, {"x", "y"});
  r->go(lab.tunnel("10.96.1.10:81"));
  EXPECT_EQ(r->client.trailers.get("grpc-status"), "5");
  const auto all = lab.metric("istio_requests_total");
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].labels.at("request_protocol"), "grpc");
  EXPECT_EQ(all[0].labels.at("grpc_response_status"), "5");
  EXPECT_EQ(all[0].labels.at("response_code"), "200");
  const auto sent = lab.metric("istio_request_messages_total");
  const auto got = lab.metric("istio_response_messages_total");
  ASSERT_EQ(sent.size(), 1U);
  ASSERT_EQ(got.size(), 1U);
  EXPECT_EQ(sent[0].count, 2U);
  EXPECT_EQ(got[0].count, 3U);
}

TEST(ProxyGrpc, StatusOfATrailersOnlyAnswer) {
  ProxyLab lab;
  lab.upstreams.otherwise.trailers_only = true;
  lab.upstreams.otherwise.headers = {{"content-type", "application/grpc"}, {"grpc-status", "7"}};
  auto r = call(lab, {"x"});
  r->go();
  EXPECT_EQ(r->header("grpc-status"), "7");
  EXPECT_EQ(r->client.response_size.kind, BodySize::Kind::kNone);
  EXPECT_EQ(lab.metric("istio_requests_total").at(0).labels.at("grpc_response_status"), "7");
}

TEST(ProxyGrpc, LocalAnswersAreTrailersOnly) {
  ProxyLab lab(
      "authorizationPolicies:\n"
      "- {name: nothing, targetRefs: [{kind: Service, name: server}]}\n");
  auto r = call(lab, {"x"});
  r->go();
  EXPECT_EQ(r->status(), 200);
  EXPECT_EQ(r->header("grpc-status"), "7");
  EXPECT_EQ(r->header("grpc-message"), "RBAC: access denied");
  EXPECT_EQ(r->client.received, "");
  EXPECT_EQ(lab.metric("istio_requests_total").at(0).labels.at("grpc_response_status"), "7");
}

TEST(ProxyGrpc, TimeoutIsUnavailable) {
  // Envoy maps its 504 by the table.
  ProxyLab lab(ProxyLab::to_server("    timeouts: {request: 30ms}\n"));
  lab.upstreams.otherwise.hold = Hold::kResponse;
  auto r = call(lab, {"x"});
  r->go();
  EXPECT_EQ(r->status(), 200);
  EXPECT_EQ(r->header("grpc-status"), "14");
  EXPECT_EQ(lab.last()["response_flags"], "UT");
}

TEST(ProxyGrpc, MessagesOfOthersAreNotCounted) {
  ProxyLab lab;
  lab.get();
  EXPECT_TRUE(lab.metric("istio_request_messages_total").empty());
}

}  // namespace
}  // namespace culvert::waypoint
