#include "common/metrics/openmetrics.h"

#include "common/metrics/shard.h"

#include <gtest/gtest.h>

namespace culvert::metrics {
namespace {

TEST(OpenMetrics, RendersEachTypeAsIstiosZtunnelDoes) {
  Registry registry;
  registry.add_callback("process_open_fds", "Number of open file descriptors", [] { return 53; });
  const FamilyId build = registry.add(
      {"istio_build", "Istio component build info", Type::kGauge, {"component", "tag"}});
  const FamilyId bytes = registry.add({"istio_xds_message_bytes",
                                       "Total number of bytes received (unstable)",
                                       Type::kCounter,
                                       {"url"},
                                       "bytes"});
  registry.add({"istio_tcp_connections_failed", "Never seen", Type::kCounter, {"reporter"}});
  registry.add({"workload_manager_proxies_stopped",
                "The total number of proxies that were stopped (unstable)"});
  Shard& shard = registry.make_shard();
  shard.gauge(build, shard.labels(build, {"ztunnel", "1.32.0"})).set(1);
  shard.counter(bytes, shard.labels(bytes, {"type.googleapis.com/istio.workload.Address"}))
      .add(1914);

  EXPECT_EQ(render_openmetrics(registry),
            R"(# HELP process_open_fds Number of open file descriptors
# TYPE process_open_fds gauge
process_open_fds 53
# HELP istio_build Istio component build info.
# TYPE istio_build gauge
istio_build{component="ztunnel",tag="1.32.0"} 1
# HELP istio_xds_message_bytes Total number of bytes received (unstable).
# TYPE istio_xds_message_bytes counter
# UNIT istio_xds_message_bytes bytes
istio_xds_message_bytes_total{url="type.googleapis.com/istio.workload.Address"} 1914
# HELP workload_manager_proxies_stopped The total number of proxies that were stopped (unstable).
# TYPE workload_manager_proxies_stopped counter
workload_manager_proxies_stopped_total 0
# EOF
)");
}

TEST(OpenMetrics, RendersHistogramsCumulatively) {
  Registry registry;
  const FamilyId family =
      registry.add({"d_seconds", "Time", Type::kHistogram, {"kind"}, "seconds", {0.0005, 0.1, 1}});
  Shard& shard = registry.make_shard();
  Histogram& histogram = shard.histogram(family, shard.labels(family, {"a"}));
  for (const double value : {0.25, 0.25, 2.0}) histogram.observe(value);
  EXPECT_EQ(render_openmetrics(registry), R"(# HELP d_seconds Time.
# TYPE d_seconds histogram
# UNIT d_seconds seconds
d_seconds_sum{kind="a"} 2.5
d_seconds_count{kind="a"} 3
d_seconds_bucket{le="0.0005",kind="a"} 0
d_seconds_bucket{le="0.1",kind="a"} 0
d_seconds_bucket{le="1.0",kind="a"} 2
d_seconds_bucket{le="+Inf",kind="a"} 3
# EOF
)");
}

TEST(OpenMetrics, EscapesLabelValues) {
  Registry registry;
  const FamilyId family = registry.add({"n", "N", Type::kCounter, {"v"}});
  Shard& shard = registry.make_shard();
  shard.counter(family, shard.labels(family, {"a\"b\\c\nd"})).add();
  EXPECT_NE(render_openmetrics(registry).find(R"(n_total{v="a\"b\\c\nd"} 1)"), std::string::npos);
}

TEST(OpenMetrics, NothingRegisteredIsStillAnExposition) {
  EXPECT_EQ(render_openmetrics(Registry()), "# EOF\n");
}

TEST(ContentType, FollowsAccept) {
  constexpr std::string_view kText = "text/plain; charset=utf-8";
  constexpr std::string_view kOpen = "application/openmetrics-text;charset=utf-8;version=1.0.0";
  EXPECT_EQ(exposition_content_type({}), kText);
  EXPECT_EQ(exposition_content_type({"application/json"}), kText);
  EXPECT_EQ(exposition_content_type({"text/plain", "application/openmetrics-text;version=0.0.1"}),
            kOpen);
  // What Prometheus sends.
  EXPECT_EQ(exposition_content_type(
                {"application/openmetrics-text;version=1.0.0,application/openmetrics-text;version="
                 "0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"}),
            kOpen);
  // Blanks around list elements are allowed (RFC 9110 section 5.6.1).
  EXPECT_EQ(exposition_content_type({"text/plain , Application/OpenMetrics-Text ; q=1"}), kOpen);
  EXPECT_EQ(exposition_content_type({"application/openmetrics-textual, ,"}), kText);
}

}  // namespace
}  // namespace culvert::metrics
