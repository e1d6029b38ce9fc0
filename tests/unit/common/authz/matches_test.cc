// One policy's rules against a connection: nesting, empty levels, every field.
#include "common/authz/evaluate.h"
#include "tests/support/state_builders.h"

#include <gtest/gtest.h>

namespace culvert::authz {
namespace {

using state::Identity;
using state::Policy;
using state::PolicyMatch;
using state::StringMatch;
using test::cidr;

StringMatch exact(std::string value) { return {StringMatch::Kind::kExact, std::move(value)}; }
StringMatch prefix(std::string value) { return {StringMatch::Kind::kPrefix, std::move(value)}; }
StringMatch suffix(std::string value) { return {StringMatch::Kind::kSuffix, std::move(value)}; }
StringMatch presence() { return {StringMatch::Kind::kPresence, ""}; }

Connection connection(std::optional<Identity> identity, std::string_view source = "127.0.0.1:1234",
                      std::string_view destination = "127.0.0.2:8080") {
  return {std::move(identity), test::address(source), test::address(destination)};
}
const Identity kAccount{"td", "namespace", "account"};
const Identity kOther{"td2", "ns-alt", "account-alt"};

bool matches_rules(std::vector<state::PolicyRule> rules, const Connection& facts) {
  Policy policy;
  policy.rules = std::move(rules);
  return matches(policy, facts);
}
bool matches_one(const PolicyMatch& match, const Connection& facts) {
  return matches_rules({{{match}}}, facts);
}

TEST(AuthzMatchTest, EmptyLevels) {
  const auto facts = connection(kAccount);
  EXPECT_FALSE(matches_rules({{{PolicyMatch{}}}}, facts));  // a match of nothing
  EXPECT_TRUE(matches_rules({{{}}}, facts));                // a clause of no matches
  EXPECT_TRUE(matches_rules({{}}, facts));                  // a rule of no clauses
  EXPECT_FALSE(matches_rules({}, facts));                   // no rules
}

TEST(AuthzMatchTest, AnEmptyMatchIsSkippedBesideOthers) {
  PolicyMatch port;
  port.destination_ports = {8080};
  EXPECT_TRUE(matches_rules({{{PolicyMatch{}, port}}}, connection(kAccount)));
  EXPECT_FALSE(
      matches_rules({{{PolicyMatch{}, port}}}, connection(kAccount, "127.0.0.1:1", "127.0.0.2:1")));
}

TEST(AuthzMatchTest, Nesting) {
  PolicyMatch a;
  a.namespaces = {exact("a")};
  PolicyMatch b;
  b.namespaces = {exact("b")};
  PolicyMatch port;
  port.destination_ports = {80};
  const std::vector<state::PolicyRule> rules = {{{a, b}, {port}}};  // (a or b) and port
  const auto from = [&](std::string ns, uint16_t to) {
    auto facts = connection(Identity{"td", std::move(ns), "sa"});
    facts.destination.port = to;
    return matches_rules(rules, facts);
  };
  EXPECT_TRUE(from("a", 80));
  EXPECT_TRUE(from("b", 80));
  EXPECT_FALSE(from("c", 80));
  EXPECT_FALSE(from("a", 81));
}

TEST(AuthzMatchTest, RulesAreAlternatives) {
  PolicyMatch a;
  a.namespaces = {exact("namespace")};
  PolicyMatch b;
  b.destination_ports = {80};
  const std::vector<state::PolicyRule> rules = {{{a}}, {{b}}};
  EXPECT_TRUE(matches_rules(rules, connection(kAccount)));
  EXPECT_TRUE(matches_rules(rules, connection(kOther, "127.0.0.1:1", "127.0.0.2:80")));
  EXPECT_FALSE(matches_rules(rules, connection(kOther)));
}

TEST(AuthzMatchTest, FieldsOfAMatchMustAllHold) {
  PolicyMatch match;
  match.namespaces = {exact("namespace")};
  match.destination_ports = {80};
  EXPECT_FALSE(matches_one(match, connection(kAccount)));
  EXPECT_TRUE(matches_one(match, connection(kAccount, "127.0.0.1:1", "127.0.0.2:80")));
}

// Each field, positive and negated, for plaintext, the named identity, and another one that comes
// from elsewhere and goes elsewhere.
struct FieldCase {
  const char* name;
  PolicyMatch positive, negated;
  bool plaintext, same, other;  // of the positive form; the negated is the opposite
};

std::vector<FieldCase> field_cases() {
  std::vector<FieldCase> cases;
  const auto add = [&](const char* name, bool plaintext, bool same, bool other, auto set) {
    FieldCase field{name, {}, {}, plaintext, same, other};
    set(field.positive, field.negated);
    cases.push_back(field);
  };
  add("namespaces", false, true, false,
      [](auto& p, auto& n) { p.namespaces = n.not_namespaces = {exact("namespace")}; });
  add("service_accounts", false, true, false, [](auto& p, auto& n) {
    p.service_accounts = n.not_service_accounts = {{"namespace", "account"}};
  });
  add("principals", false, true, false, [](auto& p, auto& n) {
    p.principals = n.not_principals = {exact("td/ns/namespace/sa/account")};
  });
  add("source_ips", true, true, false,
      [](auto& p, auto& n) { p.source_ips = n.not_source_ips = {cidr("127.0.0.1/32")}; });
  add("destination_ips", true, true, false,
      [](auto& p, auto& n) { p.destination_ips = n.not_destination_ips = {cidr("127.0.0.2/32")}; });
  add("destination_ports", true, true, false,
      [](auto& p, auto& n) { p.destination_ports = n.not_destination_ports = {8080}; });
  add("cidr_range", true, true, true,
      [](auto& p, auto& n) { p.destination_ips = n.not_destination_ips = {cidr("127.0.0.1/24")}; });
  return cases;
}

TEST(AuthzMatchTest, EveryField) {
  const auto plaintext = connection(std::nullopt);
  const auto same = connection(kAccount);
  const auto other = connection(kOther, "127.0.0.3:1234", "127.0.0.4:9090");
  for (const FieldCase& field : field_cases()) {
    EXPECT_EQ(matches_one(field.positive, plaintext), field.plaintext) << field.name;
    EXPECT_EQ(matches_one(field.positive, same), field.same) << field.name;
    EXPECT_EQ(matches_one(field.positive, other), field.other) << field.name;
    EXPECT_EQ(matches_one(field.negated, plaintext), !field.plaintext) << "not " << field.name;
    EXPECT_EQ(matches_one(field.negated, same), !field.same) << "not " << field.name;
    EXPECT_EQ(matches_one(field.negated, other), !field.other) << "not " << field.name;
  }
}

TEST(AuthzMatchTest, ListsAreAnyAndNone) {
  PolicyMatch match;
  match.destination_ports = {1, 8080};
  EXPECT_TRUE(matches_one(match, connection(kAccount)));
  match.not_destination_ports = {2, 8080};
  EXPECT_FALSE(matches_one(match, connection(kAccount)));
  match.not_destination_ports = {2, 3};
  EXPECT_TRUE(matches_one(match, connection(kAccount)));
}

TEST(AuthzMatchTest, ServiceAccountIgnoresTheTrustDomain) {
  PolicyMatch match;
  match.service_accounts = {{"namespace", "account"}};
  EXPECT_TRUE(matches_one(match, connection(Identity{"elsewhere", "namespace", "account"})));
  EXPECT_FALSE(matches_one(match, connection(Identity{"td", "namespace", "other"})));
  EXPECT_FALSE(matches_one(match, connection(Identity{"td", "other", "account"})));
}

TEST(AuthzMatchTest, PrincipalWithSchemeNeverMatches) {
  PolicyMatch match;
  match.principals = {exact("spiffe://td/ns/namespace/sa/account")};
  EXPECT_FALSE(matches_one(match, connection(kAccount)));
}

TEST(AuthzMatchTest, PlaintextHasNoPrincipalNotEvenAnEmptyOne) {
  PolicyMatch match;
  match.principals = {prefix(""), suffix(""), exact(""), presence()};
  EXPECT_FALSE(matches_one(match, connection(std::nullopt)));
  EXPECT_TRUE(matches_one(match, connection(kAccount)));
}

TEST(AuthzMatchTest, NotPrincipalsPresenceMeansPlaintext) {
  PolicyMatch match;
  match.not_principals = {presence()};
  EXPECT_TRUE(matches_one(match, connection(std::nullopt)));
  EXPECT_FALSE(matches_one(match, connection(kAccount)));
}

TEST(AuthzMatchTest, Strings) {
  const auto namespace_matches = [](StringMatch match, std::string ns) {
    PolicyMatch policy;
    policy.namespaces = {std::move(match)};
    return matches_one(policy, connection(Identity{"td", std::move(ns), "sa"}));
  };
  EXPECT_TRUE(namespace_matches(exact("abc"), "abc"));
  EXPECT_FALSE(namespace_matches(exact("abc"), "abcd"));
  EXPECT_FALSE(namespace_matches(exact("abc"), "Abc"));
  EXPECT_TRUE(namespace_matches(prefix("abc"), "abcd"));
  EXPECT_TRUE(namespace_matches(prefix("abc"), "abc"));
  EXPECT_FALSE(namespace_matches(prefix("abc"), "xabc"));
  EXPECT_TRUE(namespace_matches(suffix("abc"), "xabc"));
  EXPECT_TRUE(namespace_matches(suffix("abc"), "abc"));
  EXPECT_FALSE(namespace_matches(suffix("abc"), "abcx"));
  EXPECT_TRUE(namespace_matches(presence(), "x"));
  for (const auto& match : {exact("abc"), prefix("abc"), suffix("abc"), presence()}) {
    EXPECT_FALSE(namespace_matches(match, ""));
  }
}

TEST(AuthzMatchTest, PlaintextHasTheEmptyNamespace) {
  PolicyMatch match;
  match.namespaces = {exact("")};
  EXPECT_TRUE(matches_one(match, connection(std::nullopt)));
  match.namespaces = {presence()};
  EXPECT_FALSE(matches_one(match, connection(std::nullopt)));
}

TEST(AuthzMatchTest, MappedAddressesAreIpv4) {
  PolicyMatch match;
  match.source_ips = {cidr("10.0.0.0/8")};
  EXPECT_TRUE(matches_one(match, connection(std::nullopt, "[::ffff:10.1.2.3]:1")));
  EXPECT_FALSE(matches_one(match, connection(std::nullopt, "[fd00::1]:1")));
}

}  // namespace
}  // namespace culvert::authz
