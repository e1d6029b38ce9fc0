#include "common/metrics/registry.h"

#include "common/base/log.h"
#include "common/metrics/process.h"
#include "common/metrics/shard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>

namespace culvert::metrics {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

FamilySpec counter_spec(std::string name, std::vector<std::string> labels = {}) {
  FamilySpec spec;
  spec.name = std::move(name);
  spec.help = "Help";
  spec.labels = std::move(labels);
  return spec;
}

TEST(Registry, SumsEqualLabelSetsOverShards) {
  Registry registry;
  const FamilyId family = registry.add(counter_spec("requests", {"code"}));
  Shard& a = registry.make_shard();
  Shard& b = registry.make_shard();
  a.counter(family, a.labels(family, {"200"})).add(3);
  a.counter(family, a.labels(family, {"500"})).add();
  b.counter(family, b.labels(family, {"200"})).add(4);

  const auto families = registry.collect();
  ASSERT_EQ(families.size(), 1U);
  ASSERT_EQ(families[0].samples.size(), 2U);
  EXPECT_EQ(families[0].samples[0].labels.text(), "code=\"200\"");
  EXPECT_EQ(families[0].samples[0].count, 7U);
  EXPECT_EQ(families[0].samples[1].count, 1U);
}

TEST(Registry, ACallbackGivesTheSamplesThereAreNow) {
  Registry registry;
  std::vector<Registry::Sample> now;
  registry.add_callback(counter_spec("shed", {"what"}), [&now] { return now; });
  EXPECT_TRUE(registry.collect().empty());
  const std::vector<std::string> names{"what"};
  const std::vector<std::string_view> values{"stream"};
  now.push_back({.labels = Labels::make(names, values), .count = 3});
  const auto families = registry.collect();
  ASSERT_EQ(families.size(), 1U);
  ASSERT_EQ(families[0].samples.size(), 1U);
  EXPECT_EQ(families[0].samples[0].labels.text(), "what=\"stream\"");
  EXPECT_EQ(families[0].samples[0].count, 3U);
}

TEST(Registry, GaugesOfSeveralThreadsAddUp) {
  Registry registry;
  FamilySpec spec = counter_spec("open");
  spec.type = Type::kGauge;
  const FamilyId family = registry.add(spec);
  Shard& a = registry.make_shard();
  Shard& b = registry.make_shard();
  a.gauge(family).add(5);
  b.gauge(family).sub(2);  // opened on one thread, closed on another
  EXPECT_EQ(registry.collect()[0].samples[0].gauge, 3);
  a.gauge(family).set(10);
  EXPECT_EQ(registry.collect()[0].samples[0].gauge, 8);
}

TEST(Registry, HistogramsCountIntoTheFirstBucketThatHolds) {
  Registry registry;
  FamilySpec spec = counter_spec("seconds");
  spec.type = Type::kHistogram;
  spec.buckets = {0.1, 1, 5};
  const FamilyId family = registry.add(spec);
  Shard& a = registry.make_shard();
  Shard& b = registry.make_shard();
  for (const double value : {0.05, 0.1, 0.5, 5.0, 6.0}) a.histogram(family).observe(value);
  b.histogram(family).observe(0.25);
  const auto sample = registry.collect()[0].samples[0];
  EXPECT_THAT(sample.buckets, ElementsAre(2, 2, 1, 1));
  EXPECT_DOUBLE_EQ(sample.sum, 11.9);
}

TEST(Registry, OnlyFamiliesWithoutLabelsAreThereBeforeTheirFirstSeries) {
  Registry registry;
  registry.add(counter_spec("with", {"label"}));
  registry.add(counter_spec("without"));
  registry.make_shard();
  const auto families = registry.collect();
  ASSERT_EQ(families.size(), 1U);
  EXPECT_EQ(families[0].spec->name, "without");
  EXPECT_EQ(families[0].samples[0].count, 0U);
}

TEST(Shard, ReferencesStayValidWhileSeriesAreAdded) {
  Registry registry;
  const FamilyId family = registry.add(counter_spec("n", {"i"}));
  Shard& shard = registry.make_shard();
  Counter& first = shard.counter(family, shard.labels(family, {"first"}));
  for (int i = 0; i < 5000; ++i) {
    shard.counter(family, shard.labels(family, {std::to_string(i)})).add();
  }
  first.add(9);
  EXPECT_EQ(&first, &shard.counter(family, shard.labels(family, {"first"})));
  EXPECT_EQ(registry.collect()[0].samples[0].count, 9U);
}

TEST(Shard, BeyondTheLimitSeriesAreCountedTogetherWithOneWarning) {
  Registry registry;
  FamilySpec spec = counter_spec("n", {"i", "j"});
  spec.max_series = 2;
  const FamilyId family = registry.add(spec);
  Shard& shard = registry.make_shard();
  const log::Capture capture;
  for (const char* value : {"a", "b", "c", "d", "a"}) {
    shard.counter(family, shard.labels(family, {value, "x"})).add();
  }
  const auto samples = registry.collect()[0].samples;
  ASSERT_EQ(samples.size(), 3U);
  EXPECT_EQ(samples[0].count, 2U);  // "a" is known and stays itself
  EXPECT_EQ(samples[2].labels.text(), "i=\"overflow\",j=\"overflow\"");
  EXPECT_EQ(samples[2].count, 2U);
  EXPECT_THAT(capture.lines(), ElementsAre(HasSubstr("n: 2 series on one thread")));
}

TEST(Shard, LabelsWithFewerValuesLeaveTheLastNamesOut) {
  Registry registry;
  const FamilyId family = registry.add(counter_spec("n", {"a", "b", "c"}));
  Shard& shard = registry.make_shard();
  EXPECT_EQ(shard.labels(family, {"1", "2"}).text(), "a=\"1\",b=\"2\"");
  EXPECT_EQ(shard.labels(family, {}), Labels());
}

TEST(Labels, ReplaceOneValue) {
  const std::vector<std::string> names = {"flags", "x", "response_flags"};
  const std::vector<std::string_view> values = {"a\\\"", ",flags=\"b\"", "-"};
  const Labels labels = Labels::make(names, values);
  EXPECT_EQ(labels.with("response_flags", "DENY").text(),
            R"(flags="a\\\"",x=",flags=\"b\"",response_flags="DENY")");
  EXPECT_EQ(labels.with("flags", "\n").text(), R"(flags="\n",x=",flags=\"b\"",response_flags="-")");
  EXPECT_EQ(labels.with("response_flags", "-").text().data(), labels.text().data());
  EXPECT_EQ(labels.with("none", "1"), labels);
  EXPECT_EQ(Labels().with("x", "1"), Labels());
}

TEST(ShardDeathTest, AskingForTheWrongTypeIsABug) {
  Registry registry;
  const FamilyId family = registry.add(counter_spec("n"));
  Shard& shard = registry.make_shard();
  EXPECT_DEATH(shard.gauge(family), "invariant broken");
}

TEST(Registry, ScrapesWhileThreadsCount) {
  Registry registry;
  const FamilyId family = registry.add(counter_spec("n", {"i"}));
  constexpr int kThreads = 3;
  constexpr int kRounds = 4000;
  std::vector<Shard*> shards;
  for (int i = 0; i < kThreads; ++i) shards.push_back(&registry.make_shard());
  std::atomic<int> running = kThreads;
  std::vector<std::thread> threads;
  for (Shard* shard : shards) {
    threads.emplace_back([&, shard] {
      for (int i = 0; i < kRounds; ++i) {
        shard->counter(family, shard->labels(family, {std::to_string(i % 100)})).add();
      }
      --running;
    });
  }
  const auto total = [&registry] {
    uint64_t sum = 0;
    for (const auto& collected : registry.collect()) {
      for (const auto& sample : collected.samples) sum += sample.count;
    }
    return sum;
  };
  uint64_t last = 0;
  while (running > 0) {
    const uint64_t now = total();
    EXPECT_GE(now, last);
    last = now;
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(total(), static_cast<uint64_t>(kThreads) * kRounds);
}

TEST(ProcessMetrics, CountDescriptors) {
  Registry registry;
  register_process_metrics(registry);
  const auto families = registry.collect();
  ASSERT_EQ(families.size(), 2U);
  EXPECT_EQ(families[0].spec->name, "process_open_fds");
  EXPECT_GE(families[0].samples[0].gauge, 3);  // stdin, stdout, stderr
  EXPECT_EQ(families[1].spec->name, "process_max_fds");
  EXPECT_GE(families[1].samples[0].gauge, families[0].samples[0].gauge);
}

}  // namespace
}  // namespace culvert::metrics
