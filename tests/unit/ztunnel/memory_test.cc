#include "ztunnel/memory.h"

#include "common/metrics/openmetrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace culvert::ztunnel {
namespace {

using testing::HasSubstr;
using testing::Not;

const PodInfo kWeb{.name = "web-1", .namespace_ = "demo", .service_account = "web"};
const PodInfo kDb{.name = "db-1", .namespace_ = "demo", .service_account = "db"};

class MemoryTest : public testing::Test {
 protected:
  MemoryTest() { memory_.register_metrics(registry_); }
  std::string metrics() { return metrics::render_openmetrics(registry_); }
  std::string shed(const MemoryAccount& account, Shed what) {
    const auto why = memory_.shed(account, what);
    return why ? why->message() : "";
  }

  Memory memory_{{.budget = 4U << 20, .workload_budget = 2U << 20}};
  metrics::Registry registry_;
};

TEST_F(MemoryTest, APodHasOneAccountAsLongAsSomebodyHasIt) {
  auto first = memory_.workload(kWeb);
  EXPECT_EQ(memory_.workload(kWeb), first);
  EXPECT_NE(memory_.workload(kDb), first);
  EXPECT_EQ(first->budget(), 2U << 20);
  ASSERT_EQ(first->try_take(5, 5), nullptr);
  EXPECT_EQ(memory_.process().held(), 5U);
  first->give_back(5);
  ASSERT_EQ(first->try_take(1000, 1000), nullptr);
  EXPECT_THAT(metrics(), HasSubstr("\nculvert_workload_memory_held_bytes{namespace=\"demo\","
                                   "pod=\"web-1\"} 1000\n"));
  first->give_back(1000);
  EXPECT_NE(first->try_take(3U << 20, 3U << 20), nullptr);
  EXPECT_THAT(metrics(), HasSubstr("\nculvert_workload_memory_resets_total{namespace=\"demo\","
                                   "pod=\"web-1\"} 1\n"));
  first.reset();
  EXPECT_THAT(metrics(), Not(HasSubstr("web-1")));
  EXPECT_EQ(memory_.workload(kWeb)->held(), 0U);
}

TEST_F(MemoryTest, OnlyTheFullPodIsRefused) {
  const auto web = memory_.workload(kWeb), db = memory_.workload(kDb);
  HeldBytes held(*web);
  ASSERT_TRUE(held.resize((2U << 20) / 4 * 3));
  EXPECT_EQ(shed(*web, Shed::kConnection), "");
  ASSERT_TRUE(held.resize((2U << 20) / 4 * 3 + 1));
  const std::string why = shed(*web, Shed::kConnection);
  EXPECT_THAT(why,
              HasSubstr("memory budget of workload demo/web-1 is used up: 1572865 of 2097152"));
  EXPECT_THAT(why, HasSubstr("; find who of its connections does not read, or raise "
                             "CULVERT_WORKLOAD_MEMORY_BUDGET"));
  EXPECT_EQ(shed(*db, Shed::kTunnel), "");
  EXPECT_THAT(metrics(),
              HasSubstr("\nculvert_shed_total{scope=\"workload\",what=\"connection\"} 1\n"));
  held.release();
  EXPECT_EQ(shed(*web, Shed::kConnection), "");
}

// Pods that have stalled are not to keep a whole node from working.
TEST_F(MemoryTest, AFullProcessRefusesThoseWhoFillIt) {
  const auto web = memory_.workload(kWeb), db = memory_.workload(kDb);
  HeldBytes others(memory_.process()), webs(*web), dbs(*db);
  ASSERT_TRUE(others.resize((4U << 20) / 4 * 3));
  ASSERT_TRUE(webs.resize((4U << 20) / 16 + 1));
  ASSERT_TRUE(dbs.resize(1));
  EXPECT_THAT(shed(*web, Shed::kStream), HasSubstr("budget of the process is used up"));
  EXPECT_EQ(shed(*db, Shed::kStream), "");
  webs.release();
  EXPECT_EQ(shed(*web, Shed::kStream), "");
}

TEST_F(MemoryTest, AnAllButUsedUpProcessAndAFullMachineRefuseAll) {
  const auto web = memory_.workload(kWeb), db = memory_.workload(kDb);
  constexpr size_t kMost = (4U << 20) / 16 * 15;
  ASSERT_EQ(memory_.process().try_take(kMost, 1), nullptr);
  EXPECT_EQ(shed(*db, Shed::kStream), "");
  ASSERT_EQ(memory_.process().try_take(1, 1), nullptr);
  EXPECT_THAT(shed(*db, Shed::kStream), HasSubstr("raise CULVERT_MEMORY_BUDGET"));
  memory_.process().give_back(kMost + 1);
  memory_.process().set_pressure(true);
  EXPECT_THAT(shed(*db, Shed::kTunnel), HasSubstr("the memory that the process may use is nearly "
                                                  "gone; raise the memory limit"));
  const std::string text = metrics();
  for (const char* series :
       {"{scope=\"process\",what=\"stream\"} 1\n", "{scope=\"memory\",what=\"tunnel\"} 1\n",
        "{scope=\"workload\",what=\"connection\"} 0\n"})
    EXPECT_THAT(text, HasSubstr(std::string("\nculvert_shed_total") + series));
}

}  // namespace
}  // namespace culvert::ztunnel
