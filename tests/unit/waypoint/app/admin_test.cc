#include "waypoint/admin.h"

#include "common/base/log.h"
#include "waypoint/config/config_yaml.h"
#include "waypoint/model_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace culvert::waypoint {
namespace {

using admin::Request;
using admin::Response;
using nlohmann::json;
using ::testing::HasSubstr;

class WaypointAdmin : public ::testing::Test {
 protected:
  WaypointAdmin() {
    AdminCallbacks callbacks;
    callbacks.config_dump = [] { return json{{"name", "bad \xff"}}; };
    callbacks.server_info = [] { return json{{"version", "1"}}; };
    callbacks.state = [this] { return state_; };
    callbacks.quit = [this] { ++quits_; };
    callbacks.drain_listeners = [this](bool graceful) { drains_.push_back(graceful); };
    add_admin_endpoints(site_, std::move(callbacks));
    add_agent_endpoints(agent_, [this] { ++quits_; }, [this] { drains_.push_back(true); });
  }
  ~WaypointAdmin() override { log::set_filter(before_); }

  static Response ask(const admin::Site& site, const std::string& path, const std::string& method,
                      const std::string& query = "", bool loopback = true) {
    Request request;
    request.method = method;
    request.path = path;
    request.query = query;
    request.from_loopback = loopback;
    return site.answer(request);
  }

  log::Filter before_ = log::current_filter();
  admin::Site site_, agent_;
  ServerState state_ = ServerState::kPreInitializing;
  int quits_ = 0;
  std::vector<bool> drains_;
};

TEST_F(WaypointAdmin, ReadyOnlyWhenLive) {
  EXPECT_EQ(ask(site_, "/ready", "GET").status, 503U);
  EXPECT_EQ(ask(site_, "/ready", "GET").body, "PRE_INITIALIZING\n");
  state_ = ServerState::kLive;
  EXPECT_EQ(ask(site_, "/ready", "GET").status, 200U);
  EXPECT_EQ(ask(site_, "/ready", "GET").body, "LIVE\n");
  state_ = ServerState::kDraining;
  EXPECT_EQ(ask(site_, "/ready", "GET").status, 503U);
  EXPECT_EQ(json::parse(ask(site_, "/server_info", "GET").body)["state"], "DRAINING");
}

TEST_F(WaypointAdmin, ChangesOnlyByPost) {
  EXPECT_EQ(ask(site_, "/quitquitquit", "GET").status, 405U);
  EXPECT_EQ(ask(site_, "/drain_listeners", "GET").status, 405U);
  EXPECT_EQ(quits_, 0);
  EXPECT_EQ(ask(site_, "/quitquitquit", "POST").status, 200U);
  EXPECT_EQ(quits_, 1);
  ask(site_, "/drain_listeners", "POST", "inboundonly&graceful");
  ask(site_, "/drain_listeners", "POST");
  EXPECT_THAT(drains_, ::testing::ElementsAre(true, false));
}

TEST_F(WaypointAdmin, AgentsPortObeysOnlyThePodItself) {
  EXPECT_EQ(ask(agent_, "/quitquitquit", "POST", "", false).status, 403U);
  EXPECT_EQ(ask(agent_, "/drain", "POST", "", false).status, 403U);
  EXPECT_EQ(quits_, 0);
  EXPECT_TRUE(drains_.empty());
  EXPECT_EQ(ask(agent_, "/quitquitquit", "POST").status, 200U);
  EXPECT_EQ(quits_, 1);
}

TEST_F(WaypointAdmin, Logging) {
  log::set_filter(*log::Filter::parse("info"));
  EXPECT_EQ(ask(site_, "/logging", "POST", "level=waypoint::proxy:debug").body,
            "active log levels: waypoint::proxy=debug,info\n");
  EXPECT_EQ(ask(site_, "/logging", "POST", "level=loudest").status, 400U);
  EXPECT_EQ(log::current_filter().to_string(), "waypoint::proxy=debug,info");
}

TEST_F(WaypointAdmin, DumpSurvivesNamesThatAreNotUtf8) {
  EXPECT_THAT(ask(site_, "/config_dump", "GET").body, HasSubstr("bad "));
}

TEST(ModelJson, ShowsPortsChainsAndPolicies) {
  const auto loaded = parse_config(R"(
waypoint: {name: gate, namespace: demo}
services:
- name: shop
  addresses: [10.96.0.12]
  ports: [{port: 80, targetPort: 8080, protocol: http}, {port: 9000, protocol: sniff}]
  endpoints: [{address: 10.0.0.1}]
authorizationPolicies:
- {name: all, targetRefs: [{kind: Service, name: shop}], rules: [{}]}
)");
  ASSERT_TRUE(loaded) << loaded.error().message();
  const json shown = model_json(*loaded->model);
  EXPECT_EQ(shown["waypoint"]["identity"], "spiffe://cluster.local/ns/demo/sa/gate");
  const json& service = shown["services"][0];
  EXPECT_EQ(service["addresses"], json({"10.96.0.12"}));
  const json& http = service["ports"][0];
  EXPECT_EQ(http["protocol"], "http");
  EXPECT_EQ(http["tcp"], nullptr);
  EXPECT_EQ(http["http"]["name"], "inbound-vip|80|http|shop.demo.svc.cluster.local");
  EXPECT_EQ(http["http"]["policies"][0]["action"], "ALLOW");
  EXPECT_EQ(http["http"]["routes"][0]["targets"][0]["endpoints"], 1);
  EXPECT_EQ(service["ports"][1]["tcp"]["targets"][0]["weight"], 1);
}

}  // namespace
}  // namespace culvert::waypoint
