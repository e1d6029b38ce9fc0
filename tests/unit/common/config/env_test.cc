#include "common/config/env.h"

#include "common/config/memory_budget.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

namespace culvert::config {
namespace {

using std::chrono::nanoseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

TEST(ParseBool, IsExact) {
  EXPECT_EQ(*parse_bool("true"), true);
  EXPECT_EQ(*parse_bool("false"), false);
  for (const char* bad : {"", "True", "1", "yes", " true", "true "})
    EXPECT_FALSE(parse_bool(bad)) << bad;
}

TEST(ParseUnsigned, TakesDecimalUpToTheWidth) {
  EXPECT_EQ(*parse_unsigned("0", 10), 0U);
  EXPECT_EQ(*parse_unsigned("+7", 10), 7U);
  EXPECT_EQ(*parse_unsigned("65535", 65535), 65535U);
  EXPECT_EQ(*parse_unsigned("18446744073709551615"), 18446744073709551615U);
  EXPECT_EQ(parse_unsigned("65536", 65535).error().message(),
            "number too large to fit in target type");
  EXPECT_FALSE(parse_unsigned("18446744073709551616"));
  EXPECT_EQ(parse_unsigned("").error().message(), "cannot parse integer from empty string");
  for (const char* bad : {"-1", "1.5", "0x10", "10 ", " 10", "+", "++1", "ten"}) {
    EXPECT_EQ(parse_unsigned(bad).error().message(), "invalid digit found in string") << bad;
  }
}

TEST(ParseDuration, KnowsEveryUnit) {
  const std::pair<const char*, nanoseconds> cases[] = {{"5", 5s},
                                                       {"0", 0s},
                                                       {"3ns", 3ns},
                                                       {"3us", 3us},
                                                       {"3\u00b5s", 3us},
                                                       {"250ms", 250ms},
                                                       {"5s", 5s},
                                                       {"10m", 10min},
                                                       {"24h", 24h},
                                                       {"2d", 48h},
                                                       {"1w", 168h},
                                                       {"1mon", 720h},
                                                       {"1y", 8760h},
                                                       {"1h30m", 90min},
                                                       {"1m+30s", 90s},
                                                       {"1m + 30s", 90s},
                                                       {" 5s ", 5s},
                                                       {"1m+30", 90s},
                                                       {"1h1m1s1ms", 3'661'001ms}};
  for (const auto& [text, expected] : cases) {
    const auto parsed = parse_duration(text);
    ASSERT_TRUE(parsed) << text << ": " << parsed.error().message();
    EXPECT_EQ(*parsed, expected) << text;
  }
}

TEST(ParseDuration, RefusesTheRest) {
  for (const char* bad : {"", " ", "s", "-5s", "5 parsecs", "5s+", "+5s", "1.5h", "5S", "300y"}) {
    EXPECT_FALSE(parse_duration(bad)) << bad;
  }
  EXPECT_EQ(parse_duration("99999999999999999999s").error().message(), "duration too long");
}

TEST(ParseCpuQuantity, RoundsUp) {
  const std::pair<const char*, uint64_t> cases[] = {{"1", 1},     {"16", 16},   {"1.5", 2},
                                                    {"500m", 1},  {"2500m", 3}, {"1000m", 1},
                                                    {"0.001", 1}, {"1e2", 100}};
  for (const auto& [text, expected] : cases) EXPECT_EQ(*parse_cpu_quantity(text), expected) << text;
  for (const char* bad : {"", "m", "0", "0m", "-1", "inf", "nan", "1k", "1 ", "1e300", "two"}) {
    ASSERT_FALSE(parse_cpu_quantity(bad)) << bad;
    EXPECT_EQ(parse_cpu_quantity(bad).error().message(), "must be a positive CPU quantity");
  }
}

TEST(ParseBytes, TakesBinaryUnits) {
  const std::pair<const char*, uint64_t> cases[] = {
      {"0", 0}, {"1048576", 1U << 20}, {"3Ki", 3072}, {"64Mi", 64U << 20}, {"2Gi", 2ULL << 30}};
  for (const auto& [text, expected] : cases) EXPECT_EQ(*parse_bytes(text), expected) << text;
  for (const char* bad : {"", "Mi", "1M", "1.5Gi", "-1", "1 Mi", "1MiMi", "17179869184Gi", "max"}) {
    ASSERT_FALSE(parse_bytes(bad)) << bad;
    EXPECT_EQ(parse_bytes(bad).error().message(),
              "must be a number of bytes, or one with Ki, Mi or Gi behind it");
  }
}

TEST(MemoryBudget, IsAShareOfWhatThereIs) {
  const Env none;
  EnvReader reader(none);
  EXPECT_EQ(process_memory_budget(reader, {.limit = 1U << 30, .limited = true}), 512U << 20);
  EXPECT_EQ(process_memory_budget(reader, {.limit = 1U << 30, .limited = false}), 256U << 20);
  EXPECT_EQ(process_memory_budget(reader, {.limit = 20U << 20, .limited = true}), 16U << 20);
  EXPECT_TRUE(reader.errors().empty());
  const Env given{{"CULVERT_MEMORY_BUDGET", "2Mi"}};
  EnvReader other(given);
  EXPECT_EQ(process_memory_budget(other, {.limit = 1U << 30}), 2U << 20);
  EXPECT_TRUE(other.errors().empty());
}

TEST(EnvReader, ReadsOrFallsBack) {
  const Env env = {{"T", "text"}, {"B", "true"}, {"N", "12"}, {"D", "2s"}, {"Q", "500m"}};
  EnvReader reader(env);
  EXPECT_EQ(reader.text("T", "x"), "text");
  EXPECT_EQ(reader.text("NONE", "x"), "x");
  EXPECT_EQ(reader.text("NONE"), std::nullopt);
  EXPECT_TRUE(reader.boolean("B", false));
  EXPECT_TRUE(reader.boolean("NONE", true));
  EXPECT_EQ(reader.optional_boolean("NONE"), std::nullopt);
  EXPECT_EQ(reader.number<uint16_t>("N", 1), 12);
  EXPECT_EQ(reader.number<uint32_t>("NONE", 7U), 7U);
  EXPECT_EQ(reader.duration("D", 1s), 2s);
  EXPECT_EQ(reader.duration("NONE", 1s), 1s);
  EXPECT_EQ(reader.cpu_quantity("Q"), 1U);
  EXPECT_TRUE(reader.equals("B", "true"));
  EXPECT_FALSE(reader.equals("NONE", "true"));
  EXPECT_TRUE(reader.result());
}

TEST(EnvReader, ReportsEveryErrorAtOnce) {
  const Env env = {{"B", "yes"}, {"N", "70000"}, {"EMPTY", ""}, {"D", "soon"}};
  EnvReader reader(env);
  EXPECT_FALSE(reader.boolean("B", false));
  EXPECT_EQ(reader.number<uint16_t>("N", 3), 3);
  EXPECT_EQ(reader.number<uint32_t>("EMPTY", 4U), 4U);
  EXPECT_EQ(reader.duration("D", 9s), 9s);
  reader.fail("something else");
  EXPECT_THAT(reader.errors(),
              ElementsAre("invalid env var B=yes (provided string was not `true` or `false`)",
                          "invalid env var N=70000 (number too large to fit in target type)",
                          "invalid env var EMPTY= (cannot parse integer from empty string)",
                          HasSubstr("invalid env var D=soon ("), "something else"));
  ASSERT_FALSE(reader.result());
  EXPECT_THAT(reader.result().error().message(), HasSubstr("B=yes"));
  EXPECT_THAT(reader.result().error().message(), HasSubstr("; something else"));
}

TEST(ProcessEnv, HoldsWhatIsSetAndLeavesOutWhatIsNotText) {
  ::setenv("CULVERT_ENV_TEST", "a=b", 1);
  ::setenv("CULVERT_ENV_BYTES", "\xff\xfe", 1);
  const Env env = process_env();
  EXPECT_EQ(env.at("CULVERT_ENV_TEST"), "a=b");
  EXPECT_FALSE(env.contains("CULVERT_ENV_BYTES"));
  ::unsetenv("CULVERT_ENV_TEST");
  ::unsetenv("CULVERT_ENV_BYTES");
}

}  // namespace
}  // namespace culvert::config
