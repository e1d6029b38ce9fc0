#include "waypoint/process_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

namespace culvert::waypoint {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using Env = culvert::config::Env;

Env with(Env more = {}) {
  Env env{{"WAYPOINT_CONFIG", "/etc/waypoint.yaml"}, {"LOCAL_CA_DIR", "/ca"}};
  for (auto& [name, value] : more) env[name] = value;
  return env;
}

ProcessConfig config_of(const Env& more, const Surroundings& around = {}) {
  auto config = ProcessConfig::from_env(with(more), around);
  EXPECT_TRUE(config) << config.error().message();
  return config ? *config : ProcessConfig();
}

std::string error_of(const Env& env, const Surroundings& around = {}) {
  const auto config = ProcessConfig::from_env(env, around);
  return config ? std::string() : config.error().message();
}

Surroundings args(std::vector<std::string> words) {
  Surroundings around;
  around.args = std::move(words);
  return around;
}

TEST(ProcessConfig, AsksForWhatItCannotDoWithout) {
  EXPECT_THAT(error_of({}), HasSubstr("set WAYPOINT_CONFIG"));
  EXPECT_THAT(error_of({}), HasSubstr("set LOCAL_CA_DIR"));
  EXPECT_EQ(error_of(with()), "");
  EXPECT_EQ(config_of({}).ca_dir, "/ca");
  EXPECT_EQ(error_of({{"WAYPOINT_CONFIG", "x"}, {"FAKE_CA", "true"}}), "");
  EXPECT_THAT(error_of({{"WAYPOINT_CONFIG", "x"}, {"FAKE_CA", "false"}}),
              HasSubstr("set LOCAL_CA_DIR"));
}

TEST(ProcessConfig, TellsAllErrorsAtOnce) {
  const Env bad{{"FAKE_CA", "yes"},
                {"INSTANCE_IP", "nowhere"},
                {"CONCURRENCY", "-1"},
                {"TERMINATION_DRAIN_DURATION_SECONDS", "5s"},
                {"CULVERT_MEMORY_BUDGET", "5s"},
                {"EXIT_ON_ZERO_ACTIVE_CONNECTIONS", "1"},
                {"MINIMUM_DRAIN_DURATION", "soon"},
                {"SECRET_TTL", "0s"},
                {"PROXY_CONFIG", "{concurrency: many}"},
                {"RUST_LOG", "loud=very"}};
  const std::string errors = error_of(bad, args({"proxy", "sidecar", "--unknown=1"}));
  for (const auto& [name, value] : bad) EXPECT_THAT(errors, HasSubstr(name));
  EXPECT_THAT(errors, HasSubstr("WAYPOINT_CONFIG"));
  EXPECT_THAT(errors, HasSubstr("unexpected argument \"sidecar\""));
  EXPECT_THAT(errors, HasSubstr("unknown flag --unknown"));
}

TEST(ProcessConfig, TakesTheStockDeploymentsCommandLine) {
  const auto config =
      config_of({{"POD_NAMESPACE", "shop"}},
                args({"proxy", "waypoint", "--domain", "shop.svc.example.org", "--serviceCluster",
                      "waypoint.shop", "--proxyLogLevel=error",
                      "--proxyComponentLogLevel=misc:error", "--log_output_level=default:debug"}));
  EXPECT_EQ(config.self.cluster_domain, "example.org");
  EXPECT_EQ(config.log_filter, "debug,waypoint::proxy=error");
}

TEST(ProcessConfig, RefusesFlagsItDoesNotUnderstand) {
  for (const char* bad :
       {"--proxyLogLevel=loud", "--proxyComponentLogLevel=misc:loud", "--log_output_level=x:loud",
        "--concurrency=x", "--domain", "--", "--domains=x"}) {
    EXPECT_NE(error_of(with(), args({"proxy", "waypoint", bad})), "") << bad;
  }
  EXPECT_NE(error_of(with(), args({"proxy", "waypoint", "waypoint"})), "");
}

TEST(ProcessConfig, LogLevels) {
  EXPECT_EQ(config_of({}).log_filter, "info,waypoint::proxy=warn");
  EXPECT_EQ(config_of({{"RUST_LOG", "debug"}}, args({"--proxyLogLevel=off"})).log_filter, "debug");
  EXPECT_EQ(config_of({}, args({"--log_output_level=ads:debug,all:none"})).log_filter,
            "off,waypoint::proxy=warn");
  EXPECT_EQ(config_of({}, args({"--log_as_json"})).log_format, log::Format::kJson);
  EXPECT_EQ(config_of({{"LOG_FORMAT", "json"}}).log_format, log::Format::kJson);
  EXPECT_EQ(config_of({}).log_format, log::Format::kText);
}

TEST(ProcessConfig, WhoWeAre) {
  const auto config = config_of({{"ISTIO_META_WORKLOAD_NAME", "gate"},
                                 {"POD_NAMESPACE", "shop"},
                                 {"SERVICE_ACCOUNT", "gate-account"},
                                 {"TRUST_DOMAIN", "example.org"},
                                 {"CLUSTER_ID", "second"},
                                 {"ISTIO_META_CLUSTER_ID", "first"},
                                 {"ISTIO_META_NETWORK", "net1"}});
  EXPECT_EQ(config.self.name, "gate");
  EXPECT_EQ(config.self.identity().to_string(), "spiffe://example.org/ns/shop/sa/gate-account");
  EXPECT_EQ(config.self.cluster_id, "first");
  EXPECT_EQ(config.self.network, "net1");
  EXPECT_TRUE(config.identity_given);
  EXPECT_EQ(config_of({{"ISTIO_META_WORKLOAD_NAME", "gate"}}).self.service_account, "gate");
  EXPECT_FALSE(config_of({}).identity_given);
}

TEST(ProcessConfig, Threads) {
  Surroundings eight;
  eight.cpus = 8;
  EXPECT_EQ(config_of({}, eight).worker_threads, 8U);
  EXPECT_EQ(config_of({{"ISTIO_CPU_LIMIT", "1500m"}}, eight).worker_threads, 2U);
  eight.args = {"--concurrency=3"};
  EXPECT_EQ(config_of({{"ISTIO_CPU_LIMIT", "2"}}, eight).worker_threads, 3U);
  const Env pod{{"PROXY_CONFIG", R"({"concurrency": 4})"}};
  EXPECT_EQ(config_of(pod, eight).worker_threads, 4U);
  EXPECT_EQ(config_of({{"CONCURRENCY", "5"}, *pod.begin()}, eight).worker_threads, 5U);
  EXPECT_EQ(config_of({{"CONCURRENCY", "0"}}, eight).worker_threads, 8U);
}

TEST(ProcessConfig, Drain) {
  const auto usual = config_of({}).drain;
  EXPECT_EQ(usual.duration, seconds(5));
  EXPECT_EQ(usual.accepting, milliseconds(2500));
  EXPECT_FALSE(usual.until_idle);
  const Env pod{{"PROXY_CONFIG",
                 R"({"terminationDrainDuration": "20s",
                     "proxyMetadata": {"EXIT_ON_ZERO_ACTIVE_CONNECTIONS": "true"}})"}};
  EXPECT_EQ(config_of(pod).drain.duration, seconds(20));
  EXPECT_TRUE(config_of(pod).drain.until_idle);
  EXPECT_EQ(config_of(pod).drain.accepting, seconds(5));
  const auto given = config_of({*pod.begin(),
                                {"TERMINATION_DRAIN_DURATION_SECONDS", "8"},
                                {"MINIMUM_DRAIN_DURATION", "1s"},
                                {"EXIT_ON_ZERO_ACTIVE_CONNECTIONS", "false"}})
                         .drain;
  EXPECT_EQ(given.duration, seconds(8));
  EXPECT_FALSE(given.until_idle);
  EXPECT_EQ(given.accepting, seconds(4));
}

TEST(ProcessConfig, Ports) {
  const auto config = config_of({{"PROXY_CONFIG", "{proxyAdminPort: 1, statsPort: 2}"}});
  EXPECT_EQ(config.admin_port, 1);
  EXPECT_EQ(config.stats_port, 2);
  EXPECT_EQ(config_of({}).admin_port, 15000);
  EXPECT_EQ(config_of({}).stats_port, 15020);
  EXPECT_FALSE(config_of({{"IPV6_ENABLED", "false"}}).ipv6);
  Surroundings old;
  old.ipv6 = false;
  EXPECT_FALSE(config_of({}, old).ipv6);
  EXPECT_FALSE(config_of({}, old).ipv6_loopback);
}

TEST(ProcessConfig, SaysWhatItDoesNotUse) {
  EXPECT_THAT(config_of({{"CA_ADDR", "istiod:15012"}}).warnings,
              ::testing::ElementsAre(HasSubstr("CA_ADDR istiod:15012 is not used")));
}

}  // namespace
}  // namespace culvert::waypoint
