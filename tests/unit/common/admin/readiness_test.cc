#include "common/admin/readiness.h"

#include "common/base/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

namespace culvert::admin {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(Readiness, IsReadyWithoutTasks) { EXPECT_THAT(Readiness().pending(), IsEmpty()); }

TEST(Readiness, NamesWhatIsPendingInOrder) {
  Readiness readiness;
  auto state = readiness.register_task("state manager");
  auto proxy = readiness.register_task("proxy");
  EXPECT_THAT(readiness.pending(), ElementsAre("proxy", "state manager"));
  const log::Capture capture;
  state.done();
  EXPECT_THAT(readiness.pending(), ElementsAre("proxy"));
  proxy.done();
  EXPECT_THAT(readiness.pending(), IsEmpty());
  EXPECT_THAT(capture.lines(), ElementsAre(HasSubstr("Task 'state manager' complete ("),
                                           ::testing::AllOf(HasSubstr("Task 'proxy' complete ("),
                                                            HasSubstr("), marking server ready"))));
  EXPECT_THAT(capture.lines()[0], HasSubstr("), still awaiting 1 tasks"));
}

TEST(Readiness, DoneCountsOnce) {
  Readiness readiness;
  auto first = readiness.register_task("a");
  auto second = readiness.register_task("a");
  first.done();
  first.done();
  EXPECT_FALSE(first);
  EXPECT_THAT(readiness.pending(), ElementsAre("a"));
  second.done();
}

TEST(Readiness, ATokenThatIsLostStaysPending) {
  Readiness readiness;
  {
    const auto lost = readiness.register_task("workload proxy manager");
  }
  EXPECT_THAT(readiness.pending(), ElementsAre("workload proxy manager"));
}

TEST(Readiness, TokensMoveAndMayOutliveTheSet) {
  Readiness::Token token;
  EXPECT_FALSE(token);
  token.done();
  {
    Readiness readiness;
    auto original = readiness.register_task("a");
    token = std::move(original);
    EXPECT_FALSE(original);  // NOLINT(bugprone-use-after-move): empty is the promise
    EXPECT_TRUE(token);
  }
  token.done();
}

TEST(Readiness, MayBeUsedByThreads) {
  Readiness readiness;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&readiness] {
      const log::Capture quiet;
      for (int n = 0; n < 200; ++n) {
        auto token = readiness.register_task("task");
        EXPECT_FALSE(readiness.pending().empty());
        token.done();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(readiness.pending(), IsEmpty());
}

}  // namespace
}  // namespace culvert::admin
