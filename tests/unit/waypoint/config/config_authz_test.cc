// From an AuthorizationPolicy in YAML to the decision.
#include "tests/unit/waypoint/support.h"
#include "waypoint/config/config_yaml.h"
#include "waypoint/request/forwarded.h"

#include <gtest/gtest.h>

namespace culvert::waypoint {
namespace {

using test::ip;
using test::request;

constexpr std::string_view kClient = "spiffe://cluster.local/ns/demo/sa/client";

// A request or connection that policies are asked about; each test changes what it is about.
struct Case {
  std::string principal{kClient};
  std::string source = "10.244.1.10";
  std::string method = "GET", host = "server.demo", path = "/";
  std::vector<std::pair<std::string_view, std::string_view>> headers{};
  std::string sni{};
  uint16_t port = 80;
  bool tcp = false;
};

ModelPtr model_with(const std::string& policies) {
  auto loaded = parse_config(R"(
waypoint: {name: waypoint, namespace: demo}
services:
- name: server
  addresses: [10.96.1.10]
  ports: [{port: 80, protocol: sniff}, {port: 8080, protocol: sniff}]
  endpoints: [{address: 10.244.1.11}]
authorizationPolicies:
)" + policies);
  EXPECT_TRUE(loaded) << (loaded ? "" : loaded.error().message());
  return loaded ? loaded->model : nullptr;
}

AuthzDecision ask(const Model& model, const Case& c) {
  const auto destination = model.find({ip("10.96.1.10"), c.port});
  const auto identity = state::Identity::parse(c.principal);
  const auto head = request(c.method, c.host, c.path, c.headers);
  AuthzFacts facts;
  facts.principal = c.principal;
  if (identity) facts.identity = &*identity;
  facts.source_ip = ip(c.source);
  facts.remote_ip = c.tcp ? facts.source_ip : remote_address(head.headers, facts.source_ip);
  facts.destination = destination->address;
  facts.sni = c.sni;
  facts.request = c.tcp ? nullptr : &head;
  return authorize(c.tcp ? *destination->port.tcp : *destination->port.http, facts);
}

std::string policy(const std::string& action, const std::string& rules) {
  return "- name: p\n  action: " + action +
         "\n  targetRefs: [{kind: Service, name: server}]\n  rules:\n" + rules;
}

// Whether an ALLOW policy with one rule lets the request in; the same rule in a DENY policy must
// then keep it out, and the other way round: everything here is unambiguous.
bool matched(const std::string& rule, const Case& c) {
  const bool allowed = ask(*model_with(policy("ALLOW", "  - " + rule + "\n")), c).allowed;
  const bool denied = !ask(*model_with(policy("DENY", "  - " + rule + "\n")), c).allowed;
  EXPECT_EQ(allowed, denied) << rule;
  return allowed;
}

TEST(ConfigAuthz, Sources) {
  const auto source = [](const std::string& fields) {
    return "from: [{source: {" + fields + "}}]";
  };
  struct Row {
    std::string fields;
    Case c;
    bool expected;
  };
  const Row rows[] = {
      {"principals: [cluster.local/ns/demo/sa/client]", {}, true},
      {"principals: [cluster.local/ns/demo/sa/other, cluster.local/ns/demo/sa/client]", {}, true},
      {"principals: [cluster.local/ns/demo/sa/clien]", {}, false},
      {"principals: [cluster.local/ns/demo/*]", {}, true},
      {"principals: [cluster.local/ns/dem/*]", {}, false},
      {"principals: [local/ns/demo/*]", {}, false},
      {"principals: ['*/sa/client']", {}, true},
      {"principals: ['*']", {}, true},
      {"principals: ['*']", {.principal = ""}, false},
      {"notPrincipals: ['*']", {.principal = ""}, true},
      {"notPrincipals: [cluster.local/ns/demo/sa/client]", {}, false},
      {"namespaces: [demo]", {}, true},
      {"namespaces: [other, 'de*']", {}, true},
      {"namespaces: ['*mo']", {}, true},
      {"namespaces: [emo]", {}, false},
      // The account's name is not the namespace.
      {"namespaces: [client]", {}, false},
      {"notNamespaces: [demo]", {}, false},
      {"notNamespaces: [bad]", {}, true},
      {"serviceAccounts: [client]", {}, true},
      {"serviceAccounts: [demo/client]", {}, true},
      {"serviceAccounts: [other/client]", {}, false},
      {"serviceAccounts: [a.b]", {.principal = "spiffe://cluster.local/ns/demo/sa/axb"}, false},
      {"serviceAccounts: [client]", {.principal = "spiffe://elsewhere/ns/demo/sa/client"}, true},
      {"notServiceAccounts: [client]", {}, false},
      {"ipBlocks: [10.244.0.0/16]", {}, true},
      {"ipBlocks: [10.244.1.10]", {}, true},
      {"ipBlocks: [10.244.1.11]", {}, false},
      {"notIpBlocks: [10.244.0.0/16]", {}, false},
      {"ipBlocks: ['::/0']", {}, false},
      {"ipBlocks: ['fd00::/8']", {.source = "fd00::1"}, true},
      {"remoteIpBlocks: [192.0.2.0/24]",
       {.headers = {{"x-forwarded-for", "10.0.0.1, 192.0.2.7"}}},
       true},
      {"remoteIpBlocks: [192.0.2.0/24]",
       {.headers = {{"x-forwarded-for", "192.0.2.7, 10.0.0.1"}}},
       false},
      {"remoteIpBlocks: [10.244.0.0/16]", {}, true},
      {"ipBlocks: [192.0.2.0/24]", {.headers = {{"x-forwarded-for", "192.0.2.7"}}}, false},
      {"notRemoteIpBlocks: [192.0.2.0/24]", {}, true},
      // Fields are ANDed.
      {"namespaces: [demo], principals: [cluster.local/ns/demo/sa/other]", {}, false},
      {"namespaces: [demo], notPrincipals: ['*/sa/other']", {}, true},
  };
  for (const Row& row : rows)
    EXPECT_EQ(matched(source(row.fields), row.c), row.expected) << row.fields;
}

TEST(ConfigAuthz, Operations) {
  const auto operation = [](const std::string& fields) {
    return "to: [{operation: {" + fields + "}}]";
  };
  struct Row {
    std::string fields;
    Case c;
    bool expected;
  };
  const Row rows[] = {
      {"hosts: [SERVER.Demo]", {}, true},
      {"hosts: [server.demo]", {.host = "SERVER.demo"}, true},
      {"hosts: [server.demo]", {.host = "server.demo:80"}, false},
      {"hosts: ['server.demo:*']", {.host = "server.demo:80"}, true},
      {"hosts: ['*.demo']", {}, true},
      {"hosts: ['server*']", {.host = "Server2"}, true},
      {"notHosts: [server.demo]", {}, false},
      {"ports: ['80']", {}, true},
      {"ports: [81, 8080]", {.port = 8080}, true},
      {"notPorts: ['80']", {}, false},
      {"methods: [GET, HEAD]", {}, true},
      {"methods: [GET]", {.method = "get"}, false},
      {"methods: ['*']", {.method = "PURGE"}, true},
      {"notMethods: [GET]", {}, false},
      {"notMethods: [GET]", {.method = "GeT"}, true},
      {"paths: [/a]", {.path = "/a?b"}, true},
      {"paths: [/a]", {.path = "/a/"}, false},
      {"paths: ['/a*']", {.path = "/ab"}, true},
      {"paths: ['*/suf']", {.path = "/x/suf"}, true},
      {"paths: ['*']", {.path = "/"}, true},
      {"paths: ['/t/{*}/x']", {.path = "/t/1/x"}, true},
      {"paths: ['/deep/{**}']", {.path = "/deep/a/b?q"}, true},
      {"notPaths: ['/admin*']", {.path = "/admin/x"}, false},
      {"notPaths: ['/admin*']", {.path = "/ok"}, true},
      {"methods: [GET], paths: [/b]", {.path = "/a"}, false},
  };
  for (const Row& row : rows)
    EXPECT_EQ(matched(operation(row.fields), row.c), row.expected) << row.fields;
}

TEST(ConfigAuthz, WhenConditions) {
  struct Row {
    std::string condition;
    Case c;
    bool expected;
  };
  const Row rows[] = {
      {"key: 'request.headers[X-Team]', values: [red, 'bl*']",
       {.headers = {{"x-team", "blue"}}},
       true},
      {"key: 'request.headers[x-team]', values: [red]", {}, false},
      {"key: 'request.headers[x-none]', notValues: ['*']", {}, true},
      {"key: 'request.headers[x-none]', notValues: ['*']", {.headers = {{"x-none", ""}}}, false},
      {"key: source.ip, values: [10.244.0.0/16]", {}, true},
      {"key: remote.ip, notValues: [192.0.2.0/24]", {}, true},
      {"key: source.namespace, values: [demo]", {}, true},
      {"key: source.principal, values: ['*/sa/client']", {}, true},
      {"key: source.principal, notValues: ['*/sa/client']", {}, false},
      {"key: source.serviceAccount, values: [client]", {}, true},
      {"key: destination.ip, values: [10.96.0.0/12]", {}, true},
      {"key: destination.ip, values: [10.97.0.0/16]", {}, false},
      {"key: destination.port, values: ['80', '8080']", {}, true},
      {"key: destination.port, notValues: ['80']", {}, false},
      {"key: connection.sni, values: ['*.example.com']", {.sni = "a.example.com"}, true},
      {"key: connection.sni, values: ['*.example.com']", {}, false},
      {"key: source.namespace, values: ['*'], notValues: [demo]", {}, false},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(matched("when: [{" + row.condition + "}]", row.c), row.expected) << row.condition;
  }
}

TEST(ConfigAuthz, RulesCombine) {
  const std::string rule =
      "from: [{source: {namespaces: [a]}}, {source: {namespaces: [demo]}}]\n"
      "    to: [{operation: {methods: [PUT]}}, {operation: {paths: [/ok]}}]\n"
      "    when: [{key: source.ip, values: [10.244.1.10]}, {key: destination.port, values: [80]}]";
  EXPECT_TRUE(matched(rule, {.path = "/ok"}));
  EXPECT_TRUE(matched(rule, {.method = "PUT", .path = "/no"}));
  EXPECT_FALSE(matched(rule, {.path = "/no"}));
  EXPECT_FALSE(matched(rule, {.source = "10.244.1.11", .path = "/ok"}));
  EXPECT_TRUE(matched("{}", {}));
}

TEST(ConfigAuthz, DenyComesBeforeAllow) {
  const auto model = model_with(R"(
- name: allow
  targetRefs: [{kind: Service, name: server}]
  rules: [{}]
- name: deny
  action: DENY
  targetRefs: [{kind: Gateway, name: waypoint}]
  rules:
  - to: [{operation: {paths: [/never]}}]
  - to: [{operation: {paths: [/deny]}}]
)");
  EXPECT_TRUE(ask(*model, {}).allowed);
  EXPECT_EQ(ask(*model, {.path = "/deny"}).detail(),
            "rbac_access_denied_matched_policy[ns[demo]-policy[deny]-rule[1]]");
}

TEST(ConfigAuthz, AllowPoliciesAddUp) {
  const auto model = model_with(R"(
- {name: a, targetRefs: [{kind: Service, name: server}], rules: [{to: [{operation: {paths: [/a]}}]}]}
- {name: b, targetRefs: [{kind: Service, name: server}], rules: [{to: [{operation: {paths: [/b]}}]}]}
)");
  EXPECT_TRUE(ask(*model, {.path = "/a"}).allowed);
  EXPECT_TRUE(ask(*model, {.path = "/b"}).allowed);
  EXPECT_EQ(ask(*model, {.path = "/c"}).detail(), "rbac_access_denied_matched_policy[none]");
}

TEST(ConfigAuthz, PoliciesWithoutRules) {
  const std::string target = "targetRefs: [{kind: Service, name: server}]";
  EXPECT_FALSE(ask(*model_with("- {name: p, action: ALLOW, " + target + "}"), {}).allowed);
  EXPECT_TRUE(ask(*model_with("- {name: p, action: DENY, " + target + "}"), {}).allowed);
}

TEST(ConfigAuthz, TcpDropsAllowRulesAboutRequests) {
  const std::string http = "  - to: [{operation: {methods: [GET]}}]\n";
  const std::string l4 = "  - from: [{source: {namespaces: [demo]}}]\n";
  const std::string mixed =
      "  - from: [{source: {namespaces: [demo]}}]\n    to: [{operation: {ports: [80]}}, "
      "{operation: {paths: [/]}}]\n";
  EXPECT_FALSE(ask(*model_with(policy("ALLOW", http)), {.tcp = true}).allowed);
  EXPECT_TRUE(ask(*model_with(policy("ALLOW", http + l4)), {.tcp = true}).allowed);
  EXPECT_FALSE(ask(*model_with(policy("ALLOW", mixed)), {.tcp = true}).allowed);
  EXPECT_TRUE(ask(*model_with(policy("ALLOW", mixed)), {}).allowed);
}

TEST(ConfigAuthz, TcpWidensDenyRulesAboutRequests) {
  const std::string http = "  - to: [{operation: {methods: [GET]}}]\n";
  const std::string negative = "  - to: [{operation: {notPaths: [/ok]}}]\n";
  const std::string mixed =
      "  - from: [{source: {namespaces: [bad]}}]\n    to: [{operation: {paths: [/]}}]\n";
  EXPECT_FALSE(ask(*model_with(policy("DENY", http)), {.tcp = true}).allowed);
  EXPECT_FALSE(ask(*model_with(policy("DENY", negative)), {.tcp = true}).allowed);
  EXPECT_TRUE(ask(*model_with(policy("DENY", mixed)), {.tcp = true}).allowed);
  EXPECT_FALSE(ask(*model_with(policy("DENY", mixed)),
                   {.principal = "spiffe://cluster.local/ns/bad/sa/x", .tcp = true})
                   .allowed);
}

// What is sent several times must not get past a rule that names one of the values.
TEST(ConfigAuthz, RepeatedHeaders) {
  const Case two{.headers = {{"x-role", "user"}, {"x-role", "admin"}}};
  const std::string rule = "  - when: [{key: 'request.headers[x-role]', values: [admin]}]\n";
  const std::string unless = "  - when: [{key: 'request.headers[x-role]', notValues: [user]}]\n";
  EXPECT_FALSE(ask(*model_with(policy("DENY", rule)), two).allowed);
  EXPECT_FALSE(ask(*model_with(policy("ALLOW", rule)), two).allowed);
  EXPECT_FALSE(ask(*model_with(policy("DENY", unless)), two).allowed);
  EXPECT_FALSE(ask(*model_with(policy("ALLOW", unless)), two).allowed);
}

TEST(ConfigAuthz, PoliciesHoldForTheirTargetsOnly) {
  auto loaded = parse_config(R"(
waypoint: {name: waypoint, namespace: demo}
services:
- {name: a, addresses: [10.96.0.1], ports: [{port: 80, protocol: http}], endpoints: [{address: 10.0.0.1}]}
- {name: b, addresses: [10.96.0.2], ports: [{port: 80, protocol: http}], endpoints: [{address: 10.0.0.1}]}
workloads:
- {name: pod, addresses: [10.244.1.11], direct: true}
authorizationPolicies:
- {name: a, targetRefs: [{kind: Service, name: a}]}
- {name: gw, action: DENY, targetRefs: [{kind: Gateway, name: waypoint}], rules: [{to: [{operation: {ports: [81]}}]}]}
)");
  ASSERT_TRUE(loaded) << loaded.error().message();
  const auto filters = [&](std::string_view authority) {
    return loaded->model->resolve(authority)->port.http->filters.size();
  };
  EXPECT_EQ(filters("10.96.0.1:80"), 2U);
  EXPECT_EQ(filters("10.96.0.2:80"), 1U);
  EXPECT_EQ(filters("10.244.1.11:81"), 1U);
}

}  // namespace
}  // namespace culvert::waypoint
