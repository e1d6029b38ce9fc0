#include "ztunnel/inpod/state_manager.h"

#include "ztunnel/inpod/errors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "fake_proxies.h"

namespace culvert::ztunnel::inpod {
namespace {

using std::chrono::milliseconds, std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// "" acknowledged, "pending" no answer yet, else the error.
struct Answer {
  std::string text = "pending";
  std::error_code code;
  int count = 0;
};

class StateManagerTest : public ::testing::Test {
 protected:
  std::shared_ptr<Answer> handle(Request request) {
    auto answer = std::make_shared<Answer>();
    manager.handle(std::move(request), [answer](Result<> result) {
      answer->text = result ? "" : result.error().context;
      answer->code = result ? std::error_code() : result.error().code;
      ++answer->count;
    });
    return answer;
  }
  std::string call(Request request) { return handle(std::move(request))->text; }
  std::shared_ptr<Answer> add(const std::string& uid, int netns = 0) {
    return handle(Add{uid, PodInfo{uid, "demo", "sa"}, namespaces.fd(netns)});
  }
  void pass(Duration time) {
    now += time;
    manager.poll();
  }

  Namespaces namespaces;
  FakeProxies proxies;
  Time now{std::chrono::hours(1)};
  int changes = 0;
  StateManager manager{proxies, [this] { return now; }, [this] { ++changes; }};
};

TEST_F(StateManagerTest, SnapshotOfOnePod) {
  manager.begin_connection();
  EXPECT_FALSE(manager.ready());
  EXPECT_EQ(add("u0")->text, "");
  EXPECT_FALSE(manager.ready()) << "no snapshot yet";
  EXPECT_EQ(call(SnapshotSent{}), "");
  EXPECT_TRUE(manager.ready());
  EXPECT_THAT(proxies.log, ElementsAre("start u0"));
  EXPECT_EQ(manager.counts(), (StateManager::Counts{1, 0, 1, 0}));
  EXPECT_GT(changes, 0);
}

TEST_F(StateManagerTest, AddIsIdempotentByNamespaceWhateverTheInfoSays) {
  add("u0", 0);
  EXPECT_EQ(add("u0", 0)->text, "");
  EXPECT_EQ(call(Add{"u0", PodInfo{"other", "x", "y"}, namespaces.fd(0)}), "");
  EXPECT_EQ(proxies.log.size(), 1U);
  EXPECT_EQ(manager.counts().started, 1U);
  EXPECT_EQ(manager.view().front().info.name, "u0");
}

TEST_F(StateManagerTest, ANewNamespaceReplacesTheProxyAndClosesTheOldAtOnce) {
  add("u0", 0);
  EXPECT_EQ(add("u0", 1)->text, "");
  EXPECT_THAT(proxies.log, ElementsAre("start u0", "kill u0", "start u0"));
  EXPECT_EQ(manager.counts(), (StateManager::Counts{1, 0, 2, 1}));
}

TEST_F(StateManagerTest, ABadPodIsPendingAndTriedAgainWhileOthersGoOn) {
  manager.begin_connection();
  proxies.fail["bad"] = "address in use";
  const auto bad = add("bad", 0);
  EXPECT_THAT(bad->text, HasSubstr("address in use"));
  EXPECT_EQ(bad->code, Errc::kStartProxy);
  EXPECT_EQ(add("good", 1)->text, "");
  EXPECT_EQ(call(SnapshotSent{}), "");
  EXPECT_FALSE(manager.ready());
  EXPECT_EQ(manager.counts(), (StateManager::Counts{1, 1, 1, 0}));
  EXPECT_EQ(manager.view()[0].state, StateManager::PodState::kPending);
  EXPECT_EQ(manager.view()[1].state, StateManager::PodState::kUp);

  EXPECT_EQ(manager.next_wakeup(), now + seconds(5));
  pass(seconds(4));
  EXPECT_EQ(proxies.starts("bad"), 1) << "not before its time";
  pass(seconds(1));
  EXPECT_EQ(proxies.starts("bad"), 2);
  EXPECT_FALSE(manager.ready());
  proxies.fail.clear();
  pass(seconds(5));
  EXPECT_TRUE(manager.ready());
  EXPECT_EQ(manager.next_wakeup(), kNever);
  EXPECT_EQ(manager.counts(), (StateManager::Counts{2, 0, 2, 0}));
}

TEST_F(StateManagerTest, TheRetryTimerIsNotMovedByLaterFailures) {
  proxies.fail = {{"a", "x"}, {"b", "x"}};
  add("a", 0);
  const Time due = manager.next_wakeup();
  now += seconds(3);
  add("b", 1);
  EXPECT_EQ(manager.next_wakeup(), due);
}

TEST_F(StateManagerTest, AddWhilePendingWithAnotherNamespaceWins) {
  proxies.fail["u0"] = "x";
  add("u0", 0);
  proxies.fail.clear();
  EXPECT_EQ(add("u0", 1)->text, "");
  EXPECT_EQ(manager.counts(), (StateManager::Counts{1, 0, 1, 0}));
  pass(seconds(10));
  EXPECT_EQ(proxies.starts("u0"), 2);
  EXPECT_EQ(proxies.running.at("u0"), namespaces.inode(1));
}

TEST_F(StateManagerTest, APendingPodThatIsDeletedIsNotTriedAgain) {
  proxies.fail["u0"] = "x";
  add("u0");
  call(SnapshotSent{});
  EXPECT_EQ(call(Del{"u0"}), "");
  EXPECT_TRUE(manager.ready());
  EXPECT_EQ(manager.next_wakeup(), kNever);
  EXPECT_THAT(manager.view(), IsEmpty());
}

TEST_F(StateManagerTest, DelStopsAtOnceAndAddStartsAgain) {
  call(SnapshotSent{});
  add("u0", 0);
  EXPECT_EQ(call(Del{"u0"}), "");
  EXPECT_EQ(add("u0", 0)->text, "");
  EXPECT_THAT(proxies.log, ElementsAre("start u0", "kill u0", "start u0"));
}

TEST_F(StateManagerTest, DelOfAnUnknownPodSucceeds) {
  EXPECT_EQ(call(Del{"nosuch"}), "");
  call(SnapshotSent{});
  EXPECT_EQ(call(Del{"nosuch"}), "");
  EXPECT_EQ(call(Del{""}), "");
}

TEST_F(StateManagerTest, KeepPreservesAndWhatTheSnapshotLeavesOutIsStopped) {
  add("kept", 0);
  add("readded", 1);
  add("gone", 2);
  call(SnapshotSent{});
  manager.begin_connection();
  EXPECT_FALSE(manager.ready());
  EXPECT_EQ(call(Keep{"kept"}), "");
  EXPECT_EQ(call(Keep{"unknown"}), "") << "accepted silently";
  EXPECT_EQ(add("readded", 1)->text, "");
  EXPECT_EQ(proxies.stops(), 0) << "nobody notices before the snapshot is complete";
  EXPECT_EQ(call(SnapshotSent{}), "");
  EXPECT_THAT(proxies.log, ElementsAre("start kept", "start readded", "start gone", "kill gone"));
  EXPECT_TRUE(manager.ready());
}

TEST_F(StateManagerTest, DelBeforeTheSnapshotLeavesTheRunningProxyToTheSnapshot) {
  add("u0");
  call(SnapshotSent{});
  manager.begin_connection();
  call(Keep{"u0"});
  EXPECT_EQ(call(Del{"u0"}), "");
  EXPECT_EQ(proxies.stops(), 0);
  call(SnapshotSent{});
  EXPECT_EQ(proxies.stops(), 1);
}

TEST_F(StateManagerTest, ANewConnectionForgetsPendingPods) {
  proxies.fail["u0"] = "x";
  add("u0");
  manager.begin_connection();
  EXPECT_EQ(manager.counts().pending, 0);
  EXPECT_EQ(manager.next_wakeup(), kNever);
}

TEST_F(StateManagerTest, BreachesOfTheProtocol) {
  const auto breach = [this](Request request) {
    const auto answer = handle(std::move(request));
    EXPECT_EQ(answer->code, Errc::kProcessMessage);
    return answer->text;
  };
  EXPECT_EQ(breach(Add{"u0", std::nullopt, namespaces.fd(0)}), "no workload info");
  call(SnapshotSent{});
  EXPECT_EQ(breach(SnapshotSent{}), "pod snapshot received already");
  EXPECT_EQ(breach(Keep{"u0"}), "pod keep received after snapshot");
  EXPECT_THAT(proxies.log, IsEmpty());
}

TEST_F(StateManagerTest, ADescriptorThatCannotBeLookedAtIsNotKept) {
  const auto answer = handle(Add{"u0", PodInfo{}, net::Fd()});
  EXPECT_EQ(answer->code, Errc::kStartProxy);
  EXPECT_EQ(manager.counts().pending, 0);
}

TEST_F(StateManagerTest, TooManyPods) {
  proxies.quiet = true;
  for (size_t i = 0; i < StateManager::kMaxPods; ++i) call(Keep{std::to_string(i)});
  EXPECT_EQ(call(Keep{"7"}), "");
  EXPECT_EQ(handle(Keep{"more"})->code, Errc::kProcessMessage);
  EXPECT_EQ(add("more")->code, Errc::kProcessMessage);
}

// ---- starts that take time

TEST_F(StateManagerTest, ASlowStartIsAnsweredInTimeAndCountsWhenItSucceedsAfterAll) {
  proxies.hold = true;
  const auto answer = add("u0");
  call(SnapshotSent{});
  EXPECT_EQ(manager.next_wakeup(), now + seconds(4));
  pass(milliseconds(3999));
  EXPECT_EQ(answer->text, "pending");
  pass(milliseconds(1));
  EXPECT_EQ(answer->text, "timed out");
  EXPECT_EQ(answer->code, Errc::kStartProxy);
  EXPECT_FALSE(manager.ready());
  pass(seconds(5));
  EXPECT_EQ(proxies.starts("u0"), 1) << "never two starts of one pod at a time";
  proxies.finish("u0");
  EXPECT_TRUE(manager.ready());
  EXPECT_EQ(answer->count, 1);
  EXPECT_EQ(manager.counts(), (StateManager::Counts{1, 0, 1, 0}));
}

TEST_F(StateManagerTest, DelDuringAStartStopsItWhenItIsUp) {
  proxies.hold = true;
  const auto answer = add("u0");
  call(SnapshotSent{});
  EXPECT_EQ(call(Del{"u0"}), "");
  EXPECT_THAT(manager.view(), IsEmpty());
  proxies.finish("u0");
  EXPECT_THAT(answer->text, HasSubstr("removed meanwhile"));
  EXPECT_THAT(proxies.log, ElementsAre("start u0", "kill u0"));
  EXPECT_EQ(manager.counts(), (StateManager::Counts{0, 0, 1, 1}));
}

TEST_F(StateManagerTest, AnotherNamespaceDuringAStartComesAfterIt) {
  proxies.hold = true;
  const auto first = add("u0", 0);
  const auto second = add("u0", 1);
  EXPECT_THAT(first->text, HasSubstr("added again"));
  proxies.finish("u0");
  EXPECT_EQ(second->text, "pending");
  proxies.finish("u0");
  EXPECT_EQ(second->text, "");
  EXPECT_THAT(proxies.log, ElementsAre("start u0", "kill u0", "start u0"));
  EXPECT_EQ(proxies.running.at("u0"), namespaces.inode(1));
}

TEST_F(StateManagerTest, AFailedStartFollowedByAnotherNamespaceIsNotPending) {
  proxies.hold = true;
  add("u0", 0);
  const auto second = add("u0", 1);
  proxies.finish("u0", "broken");
  proxies.finish("u0");
  EXPECT_EQ(second->text, "");
  EXPECT_EQ(manager.counts(), (StateManager::Counts{1, 0, 1, 0}));
}

TEST_F(StateManagerTest, AStartOfTheLastConnectionIsReconciledByTheSnapshot) {
  proxies.hold = true;
  const auto answer = add("u0");
  manager.begin_connection();
  call(SnapshotSent{});
  proxies.finish("u0");
  EXPECT_EQ(answer->count, 0) << "its connection is gone";
  EXPECT_THAT(proxies.log, ElementsAre("start u0", "kill u0"));
  EXPECT_TRUE(manager.ready());
}

// ---- the end

TEST_F(StateManagerTest, DrainStopsGracefullyAndWaitsForAll) {
  call(SnapshotSent{});
  add("a", 0);
  add("b", 1);
  proxies.hold_stops = true;
  call(Del{"a"});
  int drained = 0;
  manager.drain([&] { ++drained; });
  EXPECT_THAT(proxies.log, ElementsAre("start a", "start b", "kill a", "drain b"));
  EXPECT_THAT(manager.view(), ::testing::SizeIs(1)) << "b still drains";
  proxies.finish_stop("b");
  EXPECT_EQ(drained, 0);
  proxies.finish_stop("a");
  EXPECT_EQ(drained, 1);
  EXPECT_EQ(manager.counts(), (StateManager::Counts{0, 0, 2, 2}));
}

TEST_F(StateManagerTest, RequestsDuringTheDrainAreRefused) {
  add("a");
  proxies.hold_stops = true;
  manager.drain([] {});
  EXPECT_EQ(add("b", 1)->text, "ztunnel is shutting down");
  EXPECT_EQ(handle(Del{"a"})->code, Errc::kStartProxy);
  proxies.finish_stop("a");
}

TEST_F(StateManagerTest, AStartDuringTheDrainIsAnsweredAndStoppedAgain) {
  proxies.hold = true;
  const auto answer = add("a");
  int drained = 0;
  manager.drain([&] { ++drained; });
  EXPECT_EQ(drained, 0);
  proxies.finish("a");
  EXPECT_EQ(answer->count, 1);
  EXPECT_EQ(drained, 1);
  EXPECT_THAT(proxies.log, ElementsAre("start a", "drain a"));
}

TEST_F(StateManagerTest, AnEmptyOneIsDrainedAtOnce) {
  int drained = 0;
  manager.drain([&] { ++drained; });
  EXPECT_EQ(drained, 1);
}

TEST(StateManagerEnd, LateCallbacksAreIgnored) {
  Namespaces namespaces;
  FakeProxies proxies;
  proxies.hold = true;
  {
    StateManager manager(proxies, [] { return Time{}; }, [] {});
    manager.handle(Add{"a", PodInfo{}, namespaces.fd(0)}, [](const Result<>&) {});
  }
  proxies.finish("a");
}

}  // namespace
}  // namespace culvert::ztunnel::inpod
