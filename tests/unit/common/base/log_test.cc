#include "common/base/log.h"

#include "common/base/log_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include <nlohmann/json.hpp>

namespace culvert::log {
namespace {

using ::testing::ElementsAre;
using ::testing::MatchesRegex;

// 2026-11-23T02:22:52.877247Z
const WallTime kTime = WallTime(std::chrono::microseconds(1'795'400'572'877'247));

std::string text(std::string_view message, const std::vector<Field>& fields = {},
                 std::string_view target = "access", Level level = Level::kInfo) {
  return format_line(Format::kText, {kTime, level, target, target, message, fields});
}
nlohmann::ordered_json json(const std::vector<Field>& fields,
                            std::string_view scope = "ztunnel::proxy") {
  const std::string line =
      format_line(Format::kJson, {kTime, Level::kWarn, "proxy", scope, "hello", fields});
  EXPECT_EQ(line.back(), '\n');
  return nlohmann::ordered_json::parse(line);
}

TEST(LogText, IsTheLineIstiosZtunnelWrites) {
  std::ifstream file("tests/fixtures/ztunnel/access_log.txt");
  std::string first;
  ASSERT_TRUE(std::getline(file, first));
  const std::string identity = "spiffe://cluster.local/ns/demo/sa/";
  EXPECT_EQ(text("connection complete",
                 {bare("src.addr", "10.244.1.10:43222"), str("src.workload", "client"),
                  str("src.namespace", "demo"), str("src.identity", identity + "client"),
                  str("src.cluster", "Kubernetes"), bare("dst.addr", "10.244.2.11:15008"),
                  bare("dst.hbone_addr", "10.244.2.11:8080"),
                  str("dst.service", "server-v2.demo.svc.cluster.local"),
                  str("dst.workload", "server-v2"), str("dst.namespace", "demo"),
                  str("dst.identity", identity + "server-v2"), str("dst.cluster", "Kubernetes"),
                  str("direction", "outbound"), num("bytes_sent", 78), num("bytes_recv", 294),
                  str("duration", "6ms")}),
            first + "\n");
}

TEST(LogText, TheTabAfterTheMessageIsThereWithoutFields) {
  EXPECT_EQ(text("ready", {}, "ztunnel", Level::kError),
            "2026-11-23T02:22:52.877247Z\terror\tztunnel\tready\t\n");
}

TEST(LogText, FieldsNamedLogAreSuppressed) {
  EXPECT_THAT(text("m", {str("log.target", "x"), num("n", 1), str("log.file", "y")}),
              ::testing::EndsWith("\tm\tn=1\n"));
}

TEST(LogText, MicrosecondsKeepTheirLeadingZeros) {
  const WallTime early = WallTime(std::chrono::microseconds(42));
  EXPECT_THAT(format_line(Format::kText, {early, Level::kInfo, "t", "t", "m", {}}),
              ::testing::StartsWith("1970-01-01T00:00:00.000042Z\t"));
}

TEST(LogText, MessagesKeepLineBreaksButNoTerminalEscapes) {
  EXPECT_THAT(text("a: 1\nb: \"2\""), ::testing::HasSubstr("\ta: 1\nb: \"2\"\t"));
  EXPECT_THAT(text("bad \x1b[31m"), ::testing::HasSubstr("bad \\u{1b}[31m"));
}

TEST(LogText, QuotesAsRustDebugDoes) {
  EXPECT_EQ(debug_quoted("plain"), R"("plain")");
  EXPECT_EQ(debug_quoted(R"(a"b\c)"), R"("a\"b\\c")");
  EXPECT_EQ(debug_quoted("it's"), R"("it's")");
  EXPECT_EQ(debug_quoted(std::string_view("\n\r\t\0\x01\x7f", 6)), R"("\n\r\t\0\u{1}\u{7f}")");
  EXPECT_EQ(debug_quoted("gr\u00fc\u00df \u4f60"), "\"gr\u00fc\u00df \u4f60\"");
  EXPECT_EQ(debug_quoted("a\u00a0\u200b\u2028"), R"("a\u{a0}\u{200b}\u{2028}")");
}

TEST(LogText, WhatIsNotUtf8BecomesTheReplacementCharacter) {
  const std::string replacement = "\uFFFD";
  EXPECT_EQ(debug_quoted("\xff"), "\"" + replacement + "\"");
  EXPECT_EQ(debug_quoted("a\xc3"), "\"a" + replacement + "\"");                  // cut off
  EXPECT_EQ(debug_quoted("\xc0\xaf"), "\"" + replacement + replacement + "\"");  // overlong
  EXPECT_EQ(json_quoted("\xed\xa0\x80x"),                                        // surrogate
            "\"" + replacement + replacement + replacement + "x\"");
}

TEST(LogJson, KeysComeInOrderAndValuesAreTyped) {
  const auto line =
      json({str("s", "a\"b\n"), bare("addr", "10.0.0.1:80"), num("n", 18446744073709551615U),
            Field{"b", "true", Field::Kind::kBool}, str("log.x", "kept")});
  std::vector<std::string> keys;
  for (const auto& [key, value] : line.items()) keys.push_back(key);
  EXPECT_THAT(keys,
              ElementsAre("level", "time", "scope", "message", "s", "addr", "n", "b", "log.x"));
  EXPECT_EQ(line["level"], "warn");
  EXPECT_EQ(line["time"], "2026-11-23T02:22:52.877247Z");
  EXPECT_EQ(line["scope"], "ztunnel::proxy");
  EXPECT_EQ(line["s"], "a\"b\n");
  EXPECT_EQ(line["addr"], "10.0.0.1:80");
  EXPECT_EQ(line["n"], 18446744073709551615U);
  EXPECT_EQ(line["b"], true);
}

TEST(LogJson, EscapesControlCharacters) {
  EXPECT_EQ(json_quoted(std::string_view("\b\f\n\r\t\0\x1f\"\\/", 10)),
            R"("\b\f\n\r\t\u0000\u001f\"\\/")");
}

TEST(LogFilter, ListsScopedDirectivesBeforeTheGlobalLevel) {
  const auto filter = Filter::parse("hickory_server::server=off,info");
  ASSERT_TRUE(filter);
  EXPECT_EQ(filter->to_string(), "hickory_server::server=off,info");
  EXPECT_EQ(filter->with("access=debug,info")->to_string(),
            "hickory_server::server=off,access=debug,info");
  EXPECT_EQ(filter->with("debug")->to_string(), "hickory_server::server=off,debug");
}

TEST(LogFilter, TheLongestPrefixDecides) {
  const auto filter =
      Filter::parse("warn,ztunnel::proxy=debug,ztunnel::proxy::inbound=off,access=off");
  ASSERT_TRUE(filter);
  EXPECT_EQ(filter->level_for("ztunnel::state"), Level::kWarn);
  EXPECT_EQ(filter->level_for("ztunnel::proxy::outbound"), Level::kDebug);
  EXPECT_EQ(filter->level_for("ztunnel::proxy::inbound"), Level::kOff);
  EXPECT_EQ(filter->level_for("access"), Level::kOff);
}

TEST(LogFilter, LaterDirectivesForTheSameTargetWin) {
  const auto filter = Filter::parse("info,access=off,access=trace,debug");
  ASSERT_TRUE(filter);
  EXPECT_EQ(filter->to_string(), "access=trace,debug");
}

TEST(LogFilter, TakesAnyCaseAndTheColonForm) {
  EXPECT_EQ(Filter::parse("INFO,access:Debug")->to_string(), "access=debug,info");
  EXPECT_EQ(Filter::parse("ztunnel::proxy:warn")->to_string(), "ztunnel::proxy=warn");
  EXPECT_EQ(Filter::parse(" info , access=off ")->to_string(), "access=off,info");
}

TEST(LogFilter, RefusesWhatIsNeitherALevelNorATargetWithALevel) {
  for (const char* bad : {"bogus", "ztunnel::debug", "access=", "access=loud", "=info", ":info"}) {
    const auto filter = Filter::parse(bad);
    EXPECT_FALSE(filter) << bad;
    if (!filter) EXPECT_THAT(filter.error().message(), ::testing::HasSubstr(bad));
  }
}

TEST(LogFilter, ErrorsShowWithoutAGlobalDirective) {
  const auto filter = Filter::parse("access=off");
  EXPECT_EQ(filter->level_for("ztunnel::proxy"), Level::kError);
  EXPECT_EQ(filter->to_string(), "access=off");
  EXPECT_EQ(Filter::parse("")->to_string(), "");
}

class LogTarget : public ::testing::Test {
 protected:
  ~LogTarget() override { set_filter(before_); }
  Filter before_ = current_filter();
};

TEST_F(LogTarget, CapturesWhatIsEnabled) {
  const Target target("proxy::inbound");
  const Capture capture;
  set_filter(*Filter::parse("info"));
  target.info("served {} of {}", 1, 2);
  target.debug("not {}", "this");
  EXPECT_THAT(capture.lines(),
              ElementsAre(MatchesRegex("20[^\t]*Z\tinfo\tproxy::inbound\tserved 1 of 2\t")));
}

TEST_F(LogTarget, ANewFilterReachesLiveTargets) {
  const Target target("proxy");
  set_filter(*Filter::parse("info"));
  EXPECT_FALSE(target.enabled(Level::kDebug));
  set_filter(*Filter::parse("info,proxy=trace"));
  EXPECT_TRUE(target.enabled(Level::kTrace));
  const Target late("proxy::late");
  EXPECT_TRUE(late.enabled(Level::kTrace));
  set_filter(*Filter::parse("off"));
  EXPECT_FALSE(target.enabled(Level::kError));
  EXPECT_FALSE(target.enabled(Level::kOff));
}

TEST_F(LogTarget, CapturesNest) {
  const Target target("proxy");
  const Capture outer;
  target.warn("one");
  {
    const Capture inner;
    target.warn("two");
    EXPECT_EQ(inner.lines().size(), 1U);
  }
  target.warn("three");
  EXPECT_EQ(outer.lines().size(), 2U);
}

TEST_F(LogTarget, StartSetsFormatAndProgram) {
  const Target target("proxy"), access("access"), program("ztunnel");
  EXPECT_FALSE(start(Format::kJson, "nonsense", "ztunnel"));
  ASSERT_TRUE(start(Format::kJson, "info,ztunnel::proxy=debug", "ztunnel"));
  const Capture capture;
  target.debug("a");
  access.debug("not enabled");
  access.info("b");
  program.info("c");
  std::vector<std::string> scopes;
  for (const std::string& line : capture.lines()) {
    scopes.push_back(nlohmann::json::parse(line).at("scope"));
  }
  EXPECT_THAT(scopes, ElementsAre("ztunnel::proxy", "access", "ztunnel"));
  stop();
  ASSERT_TRUE(start(Format::kText, "info", ""));
  stop();
}

}  // namespace
}  // namespace culvert::log
