#include "ztunnel/worker_threads.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace culvert::ztunnel {
namespace {

using ::testing::HasSubstr;

constexpr const char* kThreads = "ZTUNNEL_WORKER_THREADS";
constexpr const char* kCpuLimit = "ZTUNNEL_CPU_LIMIT";
constexpr const char* kLimit = "ZTUNNEL_RESOURCE_CPU_LIMIT";
constexpr const char* kRequest = "ZTUNNEL_RESOURCE_CPU_REQUEST";

unsigned threads(const config::Env& env, unsigned cpus,
                 std::optional<uint16_t> concurrency = std::nullopt) {
  config::EnvReader reader(env);
  const unsigned result = worker_threads(reader, concurrency, cpus);
  EXPECT_TRUE(reader.result()) << reader.result().error().message();
  return result;
}

std::string error(const config::Env& env) {
  config::EnvReader reader(env);
  worker_threads(reader, std::nullopt, 4);
  return reader.result() ? std::string() : reader.result().error().message();
}

TEST(WorkerThreads, ANumberIsTaken) {
  EXPECT_EQ(threads({{kThreads, "4"}}, 16), 4U);
  EXPECT_EQ(threads({{kThreads, "64"}}, 2), 64U);
}

TEST(WorkerThreads, APercentageIsOfTheCpusRoundedUp) {
  EXPECT_EQ(threads({{kThreads, "50%"}}, 8), 4U);
  EXPECT_EQ(threads({{kThreads, "30%"}}, 16), 5U);
  EXPECT_EQ(threads({{kThreads, "10%"}}, 4), 1U);
  EXPECT_EQ(threads({{kThreads, "100%"}}, 4), 4U);
  EXPECT_EQ(threads({{kThreads, "12.5%"}}, 16), 2U);
  EXPECT_EQ(threads({{kThreads, "50%"}, {kCpuLimit, "12"}}, 4), 6U);
}

TEST(WorkerThreads, ZeroMeansAllCpus) {
  EXPECT_EQ(threads({{kThreads, "0"}}, 7), 7U);
  EXPECT_EQ(threads({{kThreads, "0"}, {kCpuLimit, "6"}}, 32), 6U);
  EXPECT_EQ(threads({{kCpuLimit, "6"}}, 32, 0), 6U);
}

TEST(WorkerThreads, TheResourceLimitDecidesAlone) {
  const std::pair<const char*, unsigned> cases[] = {{"16", 16},   {"1", 1},   {"500m", 1},
                                                    {"2500m", 3}, {"1.5", 2}, {"3", 3}};
  for (const auto& [limit, expected] : cases) {
    EXPECT_EQ(threads({{kLimit, limit}, {kCpuLimit, "12"}}, 64), expected) << limit;
  }
}

TEST(WorkerThreads, WithoutAResourceLimitAQuarterButAtLeastTwo) {
  EXPECT_EQ(threads({{kCpuLimit, "32"}}, 4), 8U);
  EXPECT_EQ(threads({}, 1), 2U);
  EXPECT_EQ(threads({}, 8), 2U);
  EXPECT_EQ(threads({}, 9), 3U);
  EXPECT_EQ(threads({}, 64), 16U);
}

TEST(WorkerThreads, ARequestRaisesAndNeverLowers) {
  EXPECT_EQ(threads({{kRequest, "8"}}, 8), 8U);
  EXPECT_EQ(threads({{kRequest, "1"}}, 64), 16U);
  EXPECT_EQ(threads({{kLimit, "16"}, {kRequest, "4"}}, 64), 16U);
  EXPECT_EQ(threads({{kLimit, "4"}, {kRequest, "8"}}, 64), 8U);
}

TEST(WorkerThreads, ConcurrencyIsSecondChoice) {
  EXPECT_EQ(threads({}, 64, 5), 5U);
  EXPECT_EQ(threads({{kThreads, "4"}}, 64, 5), 4U);
}

TEST(WorkerThreads, ErrorsSayWhichVariable) {
  EXPECT_THAT(error({{kThreads, "x%"}}),
              HasSubstr("ZTUNNEL_WORKER_THREADS=x% (invalid percentage: x%)"));
  EXPECT_THAT(error({{kThreads, "%"}}), HasSubstr("invalid percentage"));
  for (const char* out_of_range : {"0%", "-1%", "101%", "nan%", "inf%"}) {
    EXPECT_THAT(error({{kThreads, out_of_range}}),
                HasSubstr("percentage must be between 0 and 100"))
        << out_of_range;
  }
  EXPECT_THAT(error({{kThreads, "many"}}), HasSubstr("invalid number: "));
  EXPECT_THAT(error({{kThreads, ""}}), HasSubstr("invalid number: "));
  EXPECT_THAT(error({{kThreads, "4097"}}), HasSubstr("invalid number: "));
  // A malformed quantity is an error even where it does not decide.
  EXPECT_THAT(
      error({{kThreads, "4"}, {kLimit, "0"}}),
      HasSubstr("invalid env var ZTUNNEL_RESOURCE_CPU_LIMIT=0 (must be a positive CPU quantity)"));
  EXPECT_THAT(error({{kThreads, "4"}, {kRequest, "two"}}), HasSubstr(kRequest));
  EXPECT_THAT(error({{kThreads, "4"}, {kCpuLimit, "1.5"}}), HasSubstr(kCpuLimit));
}

}  // namespace
}  // namespace culvert::ztunnel
