#include "common/ca/cert_manager.h"

#include "tests/support/fake_signer.h"
#include "tests/support/test_ca.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace culvert::ca {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

state::Identity id(const std::string& name) { return test::identity("demo", name); }

class CertManagerTest : public ::testing::Test {
 protected:
  // Valid from `now + from` to `now + to`.
  tls::CredentialPtr certificate(const std::string& name, Duration from = -2min,
                                 Duration to = 24h) {
    test::CertSpec spec;
    spec.uris = {test::spiffe("demo", name)};
    spec.not_before = wall_ + std::chrono::duration_cast<WallTime::duration>(from);
    spec.not_after = wall_ + std::chrono::duration_cast<WallTime::duration>(to);
    return ca_.credential(spec);
  }
  static Error broken() { return invalid("signer is broken"); }

  void fetch(const std::string& name, Priority priority = Priority::kRealTime) {
    manager_.fetch(id(name), priority, [this, name](Result<tls::CredentialPtr> result) {
      answers_[name].push_back(std::move(result));
    });
  }
  void answer(const std::string& name) { signer_.answer_next(certificate(name)); }
  void advance(Duration by) {
    now_ += by;
    wall_ += std::chrono::duration_cast<WallTime::duration>(by);
    manager_.poll();
  }
  [[nodiscard]] Duration until_wakeup() const { return manager_.next_wakeup() - now_; }
  [[nodiscard]] std::string state_of(const std::string& name) const {
    for (const auto& entry : manager_.entries()) {
      if (entry.identity.service_account == name) return entry.state;
    }
    return "none";
  }

  std::map<std::string, std::vector<Result<tls::CredentialPtr>>> answers_;
  test::TestCa ca_;
  test::FakeSigner signer_;
  Time now_{1000h};
  WallTime wall_ = WallClock::from_time_t(1'800'000'000);
  double jitter_ = 0;
  CertManager manager_{
      signer_, {[this] { return now_; }, [this] { return wall_; }, [this] { return jitter_; }}};
};

TEST_F(CertManagerTest, NothingToDoAtFirst) {
  EXPECT_EQ(manager_.next_wakeup(), kNever);
  manager_.poll();
  EXPECT_TRUE(manager_.entries().empty());
}

TEST_F(CertManagerTest, FetchAsksTheSignerOnceAndAnswersEveryone) {
  fetch("a");
  fetch("a", Priority::kWarmup);
  EXPECT_THAT(signer_.asked, ElementsAre("a"));
  EXPECT_EQ(state_of("a"), "Initializing");
  EXPECT_TRUE(answers_.empty());
  answer("a");
  ASSERT_EQ(answers_["a"].size(), 2U);
  fetch("a");
  ASSERT_EQ(answers_["a"].size(), 3U);
  for (const auto& result : answers_["a"]) {
    ASSERT_TRUE(result);
    EXPECT_EQ(*result, *answers_["a"][0]);
  }
  EXPECT_THAT(signer_.asked, ElementsAre("a"));
  EXPECT_EQ(state_of("a"), "Available");
}

TEST_F(CertManagerTest, AtMostEightRequestsAtOnceByPriority) {
  for (int i = 0; i < 8; ++i) fetch("busy" + std::to_string(i), Priority::kBackground);
  ASSERT_EQ(signer_.asked.size(), 8U);
  now_ += 1ms;
  fetch("background", Priority::kBackground);
  fetch("warmup", Priority::kWarmup);
  fetch("now", Priority::kRealTime);
  manager_.poll();
  ASSERT_EQ(signer_.asked.size(), 8U);
  EXPECT_EQ(manager_.next_wakeup(), kNever);
  for (int i = 0; i < 8; ++i) answer("busy" + std::to_string(i));
  EXPECT_THAT(std::vector(signer_.asked.begin() + 8, signer_.asked.end()),
              ElementsAre("now", "warmup", "background"));
}

TEST_F(CertManagerTest, ARealTimeRequestLiftsAQueuedWarmup) {
  for (int i = 0; i < 8; ++i) fetch("busy" + std::to_string(i));
  fetch("first", Priority::kWarmup);
  now_ += 1ms;
  fetch("second", Priority::kWarmup);
  fetch("second", Priority::kRealTime);
  fetch("second", Priority::kBackground);  // never lowers
  for (int i = 0; i < 3; ++i) answer("busy" + std::to_string(i));
  EXPECT_THAT(std::vector(signer_.asked.begin() + 8, signer_.asked.end()),
              ElementsAre("second", "first"));
}

TEST_F(CertManagerTest, RefreshesAtHalfOfTheValidity) {
  std::vector<tls::CredentialPtr> updates;
  manager_.on_update([&](const state::Identity& identity, const tls::CredentialPtr& credential) {
    EXPECT_EQ(identity, id("a"));
    updates.push_back(credential);
  });
  fetch("a");
  answer("a");
  // From 2 minutes ago to in 24 hours.
  EXPECT_EQ(until_wakeup(), (24h - 2min) / 2);
  advance((24h - 2min) / 2 - 1s);
  EXPECT_EQ(signer_.asked.size(), 1U);
  advance(1s);
  EXPECT_EQ(signer_.asked.size(), 2U);
  // The old one serves meanwhile.
  fetch("a");
  EXPECT_EQ(*answers_["a"].back(), updates.at(0));
  answer("a");
  fetch("a");
  ASSERT_EQ(updates.size(), 2U);
  EXPECT_EQ(*answers_["a"].back(), updates[1]);
  EXPECT_NE(updates[0], updates[1]);
  EXPECT_EQ(until_wakeup(), (24h - 2min) / 2);
}

TEST_F(CertManagerTest, ManyRefreshesComeInTheOrderTheyAreDue) {
  for (const auto* name : {"a", "b", "c"}) {
    fetch(name);
    answer(name);
    advance(1min);
  }
  signer_.asked.clear();
  advance(24h);
  EXPECT_THAT(signer_.asked, ElementsAre("a", "b", "c"));
}

TEST_F(CertManagerTest, AHalfLifeThatIsOverDoesNotSpin) {
  signer_.instantly = [this](const state::Identity& identity) {
    return Result<tls::CredentialPtr>(certificate(identity.service_account, -10min, 1min));
  };
  fetch("a");
  EXPECT_EQ(signer_.asked.size(), 1U);
  EXPECT_EQ(until_wakeup(), 10s);
  signer_.instantly = [this](const state::Identity& identity) {
    return Result<tls::CredentialPtr>(certificate(identity.service_account, -10min, -1min));
  };
  fetch("expired");
  EXPECT_EQ(until_wakeup(), 10s);
  signer_.instantly = [this](const state::Identity& identity) {
    return Result<tls::CredentialPtr>(certificate(identity.service_account, -10min, 1s));
  };
  fetch("brief");
  EXPECT_EQ(until_wakeup(), 1s);
  EXPECT_EQ(signer_.asked.size(), 3U);
}

TEST_F(CertManagerTest, FailureIsRememberedUntilTheRetry) {
  fetch("a");
  signer_.answer_next(broken());
  ASSERT_FALSE(answers_["a"].at(0));
  EXPECT_THAT(answers_["a"][0].error().message(), HasSubstr("signer is broken"));
  EXPECT_EQ(state_of("a"), "Unavailable: signer is broken");
  fetch("a");
  EXPECT_FALSE(answers_["a"].at(1));
  EXPECT_EQ(signer_.asked.size(), 1U);
  EXPECT_EQ(until_wakeup(), 1s);
  advance(999ms);
  EXPECT_EQ(signer_.asked.size(), 1U);
  advance(1ms);
  EXPECT_EQ(signer_.asked.size(), 2U);
  // While the retry runs the error still stands.
  fetch("a");
  EXPECT_FALSE(answers_["a"].at(2));
  answer("a");
  fetch("a");
  EXPECT_TRUE(answers_["a"].at(3));
  EXPECT_EQ(state_of("a"), "Available");
}

TEST_F(CertManagerTest, BackOffDoublesToALimitAndSuccessResetsIt) {
  fetch("a");
  for (const int expected : {1, 2, 4, 8, 16, 32, 64, 128, 150, 150}) {
    signer_.answer_next(broken());
    EXPECT_EQ(until_wakeup(), std::chrono::seconds(expected));
    advance(until_wakeup());
  }
  answer("a");
  advance(until_wakeup());
  signer_.answer_next(broken());
  EXPECT_EQ(until_wakeup(), 1s);
}

TEST_F(CertManagerTest, BackOffIsJitteredByAFifth) {
  jitter_ = 1;
  fetch("a");
  signer_.answer_next(broken());
  EXPECT_EQ(until_wakeup(), 1200ms);
  advance(until_wakeup());
  jitter_ = -1;
  signer_.answer_next(broken());
  // The nominal interval doubles, not the jittered one.
  EXPECT_EQ(until_wakeup(), 1600ms);
  jitter_ = 1;
  for (int i = 0; i < 10; ++i) {
    advance(until_wakeup());
    signer_.answer_next(broken());
  }
  EXPECT_EQ(until_wakeup(), 150s);
}

TEST_F(CertManagerTest, BackOffIsPerIdentity) {
  fetch("a");
  signer_.answer_next(broken());
  advance(1s);
  signer_.answer_next(broken());
  fetch("b");
  signer_.answer_next(broken());
  EXPECT_EQ(until_wakeup(), 1s);
}

TEST_F(CertManagerTest, AValidCertificateOutlivesFailedRefreshes) {
  fetch("a");
  signer_.answer_next(certificate("a", 0s, 100s));
  advance(50s);
  signer_.answer_next(broken());
  EXPECT_EQ(state_of("a"), "Available");
  fetch("a");
  EXPECT_TRUE(answers_["a"].back());
  for (int i = 0; i < 5; ++i) {  // 1 + 2 + 4 + 8 + 16 = 31 s
    advance(until_wakeup());
    signer_.answer_next(broken());
    EXPECT_EQ(state_of("a"), "Available");
  }
  // The next retry is at the expiry, before the back-off of 32 s is over; then there is nothing to
  // keep.
  EXPECT_EQ(until_wakeup(), 19s);
  advance(19s);
  signer_.answer_next(broken());
  EXPECT_EQ(state_of("a"), "Unavailable: signer is broken");
  fetch("a");
  EXPECT_FALSE(answers_["a"].back());
  EXPECT_EQ(manager_.entries().at(0).credential, nullptr);
}

TEST_F(CertManagerTest, ForgetTellsWhoWaits) {
  fetch("a");
  manager_.forget(id("a"));
  ASSERT_EQ(answers_["a"].size(), 1U);
  EXPECT_EQ(answers_["a"][0].error().message(), "the identity is no longer needed");
  EXPECT_TRUE(manager_.entries().empty());
  // The result that comes now is dropped.
  int updates = 0;
  manager_.on_update([&](const auto&, const auto&) { ++updates; });
  answer("a");
  EXPECT_EQ(updates, 0);
  EXPECT_TRUE(manager_.entries().empty());
  EXPECT_EQ(manager_.next_wakeup(), kNever);
}

TEST_F(CertManagerTest, ForgetDropsWhatIsQueued) {
  fetch("a");
  answer("a");
  manager_.forget(id("a"));
  manager_.forget(id("a"));
  manager_.forget(id("never seen"));
  EXPECT_EQ(manager_.next_wakeup(), kNever);
  for (int i = 0; i < 8; ++i) fetch("busy" + std::to_string(i));
  fetch("b");
  manager_.forget(id("b"));
  for (int i = 0; i < 8; ++i) answer("busy" + std::to_string(i));
  EXPECT_EQ(signer_.asked.size(), 9U);
}

TEST_F(CertManagerTest, ARunningRequestServesWhoAsksAgain) {
  fetch("a");
  manager_.forget(id("a"));
  fetch("a");
  EXPECT_EQ(signer_.asked.size(), 1U);
  EXPECT_EQ(state_of("a"), "Initializing");
  answer("a");
  ASSERT_EQ(answers_["a"].size(), 2U);
  EXPECT_TRUE(answers_["a"][1]);
}

TEST_F(CertManagerTest, ForgottenRequestsStillCountAsRunning) {
  for (int i = 0; i < 8; ++i) fetch("busy" + std::to_string(i));
  for (int i = 0; i < 8; ++i) manager_.forget(id("busy" + std::to_string(i)));
  fetch("a");
  EXPECT_EQ(signer_.asked.size(), 8U);
  answer("busy0");
  EXPECT_EQ(signer_.asked.size(), 9U);
}

TEST_F(CertManagerTest, CallbacksMayCallTheManager) {
  signer_.instantly = [this](const state::Identity& identity) {
    return Result<tls::CredentialPtr>(certificate(identity.service_account));
  };
  manager_.on_update([this](const state::Identity& identity, const auto&) {
    if (identity == id("a")) manager_.forget(identity);
  });
  manager_.fetch(id("a"), Priority::kRealTime, [this](Result<tls::CredentialPtr> result) {
    EXPECT_TRUE(result);
    fetch("b");
    manager_.forget(id("b"));
    fetch("c");
  });
  manager_.poll();
  EXPECT_EQ(answers_["b"].size(), 1U);
  ASSERT_EQ(answers_["c"].size(), 1U);
  EXPECT_TRUE(answers_["c"][0]);
  EXPECT_EQ(manager_.entries().size(), 1U);
}

TEST_F(CertManagerTest, EntriesAreSorted) {
  for (const auto* name : {"c", "a", "b"}) fetch(name);
  std::vector<std::string> names;
  for (const auto& entry : manager_.entries()) names.push_back(entry.identity.service_account);
  EXPECT_THAT(names, ElementsAre("a", "b", "c"));
}

TEST_F(CertManagerTest, ManyIdentitiesManyTimes) {
  const auto shared = certificate("any");
  signer_.instantly = [&](const state::Identity&) { return Result<tls::CredentialPtr>(shared); };
  for (int round = 0; round < 8; ++round) {
    for (int i = 0; i < 100; ++i) fetch("sa" + std::to_string(i));
  }
  manager_.poll();
  EXPECT_EQ(manager_.entries().size(), 100U);
  EXPECT_EQ(signer_.asked.size(), 100U);
  for (const auto& [name, results] : answers_) EXPECT_EQ(results.size(), 8U) << name;
}

// With a signer that answers at once, the queue is worked off in a loop, not by calls within calls.
TEST_F(CertManagerTest, ALongQueueDoesNotNest) {
  constexpr size_t kMany = 50000;
  for (int i = 0; i < 8; ++i) fetch("busy" + std::to_string(i));
  for (size_t i = 0; i < kMany; ++i) fetch("sa" + std::to_string(i));
  EXPECT_EQ(signer_.asked.size(), 8U);
  const auto shared = certificate("any");
  signer_.instantly = [&](const state::Identity&) { return Result<tls::CredentialPtr>(shared); };
  signer_.answer_next(shared);
  EXPECT_EQ(signer_.asked.size(), 8U + kMany);
}

TEST(CertManagerLifetime, TheSignerMayAnswerAfterItsEnd) {
  test::FakeSigner signer;
  int answers = 0;
  {
    CertManager manager(signer,
                        {[] { return Time(); }, [] { return WallTime(); }, [] { return 0.0; }});
    manager.fetch(id("a"), Priority::kRealTime, [&](Result<tls::CredentialPtr> result) {
      EXPECT_FALSE(result);
      ++answers;
    });
  }
  EXPECT_EQ(answers, 1);
  signer.answer_next(invalid("too late"));
  EXPECT_EQ(answers, 1);
}

}  // namespace
}  // namespace culvert::ca
