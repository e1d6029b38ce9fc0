#include "waypoint/config/config_yaml.h"

#include <gtest/gtest.h>

namespace culvert::waypoint {
namespace {

std::string error_of(const std::string& yaml) {
  const auto loaded = parse_config(yaml);
  return loaded ? "accepted" : loaded.error().message();
}

constexpr const char* kServer = R"(waypoint: {name: waypoint, namespace: demo}
services: [{name: server, addresses: [10.96.1.10], ports: [{port: 80, protocol: http}], endpoints: [{address: 10.0.0.1}]}]
)";

std::string policy(const std::string& rest) {
  return std::string(kServer) + "authorizationPolicies: [{name: p, " + rest + "}]\n";
}
std::string rule(const std::string& text) {
  return policy("targetRefs: [{kind: Service, name: server}], rules: [{" + text + "}]");
}
std::string http_rule(const std::string& text) {
  return std::string(kServer) + "httpRoutes: [{name: r, parentRefs: [{name: server}], rules: [{" +
         text + "}]}]\n";
}

TEST(ConfigErrors, AllAtOnceWithPathAndLine) {
  EXPECT_EQ(error_of("waypoint:\n"
                     "  nme: x\n"
                     "services:\n"
                     "- name: a\n"
                     "  ports:\n"
                     "  - port: 70000\n"
                     "    protocol: HTTP\n"),
            "waypoint.nme: unknown key; known here: name, namespace, serviceAccount, trustDomain, "
            "clusterDomain, "
            "clusterId, network (line 2)\n"
            "services[0].ports[0].port: must be a number from 1 to 65535 (line 6)\n"
            "services[0].ports[0].protocol: \"HTTP\" is not one of http, http2, grpc, tcp, tls, "
            "sniff (line 7)");
}

struct Bad {
  std::string yaml;
  const char* expected;  // a part of the error
};

void expect_errors(const std::vector<Bad>& cases) {
  for (const Bad& bad : cases) {
    const std::string error = error_of(bad.yaml);
    EXPECT_NE(error.find(bad.expected), std::string::npos) << bad.yaml << "\n-> " << error;
  }
}

TEST(ConfigErrors, Files) {
  expect_errors({
      {"", "file: is empty"},
      {"# only a comment\n", "file: is empty"},
      {"services: [", "file: not YAML"},
      {"- a\n", "file: must be a map"},
      {"a: 1\n---\nb: 2\n", "several YAML documents"},
      {"listeners: []\n", "listeners: unknown key"},
      {"services:\n", "services: has no value (line 1)"},
      {"services: []\n", "services: must be a list with at least one element"},
      {"services: {}\n", "services: must be a list"},
      {"waypoint: {name: a}\nwaypoint: {name: b}\n", "waypoint: appears twice (line 2)"},
      {"waypoint: {? [a] : b}\n", "has a key that is not a text"},
      {"services: [*nope]\n", "file: not YAML"},
      {std::string(kMaxConfigBytes + 1, '#'), "at most"},
  });
}

TEST(ConfigErrors, ServicesAndWorkloads) {
  const auto service = [](const std::string& fields) {
    return "services: [{name: s, " + fields + "}]\n";
  };
  const std::string ports = "ports: [{port: 80}]";
  expect_errors({
      {"services: [{ports: [{port: 80}]}]\n", "services[0]: needs the key \"name\""},
      {"services: [{name: S, ports: [{port: 80}]}]\n", "Kubernetes name"},
      {service("addresses: [10.0.0.1]"), "needs the key \"ports\""},
      {service("ports: [{port: 0}]"), "ports[0].port: must be a number from 1 to 65535"},
      {service("ports: [{port: 80}, {port: 80}]"), "port appears twice"},
      {service("ports: [{port: 80, protocol: udp}]"), "\"udp\" is not one of"},
      {service(ports + ", addresses: [10.0.0.256]"), "is not an IP address"},
      {service(ports + ", addresses: [0.0.0.0]"), "is not an IP address"},
      {service(ports + ", addresses: [10.0.0.0/33]"), "neither an IP address nor a range"},
      {service(ports + ", hostnames: ['*.a']"), "is not a host name"},
      {service(ports + ", hostnames: [10.0.0.1]"), "is not a host name"},
      {service(ports + ", endpoints: [{workload: w}]"), "there is no workload default/w"},
      {service(ports + ", endpoints: [{}]"), "needs either \"workload\" or \"address\""},
      {service(ports + ", endpoints: [{workload: w, address: 10.0.0.1}]"), "needs either"},
      {service(ports + ", endpoints: [{workload: w, tunnel: none}]"), "belong to the workload"},
      {service(ports + ", endpoints: [{address: 10.0.0.1, identity: 'spiffe://a/b'}]"),
       "must look like spiffe://"},
      {service(ports + ", endpoints: [{address: 10.0.0.1, health: ok}]"), "is not one of healthy"},
      {service(ports + ", endpoints: [{address: 10.0.0.1, weight: -1}]"),
       "must be a number from 0"},
      {service(ports + ", trafficPolicy: {connectTimeout: 10}"), "is not a duration"},
      {service(ports + ", trafficPolicy: {connectTimeout: 0s}"), "must be more than 0"},
      {service(ports + ", trafficPolicy: {connectTimeout: 25h}"), "is not a duration"},
      {service(ports + ", served: maybe"), "is not one of true, false"},
      {"workloads: [{name: w}]\n", "needs the key \"addresses\""},
      {"workloads: [{name: w, addresses: [10.0.0.1]}, {name: w, addresses: [10.0.0.2]}]\n",
       "appears twice"},
      {"services: [{name: a, ports: [{port: 80}], addresses: [10.0.0.1]}, {name: b, ports: [{port: "
       "80}], addresses: [10.0.0.1]}]\n",
       "both claim 10.0.0.1:80"},
      {"services: [{name: a, ports: [{port: 80}]}, {name: a, ports: [{port: 80}]}]\n",
       "appears twice"},
  });
}

TEST(ConfigErrors, Options) {
  const auto limits = [](const std::string& fields) {
    return "options: {limits: {" + fields + "}}\n";
  };
  expect_errors({
      {"options: {pathNormalization: FULL}\n", "is not one of NONE, BASE"},
      {"options: {xForwardedClientCert: forward}\n", "is not one of sanitize, identity"},
      {"options: {accessLog: {format: xml}}\n", "is not one of text, json"},
      {"options: {serverHeader: \"a\\nb\"}\n", "is not a header value"},
      {limits("maxHeaderBytes: 1023"), "must be a number from 1024 to 262144"},
      {limits("maxHeaderBytes: 262145"), "must be a number from 1024 to 262144"},
      {limits("maxBufferedBody: 16777217"), "must be a number from 0 to 16777216"},
      {limits("headerTimeout: 0s"), "must be more than 0"},
      {limits("sniffTimeout: 0s"), "must be more than 0"},
  });
  EXPECT_EQ(error_of(limits("maxHeaderBytes: 262144")), "accepted");
  EXPECT_EQ(error_of(limits("maxHeaderBytes: 1024")), "accepted");
}

TEST(ConfigErrors, Routes) {
  const std::string backend = "backendRefs: [{name: server, port: 80}]";
  const auto filter = [&](const std::string& text) {
    return http_rule(backend + ", filters: [{" + text + "}]");
  };
  const auto match = [&](const std::string& text) {
    return http_rule(backend + ", matches: [{" + text + "}]");
  };
  expect_errors({
      {http_rule("name: x"), "needs \"backendRefs\""},
      {http_rule("backendRefs: [{name: server}]"), "needs the key \"port\""},
      {http_rule("backendRefs: [{kind: InferencePool, name: server, port: 80}]"),
       "is not one of Service"},
      {std::string(kServer) + "httpRoutes: [{name: r, parentRefs: [{name: nope}], rules: [{" +
           backend + "}]}]\n",
       "there is no service demo/nope"},
      {std::string(kServer) +
           "httpRoutes: [{name: r, parentRefs: [{name: server, port: 81}], rules: [{" + backend +
           "}]}]\n",
       "no such port that carries HTTP"},
      {std::string(kServer) + "tcpRoutes: [{name: r, parentRefs: [{name: server}], " + backend +
           "}]\n",
       "no such port that carries TCP"},
      {std::string(kServer) + "httpRoutes: [{name: r, rules: [{" + backend + "}]}]\n",
       "needs the key \"parentRefs\""},
      {std::string(kServer) +
           "httpRoutes: [{name: r, parentRefs: [{name: server}], hostnames: ['a*'], rules: [{" +
           backend + "}]}]\n",
       "is not a host name"},
      {match("path: {type: Prefix, value: /}"),
       "is not one of Exact, PathPrefix, RegularExpression"},
      {match("path: {value: a}"), "must begin with a slash"},
      {match("path: {value: '/a?b'}"), "without '?'"},
      {match("path: {type: RegularExpression, value: '('}"), "not a regular expression"},
      {match("headers: [{name: 'a b', value: x}]"), "is not a header name"},
      {match("headers: [{name: a, type: Present, value: x}]"), "have no \"value\""},
      {match("headers: [{name: a, value: x}, {name: A, value: y}]"), "repeats a header"},
      {match("queryParams: [{name: a, value: x}, {name: a, value: y}]"), "repeats a parameter"},
      {match("method: 'G T'"), "is not an HTTP method"},
      {filter("type: ExtensionRef"), "is not supported"},
      {filter("type: CORS"), "is not supported"},
      {filter("type: URLRewrite, requestMirror: {}"), "has no \"requestMirror\""},
      {filter("type: URLRewrite"), "needs the key \"urlRewrite\""},
      {filter("type: URLRewrite, urlRewrite: {}"), "rewrites nothing"},
      {filter(
           "type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replacePrefixMatch: /}}"),
       "needs \"replaceFullPath\""},
      {filter("type: URLRewrite, urlRewrite: {path: {type: ReplaceRegularExpression, pattern: a, "
              "substitution: '\\1'}}"),
       "bad substitution"},
      {http_rule(backend + ", matches: [{path: {type: Exact, value: /a}}], filters: [{type: "
                           "URLRewrite, urlRewrite: {path: "
                           "{type: ReplacePrefixMatch, replacePrefixMatch: /}}}]"),
       "all have a path of type PathPrefix"},
      {filter(
           "type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: Host, value: a}]}"),
       "use URLRewrite's hostname"},
      {filter("type: RequestHeaderModifier, requestHeaderModifier: {add: [{name: Content-Length, "
              "value: '1'}]}"),
       "cannot be changed"},
      {filter("type: RequestHeaderModifier, requestHeaderModifier: {add: [{name: a, value: "
              "\"b\\r\\nc: d\"}]}"),
       "is not a header value"},
      {filter("type: RequestRedirect, requestRedirect: {}"), "has no backends"},
      {http_rule("filters: [{type: RequestRedirect, requestRedirect: {statusCode: 200}}]"),
       "is not one of 301"},
      {http_rule("filters: [{type: RequestRedirect, requestRedirect: {}}, {type: URLRewrite, "
                 "urlRewrite: {hostname: a}}]"),
       "exclude each other"},
      {http_rule("filters: [{type: DirectResponse, directResponse: {status: 100}}]"),
       "must be a number from 200 to 599"},
      {http_rule("filters: [{type: DirectResponse, directResponse: {status: 200}}], timeouts: "
                 "{request: 1s}"),
       "no mirrors, timeouts or retry"},
      {filter("type: RequestMirror, requestMirror: {backendRef: {name: server, port: 80}, percent: "
              "101}"),
       "from 0 to 100"},
      {filter(
           "type: RequestMirror, requestMirror: {backendRef: {name: server, port: 80, weight: 2}}"),
       "have no meaning here"},
      {filter("type: RequestMirror, requestMirror: {backendRef: {name: server, port: 80}, "
              "fraction: {numerator: 2, denominator: 1}}"),
       "more than the whole"},
      {http_rule("backendRefs: [{name: server, port: 80, filters: [{type: URLRewrite, urlRewrite: "
                 "{hostname: a}}]}]"),
       "a backend may only have"},
      {http_rule(backend + ", timeouts: {request: 1s, backendRequest: 2s}"),
       "must not be longer than"},
      {http_rule(backend + ", retry: {retryOn: 4xx}"), "unknown condition \"4xx\""},
      {http_rule(backend + ", retry: {attempts: 101}"), "from 0 to 100"},
      {http_rule(backend + ", retry: {backoff: 0s}"), "must be more than 0"},
  });
}

// Half a policy is worse than none: every one of these refuses the file.
TEST(ConfigErrors, Policies) {
  const auto source = [](const std::string& fields) {
    return rule("from: [{source: {" + fields + "}}]");
  };
  const auto operation = [](const std::string& fields) {
    return rule("to: [{operation: {" + fields + "}}]");
  };
  const auto when = [](const std::string& fields) { return rule("when: [{" + fields + "}]"); };
  expect_errors({
      {policy("rules: [{}]"), "needs the key \"targetRefs\""},
      {policy("targetRefs: []"), "must be a list with at least one element"},
      {policy("targetRefs: [{kind: Pod, name: x}]"), "is not one of Service, Gateway"},
      {policy("targetRefs: [{kind: Service, name: nope}]"), "there is no served service demo/nope"},
      {policy("namespace: other, targetRefs: [{kind: Service, name: server}]"),
       "there is no served service other/server"},
      {policy("targetRefs: [{kind: Gateway, name: other}]"), "this waypoint is demo/waypoint"},
      {policy("selector: {}, targetRefs: [{kind: Service, name: server}]"),
       "selector: unknown key"},
      {policy("action: AUDIT, targetRefs: [{kind: Service, name: server}]"),
       "is not one of ALLOW, DENY"},
      {policy("action: CUSTOM, targetRefs: [{kind: Service, name: server}]"),
       "is not one of ALLOW, DENY"},
      {policy("rules: [], targetRefs: [{kind: Service, name: server}]"),
       "must be a list with at least one element"},
      {rule("form: []"), "form: unknown key"},
      {source(""), "must name at least one attribute"},
      {source("principals: []"), "must be a list with at least one element"},
      {source("principals: ['']"), "must not be empty"},
      {source("principals: [a*b]"), "a star may stand"},
      {source("principals: ['spiffe://cluster.local/ns/a/sa/b']"), "without \"spiffe://\""},
      {source("principals: client"), "must be a list"},
      {source("requestPrincipals: ['*']"), "requestPrincipals: unknown key"},
      {source("notRequestPrincipals: ['*']"), "notRequestPrincipals: unknown key"},
      {source("serviceAccounts: ['a*']"), "without wildcards"},
      {source("serviceAccounts: ['*/a']"), "without wildcards"},
      {source("serviceAccounts: [a/b/c]"), "without wildcards"},
      {source("ipBlocks: [10.0.0.0/33]"), "neither an IP address nor a range"},
      {operation(""), "must name at least one attribute"},
      {operation("ports: [http]"), "must be a number"},
      {operation("ports: ['0']"), "must be a number"},
      {operation("method: [GET]"), "method: unknown key"},
      {operation("paths: ['/a?b']"), "can never match"},
      {operation("paths: ['/a{*}']"), "must be a whole segment"},
      {operation("paths: ['/{**}/{*}']"), "must be the last operator"},
      {operation("paths: ['/a*b']"), "a star may stand"},
      {when("values: [a]"), "needs the key \"key\""},
      {when("key: source.ip"), "must name at least one attribute"},
      {when("key: source.ipp, values: [10.0.0.1]"), "is not a condition that can be evaluated"},
      {when("key: 'request.auth.claims[a]', values: [b]"),
       "is not a condition that can be evaluated"},
      {when("key: 'request.headers[]', values: [b]"), "is not a condition that can be evaluated"},
      {when("key: 'request.headers[:path]', values: [b]"),
       "is not a condition that can be evaluated"},
      {when("key: 'request.headers[Host]', values: [b]"),
       "is not a condition that can be evaluated"},
      {when("key: 'request.headers[a', values: [b]"), "is not a condition that can be evaluated"},
      {when("key: experimental.envoy.filters.a, values: [b]"),
       "is not a condition that can be evaluated"},
      {std::string(kServer) +
           "authorizationPolicies:\n- {name: p, targetRefs: [{kind: Service, name: server}]}\n"
           "- {name: p, targetRefs: [{kind: Service, name: server}]}\n",
       "appears twice"},
  });
}

TEST(ConfigErrors, ManyErrorsAreCounted) {
  std::string yaml = "waypoint:\n";
  for (int i = 0; i < 105; ++i) yaml += "  k" + std::to_string(i) + ": 1\n";
  const std::string error = error_of(yaml);
  EXPECT_NE(error.find("waypoint.k99"), std::string::npos);
  EXPECT_EQ(error.find("waypoint.k100"), std::string::npos);
  EXPECT_TRUE(error.ends_with("and 5 more errors")) << error;
}

TEST(ConfigErrors, HostileYaml) {
  EXPECT_NE(error_of(std::string(100'000, '[')).find("file: not YAML"), std::string::npos);
  EXPECT_NE(error_of("services: &a [*a]\n"), "accepted");
  EXPECT_NE(error_of(std::string("waypoint: {name: \"a\0b\"}", 23)).find("Kubernetes name"),
            std::string::npos);
}

TEST(ConfigErrors, LimitsOfLists) {
  const auto with_matches = [](int count) {
    std::string list;
    for (int i = 0; i < count; ++i) list += "{path: {value: /" + std::to_string(i) + "}}, ";
    return http_rule("backendRefs: [{name: server, port: 80}], matches: [" + list + "]");
  };
  EXPECT_EQ(error_of(with_matches(64)), "accepted");
  EXPECT_NE(error_of(with_matches(65)).find("more than 64 matches"), std::string::npos);
  const auto with_values = [](int count) {
    std::string list;
    for (int i = 0; i < count; ++i) list += "a" + std::to_string(i) + ", ";
    return rule("from: [{source: {namespaces: [" + list + "]}}]");
  };
  EXPECT_EQ(error_of(with_values(10'000)), "accepted");
  EXPECT_NE(error_of(with_values(10'001)).find("at most 10000 are accepted"), std::string::npos);
}

// A few lines of aliases must not be worth billions of values.
TEST(ConfigErrors, AliasesCannotMultiply) {
  std::string many = "&many [";
  for (int i = 0; i < 5000; ++i) many += "a" + std::to_string(i) + ", ";
  many += "z]";
  std::string yaml = std::string(kServer) +
                     "authorizationPolicies:\n- name: p\n  targetRefs: [{kind: Service, name: "
                     "server}]\n  rules:\n";
  yaml += "  - from: [{source: {principals: " + many + "}}]\n";
  for (int i = 0; i < 1000; ++i) yaml += "  - from: [{source: {principals: *many}}]\n";
  EXPECT_NE(error_of(yaml).find("more than"), std::string::npos);
}

}  // namespace
}  // namespace culvert::waypoint
