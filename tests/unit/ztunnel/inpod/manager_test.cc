#include "ztunnel/inpod/manager.h"

#include "proto/zds.pb.h"
#include "tests/support/loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent.h"
#include "fake_proxies.h"

namespace culvert::ztunnel::inpod {
namespace {

namespace zds = istio::workload::zds;
using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string add(const std::string& uid, bool info = true) {
  zds::WorkloadRequest message;
  message.mutable_add()->set_uid(uid);
  if (info) message.mutable_add()->mutable_workload_info()->set_name(uid);
  return message.SerializeAsString();
}
std::string keep(const std::string& uid) {
  zds::WorkloadRequest message;
  message.mutable_keep()->set_uid(uid);
  return message.SerializeAsString();
}
std::string del(const std::string& uid) {
  zds::WorkloadRequest message;
  message.mutable_del()->set_uid(uid);
  return message.SerializeAsString();
}
const std::string kSnapshotSent("\x1a\x00", 2);

class ManagerTest : public ::testing::Test {
 protected:
  ManagerTest() {
    options.path = agent.path();
    options.reconnect_delay = milliseconds(1);
    options.connect_delay = milliseconds(1);
  }
  void start() {
    WorkloadManager::Callbacks callbacks;
    callbacks.ready = [this](bool ready) { readiness.push_back(ready); };
    callbacks.counts = [this](const StateManager::Counts& now) { counts = now; };
    manager.emplace(reactor, proxies, options, std::move(callbacks));
    manager->start();
  }
  // Accepts the next connection and takes its hello.
  void meet() {
    test::run_until(reactor, [this] { return agent.accept(); });
    EXPECT_EQ(packet(), encode_hello());
  }
  std::string packet() {
    std::optional<std::string> received;
    test::run_until(reactor, [&] { return (received = agent.receive()).has_value(); });
    return received.value_or("nothing");
  }
  std::string answer() {
    zds::WorkloadResponse response;
    const std::string bytes = packet();
    EXPECT_FALSE(bytes.empty()) << "closed";
    EXPECT_TRUE(response.ParseFromString(bytes));
    return response.ack().error();
  }
  std::string call(const std::string& request, const std::vector<int>& fds = {}) {
    agent.send(request, fds);
    return answer();
  }
  std::string call_add(const std::string& uid, int netns) {
    const net::Fd fd = namespaces.fd(netns);
    return call(add(uid), {fd.get()});
  }
  void drain() {
    bool done = false;
    manager->drain([&] { done = true; });
    test::run_until(reactor, [&] { return done; });
  }

  net::Reactor reactor;
  Agent agent;
  Namespaces namespaces;
  FakeProxies proxies;
  WorkloadManager::Options options;
  std::vector<bool> readiness;
  StateManager::Counts counts;
  std::optional<WorkloadManager> manager;
};

TEST_F(ManagerTest, ASnapshotMakesReadyBeforeItsAnswer) {
  start();
  meet();
  EXPECT_EQ(call_add("u0", 0), "");
  EXPECT_FALSE(manager->ready());
  EXPECT_EQ(call(kSnapshotSent), "");
  EXPECT_TRUE(manager->ready());
  EXPECT_THAT(readiness, ElementsAre(true));
  EXPECT_EQ(counts, (StateManager::Counts{1, 0, 1, 0}));
  EXPECT_EQ(call(del("u0")), "");
  EXPECT_EQ(counts, (StateManager::Counts{0, 0, 1, 1}));
}

TEST_F(ManagerTest, AnswersComeInOrderEvenWhenTheFirstTakesLong) {
  proxies.hold = true;
  start();
  meet();
  const net::Fd fd = namespaces.fd(0);
  agent.send(add("slow"), {fd.get()});
  agent.send(keep("other"));
  agent.send(kSnapshotSent);
  test::run_until(reactor, [this] { return !proxies.log.empty(); });
  EXPECT_EQ(agent.receive(), std::nullopt);
  proxies.finish("slow", "broken");
  EXPECT_THAT(answer(), HasSubstr("failure to start proxy : "));
  EXPECT_EQ(answer(), "");
  EXPECT_EQ(answer(), "");
}

TEST_F(ManagerTest, AFailedStartKeepsTheConnectionAndIsTriedAgain) {
  options.timing.retry_interval = milliseconds(20);
  proxies.fail["bad"] = "address in use";
  start();
  meet();
  EXPECT_THAT(call_add("bad", 0), HasSubstr("address in use"));
  EXPECT_EQ(call_add("good", 1), "");
  EXPECT_EQ(call(kSnapshotSent), "");
  EXPECT_FALSE(manager->ready());
  proxies.fail.clear();
  test::run_until(reactor, [this] { return manager->ready(); });
  EXPECT_EQ(agent.receive(), std::nullopt) << "a retry is not answered";
}

TEST_F(ManagerTest, AStartThatHangsIsAnsweredInTime) {
  options.timing.start_limit = milliseconds(20);
  proxies.hold = true;
  start();
  meet();
  EXPECT_THAT(call_add("u0", 0), HasSubstr("timed out"));
  EXPECT_EQ(call(kSnapshotSent), "");
  proxies.finish("u0");
  EXPECT_TRUE(manager->ready());
}

TEST_F(ManagerTest, WhatIsNoRequestIsAnsweredAndTheConnectionMadeAnew) {
  start();
  for (const std::string& garbage : {std::string("\xff\xff"), std::string(2000, 'x'), add("u0"),
                                     std::string("GET / HTTP/1.1\r\n\r\n")}) {
    meet();
    EXPECT_THAT(call(garbage), HasSubstr("failure to read message : "));
    EXPECT_EQ(packet(), "") << "closed";
  }
  meet();
  EXPECT_EQ(call(kSnapshotSent), "");
}

TEST_F(ManagerTest, ABreachOfTheProtocolIsAnsweredAndRunningPodsGoOn) {
  start();
  meet();
  EXPECT_EQ(call_add("u0", 0), "");
  EXPECT_EQ(call(kSnapshotSent), "");
  EXPECT_EQ(call(kSnapshotSent), "failure to process message : pod snapshot received already");
  EXPECT_EQ(packet(), "");
  EXPECT_FALSE(manager->ready());
  meet();
  EXPECT_EQ(call(keep("u0")), "");
  EXPECT_EQ(call(kSnapshotSent), "");
  EXPECT_TRUE(manager->ready());
  EXPECT_THAT(proxies.log, ElementsAre("start u0"));
  EXPECT_THAT(readiness, ElementsAre(true, false, true));

  const net::Fd fd = namespaces.fd(1);
  EXPECT_EQ(call(add("u1", false), {fd.get()}), "failure to process message : no workload info");
  EXPECT_EQ(packet(), "");
}

TEST_F(ManagerTest, AnAgentThatRestartsIsFoundAgainAndItsSnapshotReconciled) {
  start();
  meet();
  call_add("stays", 0);
  call_add("goes", 1);
  call(kSnapshotSent);
  agent.stop_listening();
  agent.close();
  test::run_until(reactor, [this] { return !manager->ready(); });
  EXPECT_EQ(proxies.stops(), 0);
  agent.listen();
  meet();
  EXPECT_EQ(call_add("stays", 0), "");
  EXPECT_EQ(call_add("comes", 2), "");
  EXPECT_EQ(call(kSnapshotSent), "");
  EXPECT_THAT(proxies.log, ElementsAre("start stays", "start goes", "start comes", "kill goes"));
  EXPECT_TRUE(manager->ready());
}

TEST_F(ManagerTest, WhoClosesAtOnceIsNotCalledInABusyLoop) {
  options.reconnect_delay = milliseconds(20);
  start();
  const Time begin = Clock::now();
  for (int i = 0; i < 4; ++i) {
    meet();
    agent.close();
  }
  meet();
  EXPECT_GE(Clock::now() - begin, milliseconds(20 + 40 + 80 + 160));
}

TEST_F(ManagerTest, AConnectionThatLivedLongIsMadeAnewAtOnce) {
  options.stable_after = milliseconds(0);
  options.reconnect_delay = std::chrono::hours(1);
  start();
  meet();
  call(kSnapshotSent);
  agent.close();
  meet();
}

TEST_F(ManagerTest, DrainEndsAWaitForTheAgent) {
  options.connect_delay = std::chrono::hours(1);
  options.max_delay = std::chrono::hours(1);
  agent.stop_listening();
  start();
  drain();
  EXPECT_THAT(readiness, IsEmpty());
}

TEST_F(ManagerTest, DrainAnswersTheRequestUnderWayThenClosesAndStopsAll) {
  start();
  meet();
  call_add("a", 0);
  call(kSnapshotSent);
  proxies.hold = true;
  const net::Fd fd = namespaces.fd(1);
  agent.send(add("b"), {fd.get()});
  agent.send(del("a"));
  test::run_until(reactor, [this] { return proxies.log.size() == 2; });
  bool done = false;
  manager->drain([&] { done = true; });
  EXPECT_FALSE(manager->ready());
  proxies.finish("b");
  EXPECT_EQ(packet().substr(0, 1), "\x0a");
  // The Del that waits is for the next ztunnel; closing with unread packets is a reset.
  test::run_until(reactor, [&] { return done; });
  EXPECT_THAT(proxies.log, ElementsAre("start a", "start b", "drain a", "drain b"));
}

TEST_F(ManagerTest, DestroyedWithoutDrainItLeavesTheProxiesAlone) {
  start();
  meet();
  call_add("a", 0);
  call(kSnapshotSent);
  manager.reset();
  EXPECT_EQ(proxies.stops(), 0);
  EXPECT_THAT(readiness, ElementsAre(true)) << "a process that dies is not marked";
}

}  // namespace
}  // namespace culvert::ztunnel::inpod
