#include "waypoint/config/config_yaml.h"

#include "tests/unit/waypoint/support.h"
#include "waypoint/model/router.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

namespace culvert::waypoint {
namespace {

using test::address;
using test::ip;
using test::request;

LoadedConfig load(const std::string& yaml) {
  auto loaded = parse_config(yaml);
  EXPECT_TRUE(loaded) << (loaded ? "" : loaded.error().message());
  return loaded ? std::move(*loaded) : LoadedConfig{};
}

constexpr const char* kBase = R"(
waypoint: {name: waypoint, namespace: demo, clusterId: Kubernetes}
services:
- name: server
  addresses: [10.96.1.10]
  ports: [{port: 80, targetPort: 8080, protocol: http}, {port: 9090, protocol: tcp}, {port: 5000}]
  endpoints: [{workload: v1}, {workload: v2, weight: 3}]
- name: v1
  served: false
  ports: [{port: 80, targetPort: 8080, protocol: http}, {port: 9090, protocol: tcp}]
  endpoints: [{workload: v1}]
- name: v2
  served: false
  ports: [{port: 80, targetPort: 8080, protocol: http2}, {port: 9090, protocol: tcp}]
  endpoints: [{workload: v2}]
workloads:
- {name: v1, addresses: [10.244.1.11], serviceAccount: server-v1, workloadName: server-v1, canonicalName: server, canonicalRevision: v1}
- {name: v2, addresses: [10.244.2.11], tunnel: none}
)";

const Chain& http_chain(const Model& model) { return *model.resolve("10.96.1.10:80")->port.http; }

std::string cluster(const Model& model, const http::RequestHead& head, uint64_t point = 0) {
  const Route* route = match_route(http_chain(model).routes, head);
  if (route == nullptr) return "404";
  const auto* forward = std::get_if<Forward>(&route->rule->action);
  if (forward == nullptr) return "answered";
  test::Sequence random({point});
  const auto* target = choose_target(forward->targets, forward->total_weight, random);
  return target->upstream ? target->upstream->name : "unknown";
}

const RouteRule& rule_for(const Model& model, std::string_view path) {
  return *match_route(http_chain(model).routes, request("GET", "server", path))->rule;
}
const Forward& forward_for(const Model& model, std::string_view path) {
  return std::get<Forward>(rule_for(model, path).action);
}

TEST(ConfigYaml, DefaultRouteGoesToTheService) {
  const auto loaded = load(kBase);
  EXPECT_TRUE(loaded.warnings.empty());
  EXPECT_EQ(cluster(*loaded.model, request("GET", "server", "/x")),
            "inbound-vip|80|http|server.demo.svc.cluster.local");
  EXPECT_EQ(rule_for(*loaded.model, "/").name, "default");
  const Forward& forward = forward_for(*loaded.model, "/");
  EXPECT_EQ(forward.timeout, Millis(0));
  EXPECT_EQ(forward.retry.attempts, 2U);
  EXPECT_EQ(forward.retry.on, retry_on::kIstioDefault);
}

TEST(ConfigYaml, PortsGetTheChainsOfTheirProtocol) {
  const auto model = load(kBase).model;
  EXPECT_NE(model->resolve("10.96.1.10:80")->port.http, nullptr);
  EXPECT_EQ(model->resolve("10.96.1.10:80")->port.tcp, nullptr);
  EXPECT_EQ(model->resolve("10.96.1.10:9090")->port.http, nullptr);
  EXPECT_EQ(model->resolve("10.96.1.10:9090")->port.tcp->name,
            "inbound-vip|9090|tcp|server.demo.svc.cluster.local");
  const auto sniffed = model->resolve("server.demo.svc.cluster.local:5000");
  EXPECT_NE(sniffed->port.http, nullptr);
  EXPECT_NE(sniffed->port.tcp, nullptr);
}

TEST(ConfigYaml, ServicesThatAreOnlyBackendsAreNotServed) {
  const auto model = load(kBase).model;
  EXPECT_EQ(model->services().size(), 1U);
  EXPECT_EQ(model->resolve("v1.demo.svc.cluster.local:80"), std::nullopt);
  EXPECT_EQ(model->resolve("10.244.1.11:8080"), std::nullopt);
}

TEST(ConfigYaml, EndpointsComeFromWorkloads) {
  const auto model = load(kBase).model;
  const Upstream& upstream = *forward_for(*model, "/").targets[0].upstream;
  ASSERT_EQ(upstream.endpoints.size(), 2U);
  const Endpoint& v1 = upstream.endpoints[0];
  EXPECT_EQ(v1.tunnel, Tunnel::kHbone);
  EXPECT_EQ(v1.address, address("10.244.1.11:8080"));
  EXPECT_EQ(v1.node, address("10.244.1.11:15008"));
  EXPECT_EQ(v1.identity->to_string(), "spiffe://cluster.local/ns/demo/sa/server-v1");
  EXPECT_EQ(v1.workload->canonical_revision, "v1");
  EXPECT_EQ(upstream.endpoints[1].tunnel, Tunnel::kPlain);
  EXPECT_EQ(upstream.endpoints[1].state.weight, 3U);
  EXPECT_EQ(upstream.balancer.usable(), 2U);
  EXPECT_EQ(upstream.service, (ServiceRef{"server.demo.svc.cluster.local", "server", "demo"}));
  EXPECT_EQ(model->workload(ip("10.244.1.11"))->name, "v1");
}

TEST(ConfigYaml, EndpointsByAddress) {
  const auto loaded = load(R"(
waypoint: {namespace: demo}
services:
- name: s
  namespace: other
  hostnames: [API.example.com., api]
  addresses: [10.96.0.1, 'fd00::1', 10.97.0.0/16]
  ports: [{port: 80, targetPort: 8080}, {port: 81}]
  publishNotReadyAddresses: true
  trafficPolicy: {connectTimeout: 2s, idleTimeout: 90s, maxConnections: 17, maxPendingRequests: 5, maxRequests: 50, maxRetries: 2}
  endpoints:
  - {address: 192.0.2.1, ports: [{port: 81, targetPort: 9000}], weight: 5, priority: 1, health: unhealthy}
  - {address: 192.0.2.2, tunnel: hbone, identity: 'spiffe://td/ns/a/sa/b', health: draining}
)");
  EXPECT_EQ(loaded.model->services()[0].hostnames,
            (std::vector<std::string>{"api.example.com", "api"}));
  for (const char* authority : {"api:80", "api.example.com:81", "10.97.3.4:80", "[fd00::1]:80"}) {
    EXPECT_NE(loaded.model->resolve(authority), std::nullopt) << authority;
  }
  const auto upstream = [&](std::string_view authority) -> const Upstream& {
    return *loaded.model->resolve(authority)->port.tcp->tcp_targets[0].upstream;
  };
  EXPECT_EQ(upstream("api:80").endpoints[0].address, address("192.0.2.1:8080"));
  EXPECT_EQ(upstream("api:81").endpoints[0].address, address("192.0.2.1:9000"));
  EXPECT_EQ(upstream("api:81").endpoints[0].state.health, Health::kHealthy);
  EXPECT_EQ(upstream("api:81").endpoints[0].state.priority, 1U);
  EXPECT_EQ(upstream("api:81").endpoints[0].identity, std::nullopt);
  EXPECT_EQ(upstream("api:80").endpoints[1].tunnel, Tunnel::kHbone);
  EXPECT_EQ(upstream("api:80").endpoints[1].identity->to_string(), "spiffe://td/ns/a/sa/b");
  EXPECT_EQ(upstream("api:80").balancer.usable(), 1U);
  const UpstreamLimits& limits = upstream("api:80").limits;
  EXPECT_EQ(limits.connect_timeout, Millis(2000));
  EXPECT_EQ(limits.idle_timeout, Millis(90'000));
  EXPECT_EQ(limits.max_connections, 17U);
  EXPECT_EQ(limits.max_pending_requests, 5U);
  EXPECT_EQ(limits.max_requests, 50U);
  EXPECT_EQ(limits.max_retries, 2U);
}

TEST(ConfigYaml, DirectWorkloads) {
  const auto model = load(R"(
workloads:
- {name: a, addresses: [10.244.1.11, 'fd00::11'], direct: true}
- {name: b, addresses: [10.244.1.12]}
)")
                         .model;
  const auto found = model->resolve("10.244.1.11:1234");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->port.http->name, "direct-http");
  EXPECT_EQ(found->port.tcp->tcp_targets[0].upstream->kind, Upstream::Kind::kOriginalDestination);
  EXPECT_TRUE(model->resolve("[fd00::11]:80"));
  EXPECT_FALSE(model->resolve("10.244.1.12:80"));
}

// The rules of the mesh's own recording of this HTTPRoute, in the order that istiod gave them.
TEST(ConfigYaml, RoutesAreSortedAsIstiodSortsThem) {
  const auto loaded = load(std::string(kBase) + R"(
httpRoutes:
- name: http-all
  parentRefs: [{kind: Service, name: server, port: 80}]
  rules:
  - name: header-split
    matches:
    - headers: [{name: x-ver, value: canary}, {name: x-re, type: RegularExpression, value: 'a+b.*'}]
      path: {type: PathPrefix, value: /split}
      method: GET
      queryParams: [{name: q, value: '1'}]
    backendRefs: [{name: v1, port: 80, weight: 80}, {name: v2, port: 80, weight: 20}]
  - matches: [{path: {type: PathPrefix, value: /redir}}]
    filters: [{type: RequestRedirect, requestRedirect: {scheme: https}}]
  - matches: [{path: {type: Exact, value: /redir-full}}]
    filters: [{type: RequestRedirect, requestRedirect: {statusCode: 302, path: {type: ReplaceFullPath, replaceFullPath: /full}}}]
  - matches: [{path: {type: PathPrefix, value: /mirror}}]
    filters: [{type: RequestMirror, requestMirror: {backendRef: {name: v2, port: 80}, percent: 25}}]
    backendRefs: [{name: v1, port: 80}]
  - matches: [{path: {type: PathPrefix, value: /zero}}]
    backendRefs: [{name: v1, port: 80, weight: 0}]
  - matches: [{path: {type: PathPrefix, value: /nobackend}}]
    backendRefs: [{name: does-not-exist, port: 80}]
  - matches: [{path: {type: RegularExpression, value: '/re/[0-9]+'}}]
    backendRefs: [{name: v2, port: 80}]
  - backendRefs: [{name: server, port: 80}]
)");
  std::vector<std::string> order;
  for (const Route& route : http_chain(*loaded.model).routes) order.push_back(route.rule->name);
  EXPECT_EQ(order,
            (std::vector<std::string>{"demo.http-all.2", "demo.http-all.5", "demo.http-all.3",
                                      "header-split", "demo.http-all.1", "demo.http-all.4",
                                      "demo.http-all.7", "demo.http-all.6"}));
  const Model& model = *loaded.model;
  const auto split =
      request("GET", "server", "/split/x?q=1", {{"x-ver", "canary"}, {"x-re", "aab"}});
  EXPECT_EQ(cluster(model, split, 79), "outbound|80||v1.demo.svc.cluster.local");
  EXPECT_EQ(cluster(model, split, 80), "outbound|80||v2.demo.svc.cluster.local");
  EXPECT_EQ(cluster(model, request("POST", "server", "/split")),
            "inbound-vip|80|http|server.demo.svc.cluster.local");
  EXPECT_EQ(cluster(model, request("GET", "server", "/redir/x")), "answered");
  EXPECT_EQ(std::get<DirectResponse>(rule_for(model, "/zero").action).status, 500);
  // Backends that do not exist: requests get 500, and the file's reader is told.
  const Forward& unknown = forward_for(model, "/nobackend");
  EXPECT_EQ(unknown.targets[0].upstream, nullptr);
  EXPECT_EQ(unknown.unknown_target_status, 500);
  ASSERT_EQ(loaded.warnings.size(), 1U);
  EXPECT_NE(loaded.warnings[0].find("demo/does-not-exist port 80"), std::string::npos)
      << loaded.warnings[0];
  const Forward& mirrored = forward_for(model, "/mirror");
  ASSERT_EQ(mirrored.mirrors.size(), 1U);
  EXPECT_EQ(mirrored.mirrors[0].per_million, 250'000U);
  EXPECT_EQ(mirrored.mirrors[0].upstream->name, "outbound|80||v2.demo.svc.cluster.local");
}

LoadedConfig with_rule(const std::string& rule) {
  return load(std::string(kBase) +
              "httpRoutes:\n- name: r\n  parentRefs: [{name: server, port: 80}]\n  rules:\n  - " +
              rule);
}

TEST(ConfigYaml, FiltersOfARule) {
  const auto model = with_rule(R"(matches: [{path: {type: PathPrefix, value: /rw}}]
    filters:
    - {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Set, value: s}], add: [{name: x-add, value: a}], remove: [X-Rem]}}
    - {type: ResponseHeaderModifier, responseHeaderModifier: {remove: [server]}}
    - type: URLRewrite
      urlRewrite: {hostname: rewritten.example.com, path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}
    - {type: RequestMirror, requestMirror: {backendRef: {name: v1, port: 80}}}
    - {type: RequestMirror, requestMirror: {backendRef: {name: v2, port: 80}, fraction: {numerator: 1, denominator: 1000}}}
    backendRefs:
    - name: v1
      port: 80
      filters: [{type: RequestHeaderModifier, requestHeaderModifier: {add: [{name: x-backend, value: v1}]}}]
)")
                         .model;
  const RouteRule& rule = rule_for(*model, "/rw/a");
  EXPECT_EQ(rule.request_headers.set, (std::vector<HeaderValue>{{"x-set", "s"}}));
  EXPECT_EQ(rule.request_headers.add, (std::vector<HeaderValue>{{"x-add", "a"}}));
  EXPECT_EQ(rule.request_headers.remove, std::vector<std::string>{"x-rem"});
  EXPECT_EQ(rule.response_headers.remove, std::vector<std::string>{"server"});
  const auto& forward = std::get<Forward>(rule.action);
  EXPECT_EQ(forward.host_rewrite, "rewritten.example.com");
  EXPECT_EQ(forward.path_rewrite.kind, PathRewrite::Kind::kPrefix);
  EXPECT_EQ(forward.targets[0].request_headers.add,
            (std::vector<HeaderValue>{{"x-backend", "v1"}}));
  ASSERT_EQ(forward.mirrors.size(), 2U);
  EXPECT_EQ(forward.mirrors[0].per_million, 1'000'000U);
  EXPECT_EQ(forward.mirrors[1].per_million, 1000U);
}

TEST(ConfigYaml, AnswersWithoutBackends) {
  const auto direct =
      with_rule("filters: [{type: DirectResponse, directResponse: {status: 418, body: no}}]").model;
  const auto& answer = std::get<DirectResponse>(rule_for(*direct, "/").action);
  EXPECT_EQ(answer.status, 418);
  EXPECT_EQ(answer.body, "no");
  EXPECT_EQ(answer.content_type, "text/plain");
  const auto redirect = with_rule(
                            "filters: [{type: RequestRedirect, requestRedirect: {hostname: "
                            "New.example.com, port: 8443, statusCode: 308}}]")
                            .model;
  const auto& to = std::get<Redirect>(rule_for(*redirect, "/").action);
  EXPECT_EQ(to.status, 308);
  EXPECT_EQ(to.host, "new.example.com");
  EXPECT_EQ(to.port, 8443);
}

TEST(ConfigYaml, TimeoutsAndRetry) {
  const std::string backends = "backendRefs: [{name: v1, port: 80}]\n";
  const auto both = with_rule(backends +
                              "    timeouts: {request: 3s, backendRequest: 1s, idle: 1m}\n"
                              "    retry: {attempts: 3, backoff: 100ms, codes: [500, 503]}\n");
  const Forward& forward = forward_for(*both.model, "/");
  EXPECT_EQ(forward.timeout, Millis(3000));
  EXPECT_EQ(forward.idle_timeout, Millis(60'000));
  EXPECT_EQ(forward.retry.per_try_timeout, Millis(1000));
  EXPECT_EQ(forward.retry.attempts, 3U);
  EXPECT_EQ(forward.retry.on, retry_on::kIstioDefault);
  EXPECT_EQ(forward.retry.codes, (std::vector<int>{500, 503}));
  EXPECT_EQ(forward.retry.backoff_base, Millis(100));
  EXPECT_EQ(forward.retry.backoff_max, Millis(1000));
  // Without a word on retries, the time for a backend is the time for all.
  const auto alone = with_rule(backends + "    timeouts: {request: 3s, backendRequest: 1s}\n");
  EXPECT_EQ(forward_for(*alone.model, "/").timeout, Millis(1000));
  EXPECT_EQ(forward_for(*alone.model, "/").retry.per_try_timeout, Millis(0));
  const auto own = with_rule(backends + "    retry: {retryOn: '5xx,429', attempts: 0}\n");
  EXPECT_EQ(forward_for(*own.model, "/").retry.on, retry_on::k5xx | retry_on::kStatusCodes);
  EXPECT_EQ(forward_for(*own.model, "/").retry.codes, std::vector<int>{429});
  EXPECT_EQ(forward_for(*own.model, "/").retry.attempts, 0U);
}

TEST(ConfigYaml, HostsOfARoute) {
  const auto model = load(std::string(kBase) + R"(
httpRoutes:
- name: wildcard
  parentRefs: [{name: server}]
  hostnames: ['*.example.com']
  rules: [{matches: [{path: {type: Exact, value: /}}], backendRefs: [{name: v1, port: 80}]}]
- name: exact
  parentRefs: [{name: server}]
  hostnames: [A.example.com]
  rules: [{backendRefs: [{name: v2, port: 80}]}]
)")
                         .model;
  EXPECT_EQ(cluster(*model, request("GET", "a.example.com:80", "/")),
            "outbound|80||v2.demo.svc.cluster.local");
  EXPECT_EQ(cluster(*model, request("GET", "b.example.com", "/")),
            "outbound|80||v1.demo.svc.cluster.local");
  EXPECT_EQ(cluster(*model, request("GET", "b.example.com", "/x")), "404");
  EXPECT_EQ(cluster(*model, request("GET", "server", "/")), "404");
  // A parent without a port means all of its HTTP ports.
  EXPECT_EQ(model->resolve("10.96.1.10:5000")->port.http->routes.size(), 2U);
}

TEST(ConfigYaml, TcpRoutes) {
  const auto model = load(std::string(kBase) + R"(
tcpRoutes:
- name: t
  parentRefs: [{kind: Service, name: server, port: 9090}]
  backendRefs: [{name: v1, port: 9090, weight: 90}, {name: v2, port: 9090, weight: 10}, {name: v1, port: 80, weight: 0}]
)")
                         .model;
  const Chain& chain = *model->resolve("10.96.1.10:9090")->port.tcp;
  ASSERT_EQ(chain.tcp_targets.size(), 2U);
  EXPECT_EQ(chain.tcp_total_weight, 100U);
  EXPECT_EQ(chain.tcp_targets[1].upstream->name, "outbound|9090||v2.demo.svc.cluster.local");
}

TEST(ConfigYaml, Options) {
  const auto defaults = load(kBase).model->options();
  EXPECT_EQ(defaults.path_normalization, http::PathNormalization::kBase);
  EXPECT_EQ(defaults.xfcc, XfccMode::kSanitize);
  EXPECT_EQ(defaults.xff, XffMode::kKeep);
  EXPECT_FALSE(defaults.access_log.enabled);
  const auto model = load(std::string(kBase) + R"(
options:
  pathNormalization: DECODE_AND_MERGE_SLASHES
  xForwardedClientCert: identity
  xForwardedFor: append
  serverHeader: istio-envoy
  accessLog: {format: json, filter: errors}
  limits:
    maxHeaderBytes: 8192
    maxHeaderFields: 50
    maxTunnelStreams: 10
    maxHttp2Streams: 20
    maxPendingRequests: 30
    maxBufferedBody: 65536
    headerTimeout: 5s
    idleTimeout: 10m
    streamIdleTimeout: 1m
    requestTimeout: 15s
    sniffTimeout: 1s
)")
                         .model;
  const Options& options = model->options();
  EXPECT_EQ(options.path_normalization, http::PathNormalization::kDecodeAndMergeSlashes);
  EXPECT_EQ(options.xfcc, XfccMode::kIdentity);
  EXPECT_EQ(options.xff, XffMode::kAppend);
  EXPECT_EQ(options.server_name, "istio-envoy");
  EXPECT_TRUE(options.access_log.enabled && options.access_log.errors_only);
  EXPECT_EQ(options.access_log.format, AccessLogOptions::Format::kJson);
  EXPECT_EQ(options.limits.max_header_bytes, 8192U);
  EXPECT_EQ(options.limits.max_buffered_body, 65536U);
  EXPECT_EQ(options.limits.header_timeout, Millis(5000));
  EXPECT_EQ(options.limits.sniff_timeout, Millis(1000));
  // Where routes say nothing.
  EXPECT_EQ(forward_for(*model, "/").timeout, Millis(15'000));
  EXPECT_EQ(forward_for(*model, "/").idle_timeout, Millis(60'000));
}

TEST(ConfigYaml, WhoWeAre) {
  const auto model = load(
                         "waypoint: {name: wp, namespace: demo, trustDomain: td, clusterDomain: "
                         "k8s, network: n1}\n"
                         "services: [{name: s, addresses: [10.0.0.1], ports: [{port: 1}]}]")
                         .model;
  EXPECT_EQ(model->self().identity().to_string(), "spiffe://td/ns/demo/sa/wp");
  EXPECT_EQ(model->services()[0].ref.hostname, "s.demo.svc.k8s");
}

// The example of the documentation is complete and works.
TEST(ConfigYaml, DocumentedExample) {
  std::ifstream file("docs/waypoint-config.md");
  ASSERT_TRUE(file) << "docs/waypoint-config.md";
  std::stringstream text;
  text << file.rdbuf();
  const std::string all = text.str();
  const size_t begin = all.find("```yaml\n");
  ASSERT_NE(begin, std::string::npos);
  const size_t end = all.find("```", begin + 8);
  const auto loaded = load(all.substr(begin + 8, end - begin - 8));
  ASSERT_NE(loaded.model, nullptr);
  EXPECT_TRUE(loaded.warnings.empty());
  EXPECT_TRUE(loaded.model->resolve("10.96.1.10:80"));
}

}  // namespace
}  // namespace culvert::waypoint
