#include "common/config/proxy_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace culvert::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

TEST(ProxyConfig, ReadsYamlAndJson) {
  const auto yaml = parse_proxy_config(
      "discoveryAddress: istiod:15012\nproxyAdminPort: 15099\nstatsPort: 15888\nconcurrency: 3\n"
      "drainDuration: 45s\nproxyMetadata:\n  ISTIO_META_FOO: foo\n");
  ASSERT_TRUE(yaml) << yaml.error().message();
  EXPECT_EQ(yaml->discovery_address, "istiod:15012");
  EXPECT_EQ(yaml->proxy_admin_port, 15099);
  EXPECT_EQ(yaml->stats_port, 15888);
  EXPECT_EQ(yaml->concurrency, 3);
  EXPECT_THAT(yaml->proxy_metadata, ElementsAre(Pair("ISTIO_META_FOO", "foo")));
  EXPECT_EQ(parse_proxy_config(R"({"statsPort": 15021, "proxyMetadata": {"A": "b"}})")->stats_port,
            15021);
}

TEST(ProxyConfig, MissingMetadataIsEmpty) {
  const auto config = parse_proxy_config("statsPort: 1");
  ASSERT_TRUE(config);
  EXPECT_THAT(config->proxy_metadata, IsEmpty());
  EXPECT_TRUE(parse_proxy_config(""));
  EXPECT_TRUE(parse_proxy_config("\n  # nothing\n#: here\n"));
  EXPECT_FALSE(parse_proxy_config("# text\nthat is no map"));
  EXPECT_TRUE(parse_proxy_config("{}"));
  EXPECT_TRUE(parse_proxy_config("proxyMetadata:\n"));
}

TEST(ProxyConfig, NullIsAbsentAndQuotesDoNotMatter) {
  const auto config = parse_proxy_config(
      "{discoveryAddress: null, statsPort: ~, concurrency: '3', terminationDrainDuration: 5s}");
  ASSERT_TRUE(config) << config.error().message();
  EXPECT_EQ(config->discovery_address, std::nullopt);
  EXPECT_EQ(config->stats_port, std::nullopt);
  EXPECT_EQ(config->concurrency, 3);
  EXPECT_EQ(config->termination_drain_duration, std::chrono::seconds(5));
  EXPECT_TRUE(parse_proxy_config("~"));
  EXPECT_TRUE(parse_mesh_config("defaultConfig: null"));
}

TEST(ProxyConfig, RefusesWrongTypes) {
  for (const char* bad : {"statsPort: 65536", "statsPort: many", "statsPort: [1]",
                          "concurrency: -1", "proxyMetadata: [a]", "proxyMetadata: {A: [b]}",
                          "proxyMetadata: {A: }", "terminationDrainDuration: soon",
                          "statsPort: 1\nstatsPort: 2", "- a", "text", "{unclosed"}) {
    EXPECT_FALSE(parse_proxy_config(bad)) << bad;
  }
  EXPECT_THAT(parse_proxy_config("\nstatsPort: x").error().message(),
              HasSubstr("statsPort: invalid digit found in string (line 2)"));
}

TEST(MeshConfig, OnlyTheDefaultConfigIsRead) {
  const auto mesh = parse_mesh_config(
      "accessLogFile: /dev/stdout\nstatsPort: 1\ndefaultConfig:\n  statsPort: 15888\n");
  ASSERT_TRUE(mesh);
  EXPECT_EQ(mesh->stats_port, 15888);
  EXPECT_TRUE(parse_mesh_config("trustDomain: x"));
  EXPECT_TRUE(parse_mesh_config(""));
  EXPECT_FALSE(parse_mesh_config("[]"));
  EXPECT_FALSE(parse_mesh_config("defaultConfig: text"));
}

TEST(ProxyConfig, MergeReplacesScalarsAndMergesMetadata) {
  ProxyConfig base = *parse_proxy_config(
      "{proxyAdminPort: 15099, statsPort: 15888, proxyMetadata: {A: base, B: base}}");
  base.merge(*parse_proxy_config("{proxyAdminPort: 15999, proxyMetadata: {B: own, C: own}}"));
  EXPECT_EQ(base.proxy_admin_port, 15999);
  EXPECT_EQ(base.stats_port, 15888);
  EXPECT_THAT(base.proxy_metadata,
              ElementsAre(Pair("A", "base"), Pair("B", "own"), Pair("C", "own")));
}

}  // namespace
}  // namespace culvert::config
