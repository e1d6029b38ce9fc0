// Selecting policies leaves out only what cannot match: decisions and notes stay what they are when
// every policy is tried.
#include "common/authz/evaluate.h"
#include "common/state/store.h"
#include "tests/support/state_builders.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <random>
#include <string>

namespace culvert::authz {
namespace {

using state::Policy;
using state::PolicyMatch;
using state::StringMatch;

constexpr std::array<const char*, 4> kNames{"a", "b", "ab", ""};

class Maker {
 public:
  explicit Maker(unsigned seed) : random_(seed) {}

  size_t below(size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random_); }
  bool one_in(size_t n) { return below(n) == 0; }
  std::string name() { return kNames[below(kNames.size())]; }
  state::Identity identity() { return {one_in(4) ? "other" : "td", name(), name()}; }
  uint16_t port() { return static_cast<uint16_t>(80 + below(3)); }

  StringMatch text(std::string exact) {
    const auto kind =
        one_in(4) ? static_cast<StringMatch::Kind>(below(4)) : StringMatch::Kind::kExact;
    if (kind == StringMatch::Kind::kPrefix) exact = exact.substr(0, exact.size() / 2);
    if (kind == StringMatch::Kind::kSuffix) exact = exact.substr(exact.size() / 2);
    return {kind, exact};
  }
  // `make` once or twice, most often not at all.
  template <class Make>
  void some(std::vector<std::invoke_result_t<Make>>& into, Make&& make) {
    if (!one_in(4)) return;
    for (size_t i = 0; i < 1 + below(2); ++i) into.push_back(make());
  }
  PolicyMatch match() {
    PolicyMatch match;
    const auto principal = [&] { return text(identity().principal()); };
    const auto ns = [&] { return text(name()); };
    const auto account = [&] { return state::ServiceAccountMatch{name(), name()}; };
    const auto cidr = [&] { return test::cidr(one_in(2) ? "10.0.0.0/8" : "11.0.0.0/8"); };
    some(match.principals, principal);
    some(match.namespaces, ns);
    some(match.service_accounts, account);
    some(match.source_ips, cidr);
    some(match.destination_ports, [&] { return port(); });
    if (one_in(3)) {
      some(match.not_principals, principal);
      some(match.not_namespaces, ns);
      some(match.not_service_accounts, account);
      some(match.not_destination_ports, [&] { return port(); });
    }
    return match;
  }
  Policy policy(size_t number) {
    Policy policy;
    policy.name = "p" + std::to_string(number);
    policy.namespace_ = one_in(2) ? "ns" : "root";
    policy.scope = static_cast<Policy::Scope>(below(3));
    policy.action = one_in(3) ? Policy::Action::kDeny : Policy::Action::kAllow;
    policy.dry_run = one_in(3);
    for (size_t rules = below(3); rules > 0; --rules) {
      auto& rule = policy.rules.emplace_back();
      for (size_t clauses = below(6) + 1; clauses > 3; --clauses) {
        auto& clause = rule.emplace_back();
        for (size_t matches = below(3); matches > 0; --matches) clause.push_back(match());
      }
    }
    return policy;
  }

 private:
  std::mt19937 random_;
};

std::string text_of(const Decision& decision, const std::vector<DryRunNote>& notes) {
  std::string text = std::to_string(static_cast<int>(decision.outcome)) + decision.policy;
  for (const DryRunNote& note : notes) text += ";" + note.message + note.policy;
  return text;
}

// What applies to `destination`, in order, tried without any selecting.
std::string try_all(const state::Snapshot& mesh, const state::Workload& destination,
                    const Connection& connection) {
  state::PolicySelection all;
  const auto policies = mesh.policies();  // by key
  const auto add = [&](auto&& applies) {
    for (const auto& policy : policies) {
      if (!applies(*policy)) continue;
      all.policies.push_back(policy.get());
      all.note_action(*policy);
    }
  };
  const auto in_namespace = [&](const Policy& policy) {
    return policy.scope == Policy::Scope::kNamespace && policy.namespace_ == destination.ns();
  };
  const auto global = [](const Policy& policy) { return policy.scope == Policy::Scope::kGlobal; };
  add(in_namespace);
  add(global);
  for (size_t i = 0; i < destination.policy_count(); ++i) {
    add([&](const Policy& policy) {
      return policy.key() == destination.policy(i) && !in_namespace(policy) && !global(policy);
    });
  }
  std::vector<DryRunNote> notes;
  const Decision decision = evaluate(all, connection, &notes);
  return text_of(decision, notes);
}

TEST(SelectionTest, DecidesAsIfAllWereTried) {
  size_t decided = 0;
  for (unsigned seed = 0; seed < 300; ++seed) {
    Maker make(seed);
    state::Store store("");
    const size_t count = make.below(12);
    for (size_t i = 0; i < count; ++i) store.upsert_policy(make.policy(i));
    for (size_t i = 0; i < count / 4; ++i) store.upsert_policy(make.policy(i));  // replaced
    const auto mesh = store.commit();
    auto destination = test::pod("w", {});
    destination.authorization_policies = {"ns/p1", "root/p2", "ns/p4"};
    const auto workload = state::Workload::make(destination);
    for (size_t i = 0; i < 100; ++i) {
      Connection connection{
          make.identity(), test::address("10.0.0.1:1"), {test::ip("10.0.0.2"), make.port()}};
      if (make.one_in(4)) connection.source_identity.reset();
      const auto selection = mesh->policies_for(*workload, connection.query(), nullptr);
      std::vector<DryRunNote> notes;
      const Decision decision = evaluate(selection, connection, &notes);
      ASSERT_EQ(text_of(decision, notes), try_all(*mesh, *workload, connection)) << "seed " << seed;
      if (!decision.policy.empty()) ++decided;
    }
  }
  EXPECT_GT(decided, 3000U);  // the policies do say something
}

TEST(SelectionTest, LeavesOutWhoWantsAnother) {
  std::vector<state::PolicyPtr> policies;
  const auto add = [&](auto&& set) {
    Policy policy;
    policy.name = std::to_string(policies.size());
    PolicyMatch match;
    set(match);
    policy.rules = {{{}, {match, PolicyMatch{}}}};
    policies.push_back(std::make_shared<const Policy>(std::move(policy)));
  };
  const auto add_all = [&](const std::string& name, uint16_t port) {
    add([&](PolicyMatch& match) {
      match.principals = {{StringMatch::Kind::kExact, "td/ns/" + name + "/sa/" + name}};
    });
    add([&](PolicyMatch& match) { match.service_accounts = {{name, name}}; });
    add([&](PolicyMatch& match) { match.namespaces = {{StringMatch::Kind::kExact, name}}; });
    add([&](PolicyMatch& match) { match.destination_ports = {port}; });
  };
  for (int i = 0; i < 100; ++i) add_all("n" + std::to_string(i), static_cast<uint16_t>(1000 + i));
  add([](PolicyMatch& match) { match.not_namespaces = {{StringMatch::Kind::kExact, "x"}}; });
  const state::PolicyScope scope("", policies);
  const auto selected = [&](const Connection& connection) {
    state::PolicySelection selection;
    scope.select(connection.query(), selection);
    EXPECT_TRUE(selection.has_allow);
    std::vector<std::string> names;
    names.reserve(selection.policies.size());
    for (const Policy* policy : selection.policies) names.push_back(policy->name);
    return names;
  };
  using Names = std::vector<std::string>;
  Connection connection{state::Identity{"td", "n7", "n7"}, {}, {{}, 1009}};
  EXPECT_EQ(selected(connection), (Names{"28", "29", "30", "39", "400"}));
  connection.source_identity.reset();
  EXPECT_EQ(selected(connection), (Names{"39", "400"}));
}

}  // namespace
}  // namespace culvert::authz
