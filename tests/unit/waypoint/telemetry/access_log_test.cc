#include "waypoint/telemetry/access_log.h"

#include <gtest/gtest.h>

#include <algorithm>

#include <nlohmann/json.hpp>

namespace culvert::waypoint {
namespace {

using Format = AccessLogOptions::Format;

AccessEntry example() {
  AccessEntry e;
  // 2026-11-23T10:00:00.123Z
  e.start_time = WallTime(std::chrono::milliseconds(1795428000123));
  e.method = "GET";
  e.path = "/split?q=1";
  e.protocol = "HTTP/1.1";
  e.response_code = 200;
  e.response_code_details = "via_upstream";
  e.bytes_received = 5;
  e.bytes_sent = 1234;
  e.duration = std::chrono::milliseconds(17);
  e.upstream_service_time = "16";
  e.user_agent = "curl/8";
  e.request_id = "4a6f1d7e-0000-4000-8000-000000000000";
  e.authority = "server.demo";
  e.upstream_host = "10.244.1.11:8080";
  e.upstream_cluster = "inbound-vip|80|http|server.demo.svc.cluster.local";
  e.upstream_local_address = "10.244.1.30:40000";
  e.downstream_local_address = "10.96.1.10:80";
  e.downstream_remote_address = "10.244.1.10:50000";
  e.route_name = "default";
  return e;
}

TEST(AccessLog, TextFormatIsIstios) {
  EXPECT_EQ(format_access_log(example(), Format::kText),
            "[2026-11-23T10:00:00.123Z] \"GET /split?q=1 HTTP/1.1\" 200 - via_upstream - \"-\" 5 "
            "1234 17 16 "
            "\"-\" \"curl/8\" \"4a6f1d7e-0000-4000-8000-000000000000\" \"server.demo\" "
            "\"10.244.1.11:8080\" "
            "inbound-vip|80|http|server.demo.svc.cluster.local 10.244.1.30:40000 10.96.1.10:80 "
            "10.244.1.10:50000 - default");
}

TEST(AccessLog, NothingKnown) {
  EXPECT_EQ(format_access_log({}, Format::kText),
            "[1970-01-01T00:00:00.000Z] \"- - -\" 0 - - - \"-\" 0 0 0 - \"-\" \"-\" \"-\" \"-\" "
            "\"-\" - - - - - -");
}

TEST(AccessLog, JsonHasTheSameItems) {
  const auto line = nlohmann::ordered_json::parse(format_access_log(example(), Format::kJson));
  std::vector<std::string> keys;
  for (const auto& [key, value] : line.items()) keys.push_back(key);
  EXPECT_EQ(keys, (std::vector<std::string>{"start_time",
                                            "method",
                                            "path",
                                            "protocol",
                                            "response_code",
                                            "response_flags",
                                            "response_code_details",
                                            "connection_termination_details",
                                            "upstream_transport_failure_reason",
                                            "bytes_received",
                                            "bytes_sent",
                                            "duration",
                                            "upstream_service_time",
                                            "x_forwarded_for",
                                            "user_agent",
                                            "request_id",
                                            "authority",
                                            "upstream_host",
                                            "upstream_cluster",
                                            "upstream_local_address",
                                            "downstream_local_address",
                                            "downstream_remote_address",
                                            "requested_server_name",
                                            "route_name"}));
  EXPECT_EQ(line["response_code"], 200);
  EXPECT_EQ(line["duration"], 17);
  EXPECT_EQ(line["response_flags"], "-");
  EXPECT_TRUE(line["x_forwarded_for"].is_null());
  EXPECT_EQ(line["path"], "/split?q=1");
}

TEST(AccessLog, PeersCannotForgeLines) {
  AccessEntry e = example();
  e.user_agent = "x\" 200 -\n[2026";
  e.path = "/a\x1b[31m\\\xff";
  const std::string text = format_access_log(e, Format::kText);
  EXPECT_NE(text.find("\"x\\\" 200 -\\x0a[2026\""), std::string::npos) << text;
  EXPECT_NE(text.find("/a\\x1b[31m\\\\\\xff"), std::string::npos) << text;
  EXPECT_EQ(text.find('\n'), std::string::npos);
  const std::string json = format_access_log(e, Format::kJson);
  EXPECT_EQ(json.find('\n'), std::string::npos);
  EXPECT_EQ(nlohmann::json::parse(json)["user_agent"], e.user_agent);
}

TEST(AccessLog, OptionsChooseLines) {
  AccessEntry ok = example();
  AccessEntry denied = example();
  denied.response_code = 403;
  AccessEntry broken_tcp;
  broken_tcp.response_flags = "UF";
  AccessLogOptions options;
  EXPECT_FALSE(is_logged(denied, options));
  options.enabled = true;
  EXPECT_TRUE(is_logged(ok, options));
  options.errors_only = true;
  EXPECT_FALSE(is_logged(ok, options));
  EXPECT_TRUE(is_logged(denied, options));
  EXPECT_TRUE(is_logged(broken_tcp, options));
}

}  // namespace
}  // namespace culvert::waypoint
