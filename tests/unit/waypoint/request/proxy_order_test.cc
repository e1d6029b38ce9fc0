#include "tests/unit/waypoint/request/proxy_lab.h"

// Which step comes first, and what each refusal looks like to the client, the log and the metrics.
namespace culvert::waypoint {
namespace {

using test::ProxyLab;

constexpr const char* kNoAdmin =
    "authorizationPolicies:\n"
    "- name: no-admin\n"
    "  action: DENY\n"
    "  targetRefs: [{kind: Service, name: server}]\n"
    "  rules: [{to: [{operation: {paths: [\"/admin*\"]}}]}]\n";

TEST(ProxyOrder, AnswerOfTheEndpoint) {
  ProxyLab lab;
  lab.upstreams.otherwise.headers = {{"x-app", "1"}};
  lab.upstreams.otherwise.body = {"hello ", "world"};
  const auto r = lab.get("/a?q=1");
  EXPECT_EQ(r->status(), 200);
  EXPECT_EQ(r->header("x-app"), "1");
  EXPECT_EQ(r->client.received, "hello world");
  EXPECT_TRUE(r->client.finished);
  EXPECT_FALSE(r->client.was_reset);
  ASSERT_EQ(lab.upstreams.tries.size(), 1U);
  EXPECT_EQ(lab.upstreams.tries[0]->head.path, "/a?q=1");
  EXPECT_EQ(lab.upstreams.tries[0]->head.authority, "server.demo");
  EXPECT_FALSE(lab.upstreams.tries[0]->http2);
  EXPECT_EQ(lab.upstreams.running(), 0U);
}

TEST(ProxyOrder, PathIsNormalisedBeforeEverything) {
  ProxyLab lab(kNoAdmin, "  pathNormalization: MERGE_SLASHES\n");
  for (const char* path : {"/admin", "/x/../admin/y", "//admin", "/%61dmin", "/admin?x"}) {
    EXPECT_EQ(lab.get(path)->status(), 403) << path;
  }
  EXPECT_TRUE(lab.upstreams.tries.empty());
  EXPECT_EQ(lab.get("/x/../ok//y")->status(), 200);
  ASSERT_EQ(lab.upstreams.tries.size(), 1U);
  EXPECT_EQ(lab.upstreams.tries[0]->head.path, "/ok/y");
}

TEST(ProxyOrder, BadPathIs400) {
  ProxyLab lab;
  EXPECT_EQ(lab.get("/a%00b")->status(), 400);
  EXPECT_TRUE(lab.upstreams.tries.empty());
  EXPECT_EQ(lab.last()["response_code_details"], "path_normalization_failed");
}

TEST(ProxyOrder, DenialIsEnvoys) {
  ProxyLab lab(kNoAdmin);
  const auto r = lab.get("/admin");
  EXPECT_EQ(r->status(), 403);
  EXPECT_EQ(r->client.received, "RBAC: access denied");
  EXPECT_EQ(r->header("content-type"), "text/plain");
  EXPECT_EQ(r->header("content-length"), "19");
  EXPECT_EQ(lab.verdict(),
            "403 - rbac_access_denied_matched_policy[ns[demo]-policy[no-admin]-rule[0]]");
  EXPECT_TRUE(lab.last()["upstream_host"].is_null());
}

TEST(ProxyOrder, AuthorizationComesBeforeRouting) {
  ProxyLab lab(ProxyLab::route("  - matches: [{path: {type: Exact, value: /only}}]\n"
                               "    backendRefs: [{name: server, port: 80}]\n") +
               kNoAdmin);
  EXPECT_EQ(lab.get("/admin")->status(), 403);
  const auto r = lab.get("/else");
  EXPECT_EQ(r->status(), 404);
  EXPECT_EQ(r->client.received, "");
  EXPECT_EQ(lab.verdict(), "404 NR route_not_found");
  EXPECT_EQ(lab.get("/only")->status(), 200);
}

TEST(ProxyOrder, AllowOfNobodyDeniesWithNone) {
  ProxyLab lab(
      "authorizationPolicies:\n"
      "- {name: nothing, targetRefs: [{kind: Service, name: server}]}\n");
  EXPECT_EQ(lab.get("/")->status(), 403);
  EXPECT_EQ(lab.verdict(), "403 - rbac_access_denied_matched_policy[none]");
}

TEST(ProxyOrder, PoliciesSeeTheProxysHeaders) {
  // What the client claims to be is gone before the policy looks.
  ProxyLab lab(
      "authorizationPolicies:\n"
      "- name: no-forged\n"
      "  action: DENY\n"
      "  targetRefs: [{kind: Service, name: server}]\n"
      "  rules: [{when: [{key: \"request.headers[x-forwarded-client-cert]\", values: "
      "[\"*\"]}]}]\n");
  EXPECT_EQ(lab.get("/", {{"x-forwarded-client-cert", "URI=spiffe://forged"}})->status(), 200);
  EXPECT_FALSE(lab.upstreams.tries.at(0)->head.headers.contains("x-forwarded-client-cert"));
}

TEST(ProxyOrder, RouteSeesTheNormalisedPath) {
  ProxyLab lab(
      ProxyLab::route("  - matches: [{path: {type: Exact, value: /b}}]\n"
                      "    backendRefs: [{name: server, port: 80}]\n"));
  EXPECT_EQ(lab.get("/a/../b")->status(), 200);
}

TEST(ProxyOrder, Redirect) {
  ProxyLab lab(ProxyLab::route(
      "  - filters:\n"
      "    - type: RequestRedirect\n"
      "      requestRedirect: {scheme: https, hostname: new.example.com, statusCode: "
      "301}\n"));
  const auto r = lab.get("/p?q=1");
  EXPECT_EQ(r->status(), 301);
  EXPECT_EQ(r->header("location"), "https://new.example.com/p?q=1");
  EXPECT_EQ(r->client.received, "");
  EXPECT_EQ(lab.verdict(), "301 - direct_response");
  EXPECT_TRUE(lab.upstreams.tries.empty());
}

TEST(ProxyOrder, DirectResponse) {
  ProxyLab lab(
      ProxyLab::route("  - filters:\n"
                      "    - type: DirectResponse\n"
                      "      directResponse: {status: 418, body: short and stout}\n"));
  const auto r = lab.get("/");
  EXPECT_EQ(r->status(), 418);
  EXPECT_EQ(r->client.received, "short and stout");
  EXPECT_EQ(lab.verdict(), "418 - direct_response");
  EXPECT_EQ(lab.last()["bytes_sent"], 15);
  // HEAD: the head alone, with the length that GET would have.
  const auto head = lab.make("HEAD", "/");
  head->go();
  EXPECT_EQ(head->status(), 418);
  EXPECT_EQ(head->client.received, "");
  EXPECT_EQ(head->header("content-length"), "15");
}

TEST(ProxyOrder, RewritesAndHeaders) {
  ProxyLab lab(ProxyLab::route(
      "  - matches: [{path: {type: PathPrefix, value: /api}}]\n"
      "    filters:\n"
      "    - type: URLRewrite\n"
      "      urlRewrite: {hostname: api.internal, path: {type: ReplacePrefixMatch, "
      "replacePrefixMatch: /v2}}\n"
      "    - type: RequestHeaderModifier\n"
      "      requestHeaderModifier: {set: [{name: x-set, value: s}], add: [{name: x-add, value: "
      "b}], remove: [x-gone]}\n"
      "    - type: ResponseHeaderModifier\n"
      "      responseHeaderModifier: {set: [{name: x-app, value: ours}], remove: [x-secret]}\n"
      "    backendRefs: [{name: server, port: 80}]\n"));
  lab.upstreams.otherwise.headers = {{"x-app", "theirs"}, {"x-secret", "s"}};
  const auto r = lab.get("/api/x?q=1", {{"x-set", "c"}, {"x-add", "a"}, {"x-gone", "1"}});
  const auto& head = lab.upstreams.tries.at(0)->head;
  EXPECT_EQ(head.path, "/v2/x?q=1");
  EXPECT_EQ(head.authority, "api.internal");
  EXPECT_EQ(head.headers.get("x-set"), "s");
  EXPECT_EQ(head.headers.joined("x-add"), "a,b");
  EXPECT_FALSE(head.headers.contains("x-gone"));
  EXPECT_EQ(r->header("x-app"), "ours");
  EXPECT_EQ(r->header("x-secret"), "(none)");
  // The log has what the client sent.
  EXPECT_EQ(lab.last()["path"], "/api/x?q=1");
  EXPECT_EQ(lab.last()["authority"], "server.demo");
}

TEST(ProxyOrder, ResponseHeaderOpsOnLocalAnswersToo) {
  // Envoy applies a route's response headers to what it answers itself for that route.
  ProxyLab lab(
      ProxyLab::to_server("    filters:\n"
                          "    - type: ResponseHeaderModifier\n"
                          "      responseHeaderModifier: {set: [{name: x-by, value: us}]}\n"));
  lab.upstreams.otherwise.connect_error = Error(ExchangeErrc::kConnectFailed, "refused");
  EXPECT_EQ(lab.get("/")->header("x-by"), "us");
}

TEST(ProxyOrder, WeightsOfTargets) {
  ProxyLab lab(
      ProxyLab::route("  - backendRefs: [{name: server, port: 80, weight: 90}, {name: "
                      "canary, port: 80, weight: 10}]\n"));
  lab.worker().random = std::make_unique<test::Seeded>();
  int canary = 0;
  constexpr int kRequests = 2000;
  for (int i = 0; i < kRequests; ++i) lab.get("/");
  for (const auto& seen : lab.upstreams.tries)
    canary += seen->address == "10.244.1.13:8080" ? 1 : 0;
  ASSERT_EQ(lab.upstreams.tries.size(), static_cast<size_t>(kRequests));
  EXPECT_NEAR(canary, 200, 45);  // more than three standard deviations of 13.4
}

TEST(ProxyOrder, UnknownBackendIs500) {
  ProxyLab lab(ProxyLab::route("  - backendRefs: [{name: missing, port: 80}]\n"));
  EXPECT_EQ(lab.get("/")->status(), 500);
  EXPECT_EQ(lab.last()["response_flags"], "NC");
  EXPECT_EQ(lab.last()["response_code_details"], "cluster_not_found");
}

TEST(ProxyOrder, NoEndpointIs503) {
  ProxyLab lab(ProxyLab::route("  - backendRefs: [{name: empty, port: 80}]\n"));
  const auto r = lab.get("/");
  EXPECT_EQ(r->status(), 503);
  EXPECT_EQ(r->client.received, "no healthy upstream");
  EXPECT_EQ(lab.verdict(), "503 UH no_healthy_upstream");
}

TEST(ProxyOrder, PolicyChangeAppliesToTheNextRequest) {
  ProxyLab lab;
  auto first = lab.make("GET", "/admin");
  first->go();
  EXPECT_EQ(first->status(), 200);
  lab.load(ProxyLab::config(kNoAdmin));
  auto second = lab.make("GET", "/admin");
  second->go(first->tunnel);  // the same connection
  EXPECT_EQ(second->status(), 403);
}

TEST(ProxyOrder, RunningRequestKeepsItsModel) {
  ProxyLab lab;
  lab.upstreams.otherwise.hold = test::Hold::kResponse;
  auto r = lab.make("GET", "/admin");
  r->start();
  lab.settle();
  lab.load("waypoint: {namespace: other}\n");
  lab.upstreams.release();
  r->wait();
  EXPECT_EQ(r->status(), 200);
}

TEST(ProxyOrder, ServiceThatIsGoneIsNotServed) {
  ProxyLab lab;
  auto first = lab.make();
  first->go();
  lab.load("waypoint: {namespace: demo}\noptions: {accessLog: {format: json}}\n");
  auto second = lab.make();
  second->go(first->tunnel);
  EXPECT_GE(second->status(), 400);
  EXPECT_EQ(lab.upstreams.tries.size(), 1U);
  EXPECT_EQ(second->status(), replies::not_served().status);
}

TEST(ProxyOrder, Http2ByPortAndByClient) {
  ProxyLab lab;
  lab.make()->go(lab.tunnel("10.96.1.10:81"));
  EXPECT_TRUE(lab.upstreams.tries.at(0)->http2);
  lab.make()->go(lab.tunnel("10.96.1.10:82"));
  EXPECT_FALSE(lab.upstreams.tries.at(1)->http2);
  auto two = lab.make();
  two->client.request().version = http::Version::kHttp2;
  two->go(lab.tunnel("10.96.1.10:82"));
  EXPECT_TRUE(lab.upstreams.tries.at(2)->http2);
  auto one = lab.make();
  one->client.request().version = http::Version::kHttp2;
  one->go(lab.tunnel("10.96.1.10:80"));
  EXPECT_FALSE(lab.upstreams.tries.at(3)->http2);
}

TEST(ProxyOrder, DirectWorkloadIsItsOwnDestination) {
  ProxyLab lab;
  lab.make()->go(lab.tunnel("10.244.1.12:9999"));
  ASSERT_EQ(lab.upstreams.tries.size(), 1U);
  EXPECT_EQ(lab.upstreams.tries[0]->address, "10.244.1.12:9999");
  EXPECT_EQ(lab.last()["downstream_local_address"], "10.244.1.12:9999");
}

TEST(ProxyOrder, ServerHeaderOnAllAnswers) {
  ProxyLab lab(kNoAdmin, "  serverHeader: envoy\n");
  lab.upstreams.otherwise.headers = {{"server", "app"}};
  EXPECT_EQ(lab.get("/")->header("server"), "envoy");
  EXPECT_EQ(lab.get("/admin")->header("server"), "envoy");
  ProxyLab keeps;
  keeps.upstreams.otherwise.headers = {{"server", "app"}};
  EXPECT_EQ(keeps.get("/")->header("server"), "app");
}

TEST(ProxyOrder, ForwardedIdentityAndAddress) {
  ProxyLab lab("", "  xForwardedClientCert: identity\n  xForwardedFor: append\n");
  lab.get("/",
          {{"x-forwarded-client-cert", "URI=spiffe://forged"}, {"x-forwarded-for", "1.2.3.4"}});
  const auto& headers = lab.upstreams.tries.at(0)->head.headers;
  EXPECT_EQ(headers.joined("x-forwarded-client-cert"),
            "By=spiffe://cluster.local/ns/demo/sa/waypoint;URI=" + std::string(test::kClientId));
  EXPECT_EQ(headers.joined("x-forwarded-for"), "1.2.3.4,10.244.1.10");
}

}  // namespace
}  // namespace culvert::waypoint
