#include "common/admin/version.h"
#include "tests/unit/ztunnel/config_fixture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include <nlohmann/json.hpp>

namespace culvert::ztunnel {
namespace {

using nlohmann::json;

json recorded() {
  std::ifstream file("tests/fixtures/ztunnel/config_dump_config.json");
  return json::parse(file);
}

// The environment and machine of the ztunnel whose dump is the fixture.
Config recorded_config() {
  Surroundings around;
  around.args = {"proxy", "ztunnel"};
  around.cpus = 2;
  around.exists = [](const std::string& path) { return path == "/fixture/root-cert.pem"; };
  around.resolv_conf =
      "# comment\nnameserver 10.96.0.10\nsearch istio-system.svc.cluster.local svc.cluster.local "
      "cluster.local\noptions ndots:5\n";
  return config_of({{"XDS_ADDRESS", "https://10.244.0.2:15012"},
                    {"CA_ADDRESS", "https://10.244.0.2:15012"},
                    {"XDS_ROOT_CA", "/fixture/root-cert.pem"},
                    {"CA_ROOT_CA", "/fixture/root-cert.pem"},
                    {"ALT_XDS_HOSTNAME", "istiod.istio-system.svc"},
                    {"ALT_CA_HOSTNAME", "istiod.istio-system.svc"},
                    {"INPOD_UDS", "/fixture/zds/node1.sock"},
                    {"NODE_NAME", "node1"},
                    {"POD_NAME", "ztunnel-node1"},
                    {"POD_NAMESPACE", "istio-system"},
                    {"SERVICE_ACCOUNT", "ztunnel"},
                    {"ISTIO_META_CLUSTER_ID", "Kubernetes"},
                    {"ISTIO_META_ISTIO_VERSION", "1.32.0"},
                    {"TERMINATION_GRACE_PERIOD_SECONDS", "30"},
                    {"INSTANCE_IP", "10.244.1.1"}},
                   around);
}

TEST(ConfigJson, IsWhatIstiosZtunnelDumps) {
  json expected = recorded()["config"];
  json actual = recorded_config().to_json();
  // The resolver's inner form is that of a library we do not use.
  EXPECT_EQ(actual["dnsResolverCfg"]["search"], expected["dnsResolverCfg"]["search"]);
  EXPECT_EQ(actual["dnsResolverCfg"]["name_servers"][0]["ip"], "10.96.0.10");
  for (json* each : {&expected, &actual}) {
    each->erase("dnsResolverCfg");
    each->erase("dnsResolverOpts");
    std::ranges::sort((*each)["illegalPorts"].get_ref<json::array_t&>());
  }
  EXPECT_EQ(actual["localCaDir"], nullptr);  // ours in addition
  EXPECT_EQ(actual["memoryBudget"], 16 << 20);
  EXPECT_EQ(actual["workloadMemoryBudget"], 8 << 20);
  for (const char* ours : {"localCaDir", "memoryBudget", "workloadMemoryBudget"})
    actual.erase(ours);
  EXPECT_EQ(actual, expected);
}

TEST(ConfigJson, KeepsTheVersionsKeys) {
  const json theirs = recorded()["version"], ours = admin::Version::of("").to_json();
  std::vector<std::string> expected, actual;
  for (const auto& [key, value] : theirs.items()) expected.push_back(key);
  for (const auto& [key, value] : ours.items()) actual.push_back(key);
  EXPECT_EQ(actual, expected);
}

TEST(ConfigJson, EncodesTheOtherForms) {
  const json dump = config_of({{"XDS_ADDRESS", ""},
                               {"LOCAL_CA_DIR", "/ca"},
                               {"XDS_ROOT_CA", "-----BEGIN CERTIFICATE-----\nx"},
                               {"CA_ROOT_CA", "SYSTEM"},
                               {"XDS_HEADER_Foo", "bar"},
                               {"AUTH_TOKEN", "secret"},
                               {"UNSTABLE_ENABLE_SOCKS5", "true"},
                               {"ISTIO_META_DNS_PROXY_ADDR", "127.0.0.1:53"},
                               {"SECRET_TTL", "1500ms"},
                               {"IPV6_ENABLED", "false"},
                               {"PROXY_MODE", "dedicated"},
                               {"PROXY_WORKLOAD_INFO", "ns/name/sa"},
                               {"ENABLE_ORIG_SRC", "true"}})
                        .to_json();
  EXPECT_EQ(dump["xdsAddress"], nullptr);
  EXPECT_EQ(dump["caAddress"], nullptr);
  EXPECT_EQ(dump["fakeCa"], true);
  EXPECT_EQ(dump["localCaDir"], "/ca");
  EXPECT_EQ(dump["xdsRootCert"], "Static");
  EXPECT_EQ(dump["caRootCert"], "Default");
  EXPECT_EQ(dump["xdsHeaders"], json::parse(R"([["foo","bar"]])"));
  EXPECT_EQ(dump["socks5Addr"], "127.0.0.1:15080");
  EXPECT_EQ(dump["dnsProxyAddr"], json::parse(R"({"SocketAddr":"127.0.0.1:53"})"));
  EXPECT_EQ(dump["secretTtl"], json::parse(R"({"secs":1,"nanos":500000000})"));
  EXPECT_EQ(dump["statsAddr"], json::parse(R"({"SocketAddr":"0.0.0.0:15020"})"));
  EXPECT_EQ(dump["adminAddr"], json::parse(R"({"Localhost":[false,15000]})"));
  EXPECT_EQ(dump["packetMark"], nullptr);
  EXPECT_EQ(dump["proxyMode"], "Dedicated");
  EXPECT_EQ(dump["proxyWorkloadInformation"],
            json::parse(R"({"name":"name","namespace":"ns","serviceAccount":"sa"})"));
  EXPECT_EQ(dump["requireOriginalSource"], true);
  EXPECT_EQ(dump["ztunnelIdentity"], nullptr);
  EXPECT_EQ(dump.dump().find("secret\""), std::string::npos) << "a token must not be dumped";
}

}  // namespace
}  // namespace culvert::ztunnel
