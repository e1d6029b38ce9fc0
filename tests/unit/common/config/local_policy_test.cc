#include "tests/support/state_builders.h"
#include "tests/unit/common/config/parsed_config.h"

#include <gtest/gtest.h>

namespace culvert::config {
namespace {

using state::Policy;
using state::StringMatch;
using test::cidr;

std::string policy_with(std::string_view rules) {
  return "policies:\n- name: p\n  namespace: ns\n  scope: Namespace\n  action: Allow\n"
         "  dryRun: false\n  rules:\n" +
         std::string(rules);
}
Policy parse(std::string_view rules) {
  return parse_local_config(policy_with(rules)).value().policies.at(0);
}
std::string error_of(std::string_view rules) {
  const auto parsed = parse_local_config(policy_with(rules));
  return parsed ? "" : parsed.error().message();
}

TEST(LocalPolicyTest, ReadsEveryField) {
  const Policy policy = parse(R"(
  - - - namespaces: [!Exact a]
        notNamespaces: [!Prefix b]
        principals: [!Suffix /sa/c, !Presence []]
        notPrincipals: [!Exact "d"]
        serviceAccounts: [{namespace: e, serviceAccount: f, comment: ignored}]
        notServiceAccounts: [{namespace: g, serviceAccount: h}]
        sourceIps: [10.0.0.0/8]
        notSourceIps: [10.1.0.0/16]
        destinationIps: ["fd00::/8"]
        notDestinationIps: [127.0.0.1/24]
        destinationPorts: [80, 0]
        notDestinationPorts: [65535]
        someFutureField: ignored
)");
  ASSERT_EQ(policy.rules.size(), 1U);
  ASSERT_EQ(policy.rules[0].size(), 1U);
  ASSERT_EQ(policy.rules[0][0].size(), 1U);
  using Kind = StringMatch::Kind;
  const state::PolicyMatch& match = policy.rules[0][0][0];
  EXPECT_EQ(match.namespaces, (std::vector<StringMatch>{{Kind::kExact, "a"}}));
  EXPECT_EQ(match.not_namespaces, (std::vector<StringMatch>{{Kind::kPrefix, "b"}}));
  EXPECT_EQ(match.principals,
            (std::vector<StringMatch>{{Kind::kSuffix, "/sa/c"}, {Kind::kPresence, ""}}));
  EXPECT_EQ(match.not_principals, (std::vector<StringMatch>{{Kind::kExact, "d"}}));
  EXPECT_EQ(match.service_accounts, (std::vector<state::ServiceAccountMatch>{{"e", "f"}}));
  EXPECT_EQ(match.not_service_accounts, (std::vector<state::ServiceAccountMatch>{{"g", "h"}}));
  EXPECT_EQ(match.source_ips, (std::vector<net::Cidr>{cidr("10.0.0.0/8")}));
  EXPECT_EQ(match.not_source_ips, (std::vector<net::Cidr>{cidr("10.1.0.0/16")}));
  EXPECT_EQ(match.destination_ips, (std::vector<net::Cidr>{cidr("fd00::/8")}));
  EXPECT_EQ(match.not_destination_ips, (std::vector<net::Cidr>{cidr("127.0.0.1/24")}));
  EXPECT_EQ(match.destination_ports, (std::vector<uint16_t>{80, 0}));
  EXPECT_EQ(match.not_destination_ports, (std::vector<uint16_t>{65535}));
}

TEST(LocalPolicyTest, StringMatchesAsMaps) {
  EXPECT_EQ(parse("  - - - principals: [{Exact: a}, {Prefix: b}, {Suffix: c}, {Presence: []}]\n"),
            parse("  - - - principals: [!Exact a, !Prefix b, !Suffix c, !Presence []]\n"));
}

TEST(LocalPolicyTest, NestingIsRulesClausesMatches) {
  const Policy policy = parse(R"(
  - - - destinationPorts: [1]
      - destinationPorts: [2]
    - - destinationPorts: [3]
  - - - {}
  - - []
  - []
)");
  ASSERT_EQ(policy.rules.size(), 4U);
  ASSERT_EQ(policy.rules[0].size(), 2U);
  EXPECT_EQ(policy.rules[0][0].size(), 2U);
  EXPECT_EQ(policy.rules[0][1][0].destination_ports, (std::vector<uint16_t>{3}));
  EXPECT_TRUE(policy.rules[1][0][0].empty());
  EXPECT_EQ(policy.rules[2].size(), 1U);
  EXPECT_TRUE(policy.rules[2][0].empty());
  EXPECT_TRUE(policy.rules[3].empty());
}

TEST(LocalPolicyTest, ScopesAndActions) {
  const auto policy = [](std::string_view scope, std::string_view action) {
    return parse_local_config("policies: [{name: p, namespace: n, scope: " + std::string(scope) +
                              ", action: " + std::string(action) + ", dryRun: true, rules: []}]");
  };
  EXPECT_EQ(policy("Global", "Allow").value().policies[0].scope, Policy::Scope::kGlobal);
  EXPECT_EQ(policy("Namespace", "Deny").value().policies[0].action, Policy::Action::kDeny);
  EXPECT_EQ(policy("WorkloadSelector", "Allow").value().policies[0].scope,
            Policy::Scope::kWorkloadSelector);
  EXPECT_TRUE(policy("Global", "Allow").value().policies[0].dry_run);
  EXPECT_EQ(policy("Mesh", "Audit").error().message(),
            "policies[0].scope: 'Mesh' is none of Global, Namespace, WorkloadSelector (line 1); "
            "policies[0].action: 'Audit' is none of Allow, Deny (line 1)");
}

TEST(LocalPolicyTest, BadMatches) {
  const std::string at = "policies[0].rules[0][0][0].";
  EXPECT_EQ(error_of("  - - - sourceIps: [10.0.0.1]\n"),
            at + "sourceIps[0]: not a network prefix such as 10.0.0.0/8 (line 8)");
  EXPECT_EQ(error_of("  - - - destinationPorts: [65536, http]\n"),
            at + "destinationPorts[0]: not a number from 0 to 65535 (line 8); " + at +
                "destinationPorts[1]: not a number from 0 to 65535 (line 8)");
  EXPECT_EQ(error_of("  - - - principals: [plain]\n"),
            at + "principals[0]: not a string match: !Exact x, !Prefix x, !Suffix x or "
                 "!Presence [] (line 8)");
  EXPECT_EQ(error_of("  - - - principals: [!Regex x]\n"),
            at + "principals[0]: 'Regex' is none of Exact, Prefix, Suffix, Presence (line 8)");
  EXPECT_EQ(error_of("  - - - principals: [{Exact: a, Prefix: b}]\n"),
            at + "principals[0]: not a string match: !Exact x, !Prefix x, !Suffix x or "
                 "!Presence [] (line 8)");
  EXPECT_EQ(error_of("  - - - principals: [!Exact [a]]\n"),
            at + "principals[0]: not a string (line 8)");
  EXPECT_EQ(error_of("  - - - principals: [{Presence: x}]\n"),
            at + "principals[0].Presence: Presence takes an empty list: !Presence [] (line 8)");
  EXPECT_EQ(error_of("  - - - principals: [{Exact: !Prefix a}]\n"),
            at + "principals[0].Exact: tag !Prefix has no meaning here (line 8)");
  EXPECT_EQ(error_of("  - - - serviceAccounts: [{namespace: a}]\n"),
            at + "serviceAccounts[0].serviceAccount: missing (line 8)");
  EXPECT_EQ(error_of("  - - destinationPorts: [1]\n"),
            "policies[0].rules[0][0]: not a list (line 8)");
}

TEST(LocalPolicyTest, DuplicatesAreErrors) {
  const std::string one =
      "{name: p, namespace: n, scope: Global, action: Deny, dryRun: false, rules: []}";
  EXPECT_EQ(parse_local_config("policies: [" + one + ", " + one + "]").error().message(),
            "policies[1]: policy 'n/p' is there twice (line 1)");
}

}  // namespace
}  // namespace culvert::config
