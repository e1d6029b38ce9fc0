#include "common/state/store.h"

#include <gtest/gtest.h>

namespace culvert::state {
namespace {

Policy policy(std::string ns, std::string name, Policy::Scope scope) {
  Policy result;
  result.name = std::move(name);
  result.namespace_ = std::move(ns);
  result.scope = scope;
  result.rules = {{}};  // any connection
  return result;
}

class PolicyIndexTest : public testing::Test {
 protected:
  std::vector<std::string> keys(const std::string& ns, std::vector<std::string> listed = {}) {
    WorkloadSpec workload;
    workload.namespace_ = ns;
    workload.authorization_policies = std::move(listed);
    unknown_.clear();
    std::vector<std::string> result;
    const auto snapshot = store_.commit();
    const auto selection =
        snapshot->policies_for(*Workload::make(workload), PolicyQuery(nullptr, 80), &unknown_);
    for (const Policy* found : selection.policies) result.push_back(found->key());
    return result;
  }
  using Keys = std::vector<std::string>;
  Store store_{""};
  std::vector<std::string> unknown_;
};

TEST_F(PolicyIndexTest, UnionOfScopes) {
  store_.upsert_policy(policy("a", "n2", Policy::Scope::kNamespace));
  store_.upsert_policy(policy("a", "n1", Policy::Scope::kNamespace));
  store_.upsert_policy(policy("b", "n", Policy::Scope::kNamespace));
  store_.upsert_policy(policy("root", "g", Policy::Scope::kGlobal));
  store_.upsert_policy(policy("a", "s", Policy::Scope::kWorkloadSelector));
  EXPECT_EQ(keys("a"), (Keys{"a/n1", "a/n2", "root/g"}));
  EXPECT_EQ(keys("a", {"a/s"}), (Keys{"a/n1", "a/n2", "root/g", "a/s"}));
  EXPECT_EQ(keys("root"), (Keys{"root/g"}));
  EXPECT_EQ(keys("c", {"a/s", "a/s"}), (Keys{"root/g", "a/s"}));
  EXPECT_TRUE(unknown_.empty());
}

TEST_F(PolicyIndexTest, ListedPoliciesThatApplyAnywayCountOnce) {
  store_.upsert_policy(policy("a", "n", Policy::Scope::kNamespace));
  EXPECT_EQ(keys("a", {"a/n"}), (Keys{"a/n"}));
}

TEST_F(PolicyIndexTest, UnknownKeysAreTold) {
  store_.upsert_policy(policy("a", "s", Policy::Scope::kWorkloadSelector));
  EXPECT_EQ(keys("a", {"a/x", "a/s", "as", ""}), (Keys{"a/s"}));
  EXPECT_EQ(unknown_, (Keys{"a/x", "as", ""}));
  const auto of_nobody =
      store_.current()->policies_for(*Workload::make({}), PolicyQuery(nullptr, 80), nullptr);
  EXPECT_TRUE(of_nobody.policies.empty());
}

TEST_F(PolicyIndexTest, ChangingTheScopeMovesIt) {
  using Scope = Policy::Scope;
  store_.upsert_policy(policy("a", "p", Scope::kNamespace));
  EXPECT_EQ(keys("a"), (Keys{"a/p"}));
  EXPECT_EQ(keys("b"), (Keys{}));
  store_.upsert_policy(policy("a", "p", Scope::kGlobal));
  EXPECT_EQ(keys("a"), (Keys{"a/p"}));
  EXPECT_EQ(keys("b"), (Keys{"a/p"}));
  store_.upsert_policy(policy("a", "p", Scope::kWorkloadSelector));
  EXPECT_EQ(keys("a"), (Keys{}));
  EXPECT_EQ(keys("b"), (Keys{}));
  EXPECT_EQ(keys("b", {"a/p"}), (Keys{"a/p"}));
  store_.upsert_policy(policy("a", "p", Scope::kNamespace));
  EXPECT_EQ(keys("a"), (Keys{"a/p"}));
}

TEST_F(PolicyIndexTest, RemovalTakesItFromItsScope) {
  store_.upsert_policy(policy("a", "p", Policy::Scope::kNamespace));
  store_.upsert_policy(policy("a", "q", Policy::Scope::kNamespace));
  EXPECT_TRUE(store_.remove_policy("a/p"));
  EXPECT_FALSE(store_.remove_policy("a/p"));
  EXPECT_EQ(keys("a"), (Keys{"a/q"}));
  EXPECT_TRUE(store_.remove_policy("a/q"));
  EXPECT_EQ(keys("a"), (Keys{}));
  EXPECT_TRUE(store_.commit()->policies().empty());
}

TEST_F(PolicyIndexTest, VersionGrowsOnlyWithPolicies) {
  EXPECT_EQ(store_.commit()->policy_version(), 0U);
  store_.upsert_policy(policy("a", "p", Policy::Scope::kNamespace));
  store_.upsert_policy(policy("a", "q", Policy::Scope::kNamespace));
  EXPECT_EQ(store_.commit()->policy_version(), 1U);
  store_.upsert_policy(policy("a", "p", Policy::Scope::kNamespace));  // the same again
  store_.upsert_workload({}, {});
  EXPECT_FALSE(store_.remove_policy("a/unknown"));
  EXPECT_EQ(store_.commit()->policy_version(), 1U);
  Policy changed = policy("a", "p", Policy::Scope::kNamespace);
  changed.dry_run = true;
  store_.upsert_policy(changed);
  EXPECT_EQ(store_.commit()->policy_version(), 2U);
  store_.remove_policy("a/q");
  EXPECT_EQ(store_.commit()->policy_version(), 3U);
}

TEST_F(PolicyIndexTest, PoliciesAreListedByKey) {
  store_.upsert_policy(policy("b", "a", Policy::Scope::kGlobal));
  store_.upsert_policy(policy("a", "z", Policy::Scope::kGlobal));
  store_.upsert_policy(policy("a", "b", Policy::Scope::kWorkloadSelector));
  const auto all = store_.commit()->policies();
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[0]->key(), "a/b");
  EXPECT_EQ(all[1]->key(), "a/z");
  EXPECT_EQ(all[2]->key(), "b/a");
}

}  // namespace
}  // namespace culvert::state
