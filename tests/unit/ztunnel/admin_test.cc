#include "ztunnel/admin.h"

#include "common/admin/endpoints.h"
#include "common/base/log.h"
#include "common/metrics/shard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace culvert::ztunnel {
namespace {

using admin::Request;
using admin::Response;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr const char* kDefaultFilter = "hickory_server::server=off,info";

class AdminTest : public ::testing::Test {
 protected:
  AdminTest() {
    log::set_filter(*log::Filter::parse(kDefaultFilter));
    AdminCallbacks callbacks;
    callbacks.quit = [this] { ++quits_; };
    callbacks.default_filter = kDefaultFilter;
    callbacks.sections["workloads"] = [](config::JsonText& out) {
      out.value(nlohmann::json::array({{{"uid", "a"}, {"name", "b"}}}));
    };
    callbacks.sections["certificates"] = [](config::JsonText& out) {
      out.value(nlohmann::json::array());
    };
    callbacks.sections["version"] = [](config::JsonText& out) {
      out.value(nlohmann::json{{"version", "bad \xff"}});
    };
    add_admin_endpoints(site_, std::move(callbacks));
  }
  ~AdminTest() override { log::set_filter(before_); }

  Response ask(const std::string& path, const std::string& method = "GET",
               const std::string& query = "") {
    Request request;
    request.method = method;
    request.path = path;
    request.query = query;
    return site_.answer(request);
  }
  std::string logging(const std::string& query) { return ask("/logging", "POST", query).body; }

  log::Filter before_ = log::current_filter();
  admin::Site site_;
  int quits_ = 0;
};

// Recorded from Istio's ztunnel.
constexpr std::string_view kUsage =
    "\nusage: POST /logging\t\t\t\t\t\t(To list current level)\n"
    "usage: POST /logging?level=<level>\t\t\t\t(To change global levels)\n"
    "usage: POST /logging?level={mod1}:{level1},{mod2}:{level2}\t(To change specific mods' logging "
    "level)\n"
    "\nhint: loglevel:\terror|warn|info|debug|trace|off\n"
    "hint: mod_name:\tthe module name, i.e. ztunnel::proxy\n";

TEST_F(AdminTest, TheFirstPageLinksEverything) {
  const Response page = ask("/");
  EXPECT_EQ(page.status, 200U);
  EXPECT_EQ(page.content_type, "text/html; charset=utf-8");
  EXPECT_THAT(page.body, HasSubstr("<title>Ztunnel Admin</title>"));
  for (const char* path : {"debug/pprof/profile", "debug/pprof/heap", "debug/pprof/heap/profiling",
                           "quitquitquit", "config_dump", "logging"}) {
    EXPECT_THAT(page.body, HasSubstr("<a href=\"" + std::string(path) + "\">"));
  }
}

TEST_F(AdminTest, LoggingListsChangesAndResets) {
  const std::string now = "current log level is ";
  EXPECT_EQ(logging(""), now + "hickory_server::server=off,info\n");
  EXPECT_EQ(logging("level="), now + "hickory_server::server=off,info\n");
  EXPECT_EQ(logging("level=debug"), now + "hickory_server::server=off,debug\n");
  EXPECT_EQ(logging("reset"), now + "hickory_server::server=off,info\n");
  EXPECT_EQ(logging("level=access=debug,info&reset"),
            now + "hickory_server::server=off,access=debug,info\n");
  EXPECT_EQ(logging("level=warn"), now + "hickory_server::server=off,access=debug,warn\n");
  EXPECT_EQ(logging("level=access%3Doff"), now + "hickory_server::server=off,access=off,warn\n");
  EXPECT_EQ(logging("level=info&reset"), now + "hickory_server::server=off,info\n");
  EXPECT_EQ(logging("reset=&level=ztunnel::proxy=debug"),
            now + "hickory_server::server=off,ztunnel::proxy=debug,info\n");
  for (const char* level : {"error", "warn", "trace", "info", "off"}) {
    EXPECT_EQ(logging("reset&level=" + std::string(level)),
              now + "hickory_server::server=off," + level + "\n");
  }
}

TEST_F(AdminTest, LoggingTakesTheColonFormThatIstioctlShows) {
  EXPECT_EQ(
      logging("level=access:debug,ztunnel::proxy:trace,info"),
      "current log level is hickory_server::server=off,ztunnel::proxy=trace,access=debug,info\n");
}

TEST_F(AdminTest, LoggingRefusesWhatIsNoLevel) {
  for (const char* bad :
       {"bogus", "ztunnel::proxy", "access", "access=loud", "DEBUG", "info,bogus"}) {
    const Response answer = ask("/logging", "POST", std::string("level=") + bad);
    EXPECT_EQ(answer.status, 400U) << bad;
    EXPECT_EQ(answer.body,
              "Invalid level provided: " + std::string(bad) + "\n" + std::string(kUsage));
  }
  // A refused change changes nothing, not even by its reset.
  logging("level=warn");
  ask("/logging", "POST", "reset&level=bogus");
  EXPECT_EQ(logging(""), "current log level is hickory_server::server=off,warn\n");
}

TEST_F(AdminTest, LoggingIsPostOnly) {
  const Response answer = ask("/logging");
  EXPECT_EQ(answer.status, 405U);
  EXPECT_EQ(answer.body, "Invalid HTTP method\n " + std::string(kUsage));
  EXPECT_EQ(answer.body.size(), 338U);  // as recorded
}

TEST_F(AdminTest, TheConfigDumpIsSortedAndIndented) {
  const Response dump = ask("/config_dump", "POST");
  EXPECT_EQ(dump.status, 200U);
  EXPECT_EQ(dump.content_type, "application/json");
  EXPECT_EQ(
      dump.body,
      "{\n  \"certificates\": [],\n  \"version\": {\n    \"version\": \"bad \uFFFD\"\n  },\n"
      "  \"workloads\": [\n    {\n      \"name\": \"b\",\n      \"uid\": \"a\"\n    }\n  ]\n}");
}

TEST_F(AdminTest, QuittingIsPostOnly) {
  EXPECT_EQ(ask("/quitquitquit").status, 405U);
  EXPECT_EQ(ask("/quitquitquit").body, "");
  EXPECT_EQ(quits_, 0);
  EXPECT_EQ(ask("/quitquitquit", "POST").body, "shutdown now\n");
  EXPECT_EQ(quits_, 1);
}

TEST_F(AdminTest, ProfilingSaysThatItIsNotThere) {
  EXPECT_EQ(ask("/debug/pprof/profile", "GET", "seconds=0").body,
            "invalid seconds value; expected 1-300\n");
  EXPECT_EQ(ask("/debug/pprof/profile", "GET", "seconds=301").status, 400U);
  EXPECT_EQ(ask("/debug/pprof/profile", "GET", "frequency=1001").body,
            "invalid frequency value; expected 1-1000\n");
  EXPECT_EQ(ask("/debug/pprof/profile", "GET", "seconds=300&frequency=1000").status, 500U);
  EXPECT_THAT(ask("/debug/pprof/profile").body, HasSubstr("not available in this build"));
  EXPECT_EQ(ask("/debug/pprof/heap").status, 500U);
  EXPECT_EQ(ask("/debug/pprof/heap/profiling", "GET", "activate=maybe").status, 400U);
  EXPECT_EQ(ask("/debug/pprof/heap/profiling").body, "jemalloc not enabled\n");
}

TEST_F(AdminTest, OtherPathsAreNotFound) {
  for (const char* path : {"/metrics", "/healthz/ready", "/help", "/debug/pprof/", "/nosuch"}) {
    EXPECT_EQ(ask(path).status, 404U) << path;
  }
}

TEST(StatsEndpoints, ServeOpenMetricsUnderBothPaths) {
  metrics::Registry registry;
  metrics::FamilySpec spec;
  spec.name = "n";
  spec.help = "N";
  const auto family = registry.add(spec);
  registry.make_shard().counter(family).add(3);
  admin::Site site;
  admin::add_stats_endpoints(site, registry);
  for (const char* path : {"/metrics", "/stats/prometheus"}) {
    Request request;
    request.method = "PUT";
    request.path = path;
    Response answer = site.answer(request);
    EXPECT_EQ(answer.status, 200U);
    EXPECT_EQ(answer.content_type, "text/plain; charset=utf-8");
    EXPECT_EQ(answer.body, "# HELP n N.\n# TYPE n counter\nn_total 3\n# EOF\n");
    EXPECT_TRUE(answer.compressible);
    request.headers = {{"Accept", "text/plain"},
                       {"Accept", "text/html, application/openmetrics-text;version=1.0.0"}};
    EXPECT_THAT(site.answer(request).content_type, StartsWith("application/openmetrics-text;"));
  }
}

TEST(ReadinessEndpoint, NamesWhatIsPending) {
  const log::Capture quiet;
  admin::Readiness readiness;
  admin::Site site;
  admin::add_readiness_endpoints(site, readiness);
  auto state = readiness.register_task("state manager");
  auto proxy = readiness.register_task("proxy");
  Request request;
  request.path = "/healthz/ready";
  EXPECT_EQ(site.answer(request).status, 500U);
  EXPECT_EQ(site.answer(request).body, "not ready, pending: proxy, state manager\n");
  state.done();
  proxy.done();
  EXPECT_EQ(site.answer(request).status, 200U);
  EXPECT_EQ(site.answer(request).body, "ready\n");
  request.method = "POST";
  EXPECT_EQ(site.answer(request).status, 405U);
}

}  // namespace
}  // namespace culvert::ztunnel
