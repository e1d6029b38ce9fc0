#include "waypoint/model/authz.h"

#include "tests/unit/waypoint/support.h"

#include <gtest/gtest.h>

namespace culvert::waypoint {
namespace {

using test::request;
using Condition = AuthzCondition;

StringMatch wildcard(std::string_view text) { return StringMatch::from_wildcard(text).value(); }
Condition leaf(AuthzLeaf value) { return Condition::of(std::move(value)); }
Condition header(std::string name, std::string_view value) {
  return leaf(HeaderCondition{std::move(name), wildcard(value)});
}

AuthzFilter filter(AuthzAction action, std::vector<Condition> conditions) {
  AuthzFilter out{action, {}};
  for (Condition& condition : conditions) {
    out.rules.push_back({"rule " + std::to_string(out.rules.size()), std::move(condition)});
  }
  return out;
}

AuthzDecision decide(AuthzAction action, const Condition& condition,
                     const http::RequestHead* head) {
  AuthzFacts facts;
  facts.request = head;
  return evaluate(filter(action, {condition}), facts);
}
bool allows(const Condition& condition, const http::RequestHead& head) {
  return decide(AuthzAction::kAllow, condition, &head).allowed;
}
bool denies(const Condition& condition, const http::RequestHead& head) {
  return !decide(AuthzAction::kDeny, condition, &head).allowed;
}

TEST(Authz, FiltersWithoutRules) {
  EXPECT_TRUE(evaluate({AuthzAction::kDeny, {}}, {}).allowed);
  const AuthzDecision nothing_allowed = evaluate({AuthzAction::kAllow, {}}, {});
  EXPECT_FALSE(nothing_allowed.allowed);
  EXPECT_EQ(nothing_allowed.detail(), "rbac_access_denied_matched_policy[none]");
}

TEST(Authz, TheRuleThatRefusedIsNamed) {
  const auto filters = filter(AuthzAction::kDeny, {Condition::any({}), Condition::all({})});
  const AuthzDecision decision = evaluate(filters, {});
  EXPECT_FALSE(decision.allowed);
  EXPECT_EQ(decision.detail(), "rbac_access_denied_matched_policy[rule 1]");
  EXPECT_EQ(evaluate(filter(AuthzAction::kAllow, {Condition::all({})}), {}).detail(), "");
}

TEST(Authz, ConditionsCombine) {
  const Condition yes = Condition::all({});
  const Condition no = Condition::any({});
  EXPECT_TRUE(holds(Condition::all({yes, yes}), {}, false));
  EXPECT_FALSE(holds(Condition::all({yes, no}), {}, true));
  EXPECT_TRUE(holds(Condition::any({no, yes}), {}, false));
  EXPECT_TRUE(holds(Condition::negate(no), {}, false));
  EXPECT_FALSE(holds(Condition::negate(yes), {}, true));
}

// CVE-2026-26308: values joined before the match hide the one that a DENY rule names.
TEST(Authz, RepeatedHeadersCannotBypass) {
  const auto two = request("GET", "a", "/", {{"x-role", "user"}, {"x-role", "admin"}});
  const auto empty_first = request("GET", "a", "/", {{"x-role", ""}, {"x-role", "admin"}});
  const auto joined = request("GET", "a", "/", {{"x-role", "user, admin"}});
  const auto same = request("GET", "a", "/", {{"x-role", "admin"}});
  const Condition admin = header("x-role", "admin");
  EXPECT_TRUE(denies(admin, two));
  EXPECT_TRUE(denies(admin, empty_first));
  EXPECT_TRUE(denies(admin, same));
  EXPECT_FALSE(denies(admin, joined));
  EXPECT_TRUE(denies(header("x-role", "*admin"), joined));
  // Where a match allows, every reading of the header must match.
  EXPECT_TRUE(allows(admin, same));
  EXPECT_FALSE(allows(admin, two));
  EXPECT_FALSE(allows(header("x-role", "user*"), two));
  // Negation turns it round: "allow unless admin" and "deny unless user".
  EXPECT_FALSE(allows(Condition::negate(admin), two));
  EXPECT_TRUE(denies(Condition::negate(header("x-role", "user")), two));
}

TEST(Authz, HeaderPresence) {
  const Condition present = header("x-a", "*");
  EXPECT_TRUE(allows(present, request("GET", "a", "/", {{"X-A", "1"}})));
  EXPECT_TRUE(denies(present, request("GET", "a", "/", {{"x-a", ""}})));
  EXPECT_FALSE(allows(present, request("GET", "a", "/")));
  EXPECT_TRUE(allows(Condition::negate(present), request("GET", "a", "/")));
}

// CVE-2021-39155, GHSA-w44g-8m76-8gc5.
TEST(Authz, HostsIgnoreCaseAndMethodsDoNot) {
  StringMatch admin = wildcard("admin.example");
  admin.ignore_case = true;
  const Condition host = leaf(HostCondition{admin});
  EXPECT_TRUE(denies(host, request("GET", "ADMIN.example", "/")));
  // The port belongs to the value that is compared, as in Envoy: policies name it or end in ":*".
  EXPECT_FALSE(denies(host, request("GET", "admin.example:80", "/")));
  EXPECT_FALSE(allows(host, request("GET", "", "/")));
  const Condition get = leaf(MethodCondition{wildcard("GET")});
  EXPECT_TRUE(allows(get, request("GET", "a", "/")));
  EXPECT_FALSE(allows(get, request("get", "a", "/")));
  EXPECT_TRUE(denies(Condition::negate(get), request("get", "a", "/")));
}

// CVE-2021-39156 and its family: the path is what is before '?' and '#'.
TEST(Authz, PathsWithoutQueryAndFragment) {
  const Condition admin = leaf(PathCondition{wildcard("/admin")});
  EXPECT_TRUE(denies(admin, request("GET", "a", "/admin?x")));
  EXPECT_TRUE(denies(admin, request("GET", "a", "/admin#x")));
  EXPECT_FALSE(denies(admin, request("GET", "a", "/x?/admin")));
  EXPECT_TRUE(denies(leaf(PathCondition{wildcard("/admin*")}), request("GET", "a", "/admin;x")));
  const Condition templated = leaf(PathCondition{PathTemplate::parse("/t/{*}").value()});
  EXPECT_TRUE(allows(templated, request("GET", "a", "/t/1?q=/x")));
  EXPECT_FALSE(allows(templated, request("GET", "a", "/t/1/2")));
}

TEST(Authz, WhatHasNoPathIsRefused) {
  const auto connect = request("CONNECT", "a:80", "");
  const Condition path = leaf(PathCondition{wildcard("/a")});
  EXPECT_TRUE(denies(path, connect));
  EXPECT_FALSE(allows(path, connect));
  EXPECT_TRUE(denies(Condition::negate(path), connect));
  EXPECT_FALSE(allows(Condition::negate(path), connect));
}

TEST(Authz, HttpConditionsWithoutARequestRefuse) {
  const Condition conditions[] = {leaf(PathCondition{wildcard("/a")}),
                                  leaf(MethodCondition{wildcard("GET")}),
                                  leaf(HostCondition{wildcard("a")}), header("x", "1")};
  for (const Condition& condition : conditions) {
    EXPECT_TRUE(is_http_only(*condition.leaf));
    for (const Condition& either : {condition, Condition::negate(condition)}) {
      EXPECT_FALSE(decide(AuthzAction::kAllow, either, nullptr).allowed);
      EXPECT_FALSE(decide(AuthzAction::kDeny, either, nullptr).allowed);
    }
  }
  EXPECT_FALSE(is_http_only(PortCondition{80}));
  EXPECT_FALSE(is_http_only(SniCondition{}));
}

TEST(Authz, NobodyHasNoIdentity) {
  const Condition conditions[] = {
      leaf(PrincipalCondition{wildcard("*")}), leaf(NamespaceCondition{wildcard("*")}),
      leaf(ServiceAccountCondition{"", ""}), leaf(SniCondition{wildcard("*")})};
  for (const Condition& condition : conditions) EXPECT_FALSE(holds(condition, {}, true));
}

// CVE-2020-16844: a suffix is compared with the end of the whole principal.
TEST(Authz, PrincipalWildcards) {
  const auto matches = [](std::string_view pattern, std::string_view principal) {
    AuthzFacts facts;
    facts.principal = principal;
    return holds(leaf(PrincipalCondition{wildcard(pattern)}), facts, false);
  };
  EXPECT_TRUE(matches("*/sa/client", "spiffe://cluster.local/ns/demo/sa/client"));
  EXPECT_FALSE(matches("*/sa/client", "spiffe://cluster.local/ns/demo/sa/client2"));
  EXPECT_FALSE(matches("*/sa/client", "spiffe://cluster.local/ns/demo/sa/x-client"));
  EXPECT_TRUE(matches("spiffe://cluster.local/ns/demo/*", "spiffe://cluster.local/ns/demo/sa/a"));
  EXPECT_FALSE(matches("spiffe://cluster.local/ns/demo/*", "spiffe://cluster.local/ns/demo2/sa/a"));
}

}  // namespace
}  // namespace culvert::waypoint
