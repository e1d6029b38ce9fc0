#include "common/authz/evaluate.h"

#include "common/state/store.h"
#include "tests/support/state_builders.h"

#include <gtest/gtest.h>

#include <memory>

namespace culvert::authz {
namespace {

using state::Policy;
using Outcome = Decision::Outcome;

// Matches connections to one of these ports.
state::PolicyPtr policy(std::string name, Policy::Action action, std::vector<uint16_t> ports,
                        bool dry_run = false) {
  auto result = std::make_shared<Policy>();
  result->name = std::move(name);
  result->namespace_ = "ns1";
  result->scope = Policy::Scope::kNamespace;
  result->action = action;
  result->dry_run = dry_run;
  state::PolicyMatch match;
  match.destination_ports = std::move(ports);
  if (!match.empty()) result->rules = {{{match}}};
  return result;
}

class EvaluateTest : public testing::Test {
 protected:
  Decision decide(uint16_t port) {
    notes_.clear();
    const Connection connection{
        std::nullopt, test::address("10.0.0.1:1234"), {test::ip("10.0.0.2"), port}};
    const state::PolicyScope scope("ns1", policies_);
    state::PolicySelection selection;
    scope.select(connection.query(), selection);
    return evaluate(selection, connection, &notes_);
  }
  std::string notes() const {
    std::string text;
    for (const auto& note : notes_) text += note.message + " [" + note.policy + "];";
    return text;
  }
  std::vector<state::PolicyPtr> policies_;
  std::vector<DryRunNote> notes_;
};

constexpr auto kAllow = Policy::Action::kAllow;
constexpr auto kDeny = Policy::Action::kDeny;

TEST_F(EvaluateTest, NoPolicyAllows) {
  const Decision decision = decide(80);
  EXPECT_TRUE(decision.allowed());
  EXPECT_EQ(decision.reason(), "");
  EXPECT_EQ(decision.policy, "");
}

TEST_F(EvaluateTest, AllowPoliciesAllowNothingElse) {
  policies_ = {policy("a", kAllow, {80}), policy("b", kAllow, {81})};
  EXPECT_TRUE(decide(80).allowed());
  EXPECT_EQ(decide(81).policy, "ns1/b");
  const Decision decision = decide(82);
  EXPECT_EQ(decision.outcome, Outcome::kNotAllowed);
  EXPECT_FALSE(decision.allowed());
  EXPECT_EQ(decision.reason(), "allow policies exist, but none allowed");
}

TEST_F(EvaluateTest, DenyWins) {
  policies_ = {policy("allow", kAllow, {80}), policy("deny", kDeny, {80})};
  const Decision decision = decide(80);
  EXPECT_EQ(decision.outcome, Outcome::kExplicitlyDenied);
  EXPECT_EQ(decision.policy, "ns1/deny");
  EXPECT_EQ(decision.reason(), "explicitly denied by: ns1/deny");
}

TEST_F(EvaluateTest, DenyAloneAllowsTheRest) {
  policies_ = {policy("deny", kDeny, {80})};
  EXPECT_FALSE(decide(80).allowed());
  EXPECT_TRUE(decide(81).allowed());
}

TEST_F(EvaluateTest, AllowNothing) {
  policies_ = {policy("allow-nothing", kAllow, {})};
  EXPECT_EQ(decide(80).outcome, Outcome::kNotAllowed);
  policies_ = {policy("deny-nothing", kDeny, {})};
  EXPECT_TRUE(decide(80).allowed());
}

TEST_F(EvaluateTest, DryRunNeverDecides) {
  policies_ = {policy("dry-deny", kDeny, {80}, true), policy("dry-allow", kAllow, {81}, true)};
  EXPECT_TRUE(decide(80).allowed());
  EXPECT_EQ(notes(),
            "dry-run: deny policy match [ns1/dry-deny];dry-run: no allow policies match [];");
  EXPECT_TRUE(decide(81).allowed());
  EXPECT_EQ(notes(), "dry-run: allow policy match [ns1/dry-allow];");
}

TEST_F(EvaluateTest, DryRunBesideEnforced) {
  policies_ = {policy("allow", kAllow, {80}), policy("dry-allow", kAllow, {80, 81}, true),
               policy("dry-deny", kDeny, {80}, true)};
  EXPECT_TRUE(decide(80).allowed());
  EXPECT_EQ(
      notes(),
      "dry-run: deny policy match [ns1/dry-deny];dry-run: allow policy match [ns1/dry-allow];");
  EXPECT_EQ(decide(81).outcome, Outcome::kNotAllowed);
  EXPECT_EQ(notes(), "dry-run: allow policy match [ns1/dry-allow];");
  // An enforced ALLOW decides, so what dry-run ALLOWs would not have allowed is no news.
  EXPECT_EQ(decide(82).outcome, Outcome::kNotAllowed);
  EXPECT_EQ(notes(), "");
}

TEST_F(EvaluateTest, DryRunAllowIsNotTriedAfterADeny) {
  policies_ = {policy("dry-allow", kAllow, {80}, true), policy("deny", kDeny, {80}),
               policy("dry-deny", kDeny, {80}, true)};
  EXPECT_EQ(decide(80).policy, "ns1/deny");
  EXPECT_EQ(notes(), "dry-run: deny policy match [ns1/dry-deny];");
}

TEST_F(EvaluateTest, NotesAreOptional) {
  const auto dry_run = policy("dry-deny", kDeny, {80}, true);
  state::PolicySelection selection;
  selection.policies = {dry_run.get()};
  EXPECT_TRUE(evaluate(selection, {std::nullopt, {}, {{}, 80}}, nullptr).allowed());
}

// From the store to the decision: the destination's namespace and attachments say which policies
// count.
TEST(EvaluateWithStoreTest, DestinationChoosesThePolicies) {
  state::Store store("");
  const auto add = [&](std::string ns, std::string name, Policy::Scope scope, uint16_t port) {
    Policy added = *policy(std::move(name), kDeny, {port});
    added.namespace_ = std::move(ns);
    added.scope = scope;
    store.upsert_policy(added);
  };
  add("ns", "in-ns", Policy::Scope::kNamespace, 1);
  add("other", "in-other", Policy::Scope::kNamespace, 2);
  add("root", "global", Policy::Scope::kGlobal, 3);
  add("ns", "attached", Policy::Scope::kWorkloadSelector, 4);
  const auto snapshot = store.commit();
  auto destination = test::pod("w", {});
  const auto allowed = [&](uint16_t port) {
    const Connection connection{std::nullopt, {}, {{}, port}};
    const auto selection =
        snapshot->policies_for(*state::Workload::make(destination), connection.query(), nullptr);
    return evaluate(selection, connection, nullptr).allowed();
  };
  EXPECT_FALSE(allowed(1));
  EXPECT_TRUE(allowed(2));
  EXPECT_FALSE(allowed(3));
  EXPECT_TRUE(allowed(4));
  destination.authorization_policies = {"ns/attached", "ns/unknown"};
  EXPECT_FALSE(allowed(4));
}

}  // namespace
}  // namespace culvert::authz
