#include "common/base/memory_account.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace culvert {
namespace {

constexpr uint64_t kBudget = 8U << 20;
constexpr size_t kLittle = MemoryAccount::kLittle;

TEST(MemoryAccount, WhoHoldsALittleMayUseAllOfIt) {
  MemoryAccount account("workload a/b", kBudget);
  for (uint64_t held = 0; held < kBudget; held += kLittle)
    ASSERT_EQ(account.try_take(kLittle, kLittle), nullptr) << held;
  EXPECT_EQ(account.held(), kBudget);
  EXPECT_EQ(account.refusals(), 0U);
  EXPECT_EQ(account.try_take(1, 1), &account);
  EXPECT_EQ(account.held(), kBudget);
  EXPECT_EQ(account.refusals(), 1U);
  account.give_back(1);
  EXPECT_EQ(account.try_take(1, 1), nullptr);
  EXPECT_EQ(account.used_up().message(),
            "memory budget of workload a/b is used up: 8388608 of 8388608 bytes are held for who "
            "does not read");
}

TEST(MemoryAccount, TheLastEighthIsForWhoHoldsALittle) {
  MemoryAccount account("workload a/b", kBudget);
  EXPECT_EQ(account.try_take(kBudget / 8 * 7, kBudget), nullptr);
  EXPECT_EQ(account.try_take(1, kLittle + 1), &account);
  EXPECT_EQ(account.try_take(kLittle, kLittle), nullptr);
  EXPECT_EQ(account.held(), kBudget / 8 * 7 + kLittle);
}

TEST(MemoryAccount, IsTightFromHalfAndFullFromThreeQuarters) {
  MemoryAccount process("the process", 2 * kBudget);
  MemoryAccount account("workload a/b", kBudget, &process);
  HeldBytes held(account);
  const auto state = [&](uint64_t bytes) {
    EXPECT_TRUE(held.resize(bytes));
    return std::pair(account.tight(), account.full() != nullptr);
  };
  EXPECT_EQ(state(kBudget / 2), std::pair(false, false));
  EXPECT_EQ(state(kBudget / 2 + 1), std::pair(true, false));
  EXPECT_EQ(state(kBudget / 4 * 3), std::pair(true, false));
  EXPECT_TRUE(account.has_room(0));
  EXPECT_FALSE(account.has_room(1));
  EXPECT_EQ(state(kBudget / 4 * 3 + 1), std::pair(true, true));
  EXPECT_EQ(account.full(), &account);
  EXPECT_FALSE(process.tight());
  EXPECT_EQ(state(0), std::pair(false, false));
  // By others.
  HeldBytes others(process);
  ASSERT_TRUE(others.resize(2 * kBudget / 4 * 3 + 1));
  EXPECT_TRUE(account.tight());
  EXPECT_EQ(account.full(), &process);
}

TEST(MemoryAccount, WhatTheParentRefusesLeavesTheChildAsItWas) {
  MemoryAccount process("the process", kBudget);
  MemoryAccount one("workload a/one", kBudget, &process), two("workload a/two", kBudget, &process);
  HeldBytes first(one);
  ASSERT_TRUE(first.resize(kBudget / 8 * 7));
  EXPECT_EQ(process.held(), kBudget / 8 * 7);
  HeldBytes second(two);
  const auto refused = second.resize(kLittle + 1);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, make_error_code(Errc::kMemory));
  EXPECT_NE(refused.error().message().find("memory budget of the process is used up"),
            std::string::npos);
  EXPECT_EQ(second.bytes(), 0U);
  EXPECT_EQ(two.held(), 0U);
  EXPECT_EQ(one.refusals(), 0U);
  EXPECT_EQ(two.refusals(), 1U);
  EXPECT_EQ(process.refusals(), 1U);
  EXPECT_EQ(process.held(), kBudget / 8 * 7);
}

TEST(MemoryAccount, UnderPressureOnlyALittleIsHeldAndNothingNewIsTaken) {
  MemoryAccount process("the process", kBudget);
  MemoryAccount account("workload a/b", kBudget, &process);
  process.set_pressure(true);
  EXPECT_TRUE(account.tight());
  EXPECT_EQ(account.full(), &process);
  EXPECT_EQ(account.try_take(kLittle + 1, kLittle + 1), &process);
  EXPECT_EQ(account.try_take(kLittle, kLittle), nullptr);
  account.give_back(kLittle);
  EXPECT_NE(process.used_up().message().find("nearly gone"), std::string::npos);
  process.set_pressure(false);
  EXPECT_FALSE(account.tight());
  EXPECT_EQ(account.full(), nullptr);
}

TEST(HeldBytes, GiveBackWhatTheyHave) {
  MemoryAccount process("the process", kBudget);
  MemoryAccount account("workload a/b", kBudget, &process);
  {
    HeldBytes held(account);
    ASSERT_TRUE(held.resize(1000));
    ASSERT_TRUE(held.resize(3000));
    ASSERT_TRUE(held.resize(2000));
    EXPECT_EQ(account.held(), 2000U);
    EXPECT_EQ(process.held(), 2000U);
    held.release();
    EXPECT_EQ(account.held(), 0U);
    ASSERT_TRUE(held.resize(500));
  }
  EXPECT_EQ(account.held(), 0U);
  EXPECT_EQ(process.held(), 0U);
}

TEST(MemoryAccount, ThreadsNeverHoldMoreThanTheBudgetAndLoseNothing) {
  MemoryAccount process("the process", kBudget);
  constexpr int kThreads = 4;
  std::vector<std::unique_ptr<MemoryAccount>> accounts;
  accounts.reserve(kThreads / 2);
  for (int i = 0; i < kThreads / 2; ++i)
    accounts.push_back(std::make_unique<MemoryAccount>("workload", kBudget, &process));
  std::atomic<bool> over = false;
  std::atomic<int> refused = 0;
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      MemoryAccount& account = *accounts[static_cast<size_t>(i / 2)];
      for (int round = 0; round < 200; ++round) {
        std::vector<std::unique_ptr<HeldBytes>> held;
        for (int k = 0; k < 30; ++k) {  // 4 threads want twice the budget
          auto& one = held.emplace_back(std::make_unique<HeldBytes>(account));
          if (!one->resize(kLittle)) ++refused;
          if (process.held() > kBudget) over = true;
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_FALSE(over);
  EXPECT_EQ(process.held(), 0U);
  for (const auto& account : accounts) EXPECT_EQ(account->held(), 0U);
  EXPECT_EQ(process.refusals(), static_cast<uint64_t>(refused.load()));
  EXPECT_EQ(accounts[0]->refusals() + accounts[1]->refusals(), process.refusals());
}

}  // namespace
}  // namespace culvert
