#include "ztunnel/config.h"

#include "tests/unit/ztunnel/config_fixture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace culvert::ztunnel {
namespace {

using namespace std::chrono_literals;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Key;
using ::testing::Not;
using ::testing::Pair;

Surroundings with_mesh(std::string yaml) {
  Surroundings around;
  around.mesh_config = std::move(yaml);
  return around;
}

Surroundings with_file(std::string path) {
  Surroundings around;
  around.exists = [path = std::move(path)](const std::string& asked) { return asked == path; };
  return around;
}

TEST(Config, DefaultsAreThoseOfIstiosZtunnel) {
  const Config config = config_of({});
  EXPECT_TRUE(config.proxy);
  EXPECT_TRUE(config.dns_proxy);
  EXPECT_EQ(config.mode, ProxyMode::kShared);
  EXPECT_EQ(config.worker_threads, 2U);
  EXPECT_EQ(config.termination_deadline, 5s);
  EXPECT_EQ(config.listeners.admin.port(), 15000);
  EXPECT_TRUE(config.listeners.admin.localhost);
  EXPECT_EQ(config.listeners.stats.address.to_string(), "[::]:15020");
  EXPECT_EQ(config.listeners.readiness.address.to_string(), "[::]:15021");
  EXPECT_EQ(config.listeners.inbound.to_string(), "[::]:15008");
  EXPECT_EQ(config.listeners.inbound_plaintext.to_string(), "[::]:15006");
  EXPECT_EQ(config.listeners.outbound.to_string(), "[::]:15001");
  EXPECT_EQ(config.listeners.dns.port(), 15053);
  EXPECT_EQ(config.listeners.socks5, std::nullopt);
  EXPECT_THAT(config.listeners.illegal_ports, ElementsAre(15001, 15006, 15008));
  EXPECT_EQ(config.http2.stream_window, 4194304U);
  EXPECT_EQ(config.http2.connection_window, 16777216U);
  EXPECT_EQ(config.http2.frame_size, 1048576U);
  EXPECT_EQ(config.pool.max_streams_per_connection, 100);
  EXPECT_EQ(config.pool.unused_release_timeout, 5min);
  EXPECT_TRUE(config.sockets.keepalive);
  EXPECT_EQ(config.sockets.keepalive_time, 180s);
  EXPECT_EQ(config.sockets.keepalive_interval, 180s);
  EXPECT_EQ(config.sockets.keepalive_retries, 9U);
  EXPECT_FALSE(config.sockets.user_timeout);
  EXPECT_EQ(config.sockets.packet_mark, 1337U);
  EXPECT_EQ(config.sockets.original_source, std::nullopt);
  EXPECT_EQ(config.mesh.network, "");
  EXPECT_EQ(config.mesh.node, std::nullopt);
  EXPECT_EQ(config.mesh.cluster_id, "Kubernetes");
  EXPECT_EQ(config.mesh.cluster_domain, "cluster.local");
  EXPECT_EQ(config.mesh.prefered_service_namespace, std::nullopt);
  EXPECT_TRUE(config.mesh.localhost_app_tunnel);
  EXPECT_TRUE(config.mesh.baggage);
  EXPECT_EQ(config.xds.address->uri, "https://localhost:15012");
  EXPECT_EQ(config.ca.address->uri, "https://localhost:15012");
  EXPECT_FALSE(config.xds.on_demand);
  EXPECT_EQ(config.xds.instance_ip, "1.1.1.1");
  EXPECT_EQ(config.xds.root.kind, RootCert::Kind::kFile);
  EXPECT_EQ(config.xds.root.value, "./var/run/secrets/istio/root-cert.pem");
  EXPECT_EQ(config.ca.secret_ttl, 24h);
  EXPECT_EQ(config.ca.local_dir, std::nullopt);
  EXPECT_FALSE(config.auth);
  EXPECT_EQ(config.inpod.uds, "/var/run/ztunnel/ztunnel.sock");
  EXPECT_TRUE(config.inpod.port_reuse);
  EXPECT_FALSE(config.tls.tls12);
  EXPECT_FALSE(config.tls.post_quantum_only);
  EXPECT_EQ(config.tls.crl_path, std::nullopt);
  EXPECT_EQ(config.logging.format, log::Format::kText);
  EXPECT_EQ(config.logging.filter, "hickory_server::server=off,info");
  EXPECT_FALSE(config.logging.policy_at_info);
  EXPECT_EQ(config.own_identity, std::nullopt);
  EXPECT_EQ(config.istio_version, "unknown");
  EXPECT_TRUE(config.ipv6);
}

TEST(Config, VariablesSetWhatTheyName) {
  const Config config = config_of({{"NETWORK", "n1"},
                                   {"NODE_NAME", "node1"},
                                   {"CLUSTER_DOMAIN", "mesh.local"},
                                   {"PACKET_MARK", "7"},
                                   {"INPOD_UDS", "/z.sock"},
                                   {"INPOD_PORT_REUSE", "false"},
                                   {"ENABLE_ORIG_SRC", "false"},
                                   {"LOCALHOST_APP_TUNNEL", "false"},
                                   {"ENABLE_RESPONSE_BAGGAGE", "false"},
                                   {"KEEPALIVE_ENABLED", "false"},
                                   {"KEEPALIVE_TIME", "1m"},
                                   {"KEEPALIVE_INTERVAL", "10"},
                                   {"KEEPALIVE_RETRIES", "3"},
                                   {"USER_TIMEOUT_ENABLED", "true"},
                                   {"HTTP2_STREAM_WINDOW_SIZE", "65536"},
                                   {"HTTP2_CONNECTION_WINDOW_SIZE", "131072"},
                                   {"HTTP2_FRAME_SIZE", "16384"},
                                   {"CULVERT_MEMORY_BUDGET", "64Mi"},
                                   {"CULVERT_WORKLOAD_MEMORY_BUDGET", "5242880"},
                                   {"POOL_MAX_STREAMS_PER_CONNECTION", "1"},
                                   {"POOL_UNUSED_RELEASE_TIMEOUT", "1h30m"},
                                   {"SECRET_TTL", "1h"},
                                   {"PREFERED_SERVICE_NAMESPACE", "prod"},
                                   {"TLS12_ENABLED", "true"},
                                   {"COMPLIANCE_POLICY", "pqc"},
                                   {"AUTHZ_POLICY_INFO_LOGGING", "true"},
                                   {"LOG_FORMAT", "json"},
                                   {"RUST_LOG", "ztunnel::proxy=debug,warn"},
                                   {"INSTANCE_IP", "10.0.0.1"},
                                   {"RUST_BACKTRACE", "1"},
                                   {"INPOD_ENABLED", "true"}});
  EXPECT_EQ(config.mesh.network, "n1");
  EXPECT_EQ(config.mesh.node, "node1");
  EXPECT_EQ(config.mesh.cluster_domain, "mesh.local");
  EXPECT_EQ(config.sockets.packet_mark, 7U);
  EXPECT_EQ(config.inpod.uds, "/z.sock");
  EXPECT_FALSE(config.inpod.port_reuse);
  EXPECT_EQ(config.sockets.original_source, false);
  EXPECT_FALSE(config.mesh.localhost_app_tunnel);
  EXPECT_FALSE(config.mesh.baggage);
  EXPECT_FALSE(config.sockets.keepalive);
  EXPECT_EQ(config.sockets.keepalive_time, 1min);
  EXPECT_EQ(config.sockets.keepalive_interval, 10s);
  EXPECT_EQ(config.sockets.keepalive_retries, 3U);
  EXPECT_TRUE(config.sockets.user_timeout);
  EXPECT_EQ(config.http2.stream_window, 65536U);
  EXPECT_EQ(config.http2.connection_window, 131072U);
  EXPECT_EQ(config.http2.frame_size, 16384U);
  EXPECT_EQ(config.memory.budget, 64U << 20);
  EXPECT_EQ(config.memory.workload_budget, 5U << 20);
  EXPECT_EQ(config.pool.max_streams_per_connection, 1);
  EXPECT_EQ(config.pool.unused_release_timeout, 90min);
  EXPECT_EQ(config.ca.secret_ttl, 1h);
  EXPECT_EQ(config.mesh.prefered_service_namespace, "prod");
  EXPECT_TRUE(config.tls.tls12);
  EXPECT_TRUE(config.tls.post_quantum_only);
  EXPECT_TRUE(config.logging.policy_at_info);
  EXPECT_EQ(config.logging.format, log::Format::kJson);
  EXPECT_EQ(config.logging.filter, "hickory_server::server=off,ztunnel::proxy=debug,warn");
  EXPECT_EQ(config.xds.instance_ip, "10.0.0.1");
}

TEST(Config, AWorkloadMayHoldHalfOfWhatTheProcessMay) {
  Surroundings around;
  around.memory = {.limit = 512U << 20, .limited = true};
  EXPECT_EQ(config_of({}, around).memory.budget, 256U << 20);
  EXPECT_EQ(config_of({}, around).memory.workload_budget, 128U << 20);
  const auto small = config_of({{"CULVERT_MEMORY_BUDGET", "1Mi"}}, around);
  EXPECT_EQ(small.memory.budget, 1U << 20);
  EXPECT_EQ(small.memory.workload_budget, 1U << 20);
}

TEST(Config, TypedVariablesRefuseMalformedValues) {
  const std::pair<const char*, const char*> bad[] = {{"ENABLE_PROXY", "yes"},
                                                     {"ENABLE_PROXY", ""},
                                                     {"IPV6_ENABLED", "1"},
                                                     {"INPOD_PORT_REUSE", "True"},
                                                     {"ENABLE_ORIG_SRC", "auto"},
                                                     {"LOCALHOST_APP_TUNNEL", "no"},
                                                     {"ENABLE_RESPONSE_BAGGAGE", "x"},
                                                     {"KEEPALIVE_ENABLED", "x"},
                                                     {"KEEPALIVE_TIME", "soon"},
                                                     {"KEEPALIVE_INTERVAL", ""},
                                                     {"KEEPALIVE_RETRIES", "-1"},
                                                     {"USER_TIMEOUT_ENABLED", "x"},
                                                     {"HTTP2_STREAM_WINDOW_SIZE", "0"},
                                                     {"HTTP2_STREAM_WINDOW_SIZE", "2147483648"},
                                                     {"HTTP2_CONNECTION_WINDOW_SIZE", "65534"},
                                                     {"HTTP2_CONNECTION_WINDOW_SIZE", "4294967296"},
                                                     {"HTTP2_FRAME_SIZE", "16383"},
                                                     {"HTTP2_FRAME_SIZE", "16777216"},
                                                     {"CULVERT_MEMORY_BUDGET", "1048575"},
                                                     {"CULVERT_MEMORY_BUDGET", "64MB"},
                                                     {"CULVERT_MEMORY_BUDGET", ""},
                                                     {"CULVERT_WORKLOAD_MEMORY_BUDGET", "0"},
                                                     {"POOL_MAX_STREAMS_PER_CONNECTION", "65536"},
                                                     {"POOL_MAX_STREAMS_PER_CONNECTION", "0"},
                                                     {"POOL_UNUSED_RELEASE_TIMEOUT", "5 minutes"},
                                                     {"CONNECTION_TERMINATION_DEADLINE", "x"},
                                                     {"TERMINATION_GRACE_PERIOD_SECONDS", "30s"},
                                                     {"SECRET_TTL", "1.5h"},
                                                     {"PACKET_MARK", "0x539"},
                                                     {"XDS_ON_DEMAND", "x"},
                                                     {"UNSTABLE_ENABLE_SOCKS5", "x"},
                                                     {"FAKE_CA", "x"},
                                                     {"INSTANCE_IP", "localhost"},
                                                     {"RUST_LOG", "loud"},
                                                     {"PROXY_MODE", "sidecar"},
                                                     {"ZTUNNEL_WORKER_THREADS", "some"}};
  for (const auto& [name, value] : bad) {
    EXPECT_THAT(error_of({{name, value}}),
                HasSubstr(std::string("invalid env var ") + name + "=" + value + " ("));
  }
  EXPECT_EQ(error_of({{"PROXY_MODE", "sidecar"}}),
            "invalid env var PROXY_MODE=sidecar (PROXY_MODE must be one of dedicated, shared)");
}

TEST(Config, ComparedVariablesNeverFail) {
  const Config config = config_of({{"TLS12_ENABLED", "TRUE"},
                                   {"COMPLIANCE_POLICY", "fips"},
                                   {"AUTHZ_POLICY_INFO_LOGGING", "1"},
                                   {"LOG_FORMAT", "xml"}});
  EXPECT_FALSE(config.tls.tls12);
  EXPECT_FALSE(config.tls.post_quantum_only);
  EXPECT_FALSE(config.logging.policy_at_info);
  EXPECT_EQ(config.logging.format, log::Format::kText);
}

TEST(Config, AllErrorsComeAtOnce) {
  const std::string error = error_of({{"ENABLE_PROXY", "x"},
                                      {"KEEPALIVE_TIME", "y"},
                                      {"PROXY_CONFIG", "{"},
                                      {"XDS_ADDRESS", "ftp://z"}});
  for (const char* part :
       {"ENABLE_PROXY=x", "KEEPALIVE_TIME=y",
        "failed parsing proxy config env: ", "XDS_ADDRESS=ftp://z (invalid uri: "}) {
    EXPECT_THAT(error, HasSubstr(part));
  }
}

TEST(Config, ServersMustBeEnabled) {
  EXPECT_EQ(error_of({{"ENABLE_PROXY", "false"}, {"ISTIO_META_DNS_CAPTURE", "false"}}),
            "error parsing proxy config: ztunnel run without any servers enabled");
}

TEST(Config, OnDemandExcludesTheDnsProxy) {
  EXPECT_EQ(error_of({{"XDS_ON_DEMAND", "true"}}),
            "error parsing proxy config: DNS proxy does not currently support on-demand mode");
  EXPECT_TRUE(
      config_of({{"XDS_ON_DEMAND", "true"}, {"ISTIO_META_DNS_CAPTURE", "false"}}).xds.on_demand);
}

TEST(Config, DnsCaptureIsOnUnlessSaidOtherwise) {
  for (const char* on : {"true", "TRUE", "True"}) {
    EXPECT_TRUE(config_of({{"ISTIO_META_DNS_CAPTURE", on}}).dns_proxy) << on;
  }
  for (const char* off : {"false", "", "yes", "1"}) {
    EXPECT_FALSE(config_of({{"ISTIO_META_DNS_CAPTURE", off}}).dns_proxy) << off;
  }
  EXPECT_FALSE(
      config_of({{"PROXY_CONFIG", "proxyMetadata: {ISTIO_META_DNS_CAPTURE: 'false'}"}}).dns_proxy);
}

TEST(Config, DnsProxyAddress) {
  const auto local = config_of({{"ISTIO_META_DNS_PROXY_ADDR", "localhost:5353"}}).listeners.dns;
  EXPECT_TRUE(local.localhost);
  EXPECT_EQ(local.all().size(), 2U);
  EXPECT_EQ(local.port(), 5353);
  const auto fixed = config_of({{"ISTIO_META_DNS_PROXY_ADDR", "[fd00::1]:53"}}).listeners.dns;
  EXPECT_THAT(fixed.all(), ElementsAre(*net::SocketAddress::parse("[fd00::1]:53")));
  EXPECT_THAT(error_of({{"ISTIO_META_DNS_PROXY_ADDR", "not-an-address"}}),
              HasSubstr("invalid configuration: failed to parse DNS_PROXY_ADDR: not-an-address ("));
  EXPECT_THAT(error_of({{"ISTIO_META_DNS_PROXY_ADDR", "localhost:65536"}}),
              HasSubstr("failed to parse DNS_PROXY_ADDR: localhost:65536"));
}

TEST(Config, DedicatedModeNeedsItsWorkload) {
  EXPECT_EQ(error_of({{"PROXY_MODE", "dedicated"}}),
            "invalid configuration: PROXY_MODE=dedicated requires PROXY_WORKLOAD_INFO to be set");
  for (const char* bad : {"", "ns", "ns/name"}) {
    EXPECT_EQ(error_of({{"PROXY_MODE", "dedicated"}, {"PROXY_WORKLOAD_INFO", bad}}),
              "invalid configuration: PROXY_WORKLOAD_INFO must match the format "
              "'namespace/name/service-account' (got " +
                  std::string(bad) + ")");
  }
  const Config config =
      config_of({{"PROXY_MODE", "dedicated"}, {"PROXY_WORKLOAD_INFO", "ns/name/sa/x"}});
  EXPECT_EQ(config.mode, ProxyMode::kDedicated);
  EXPECT_EQ(config.proxy_workload, (PodInfo{"name", "ns", "sa/x"}));
  EXPECT_EQ(config.sockets.packet_mark, std::nullopt);
  EXPECT_EQ(
      config_of(
          {{"PROXY_MODE", "dedicated"}, {"PROXY_WORKLOAD_INFO", "a/b/c"}, {"PACKET_MARK", "5"}})
          .sockets.packet_mark,
      5U);
  EXPECT_EQ(config_of({{"PROXY_WORKLOAD_INFO", "bad but not used"}}).proxy_workload, std::nullopt);
}

TEST(Config, ControlPlaneAddresses) {
  const std::string cluster = "https://istiod.istio-system.svc:15012";
  EXPECT_EQ(config_of({{"KUBERNETES_SERVICE_HOST", "10.0.0.1"}}).xds.address->uri, cluster);
  const config::Env with_proxy_config = {{"PROXY_CONFIG", "discoveryAddress: rev:15012"}};
  EXPECT_EQ(config_of(with_proxy_config).xds.address->uri, "https://rev:15012");
  // The CA does not follow the discovery address.
  EXPECT_EQ(config_of(with_proxy_config).ca.address->uri, "https://localhost:15012");
  EXPECT_EQ(config_of({{"PROXY_CONFIG", "discoveryAddress: rev:15012"}, {"XDS_ADDRESS", "own:1"}})
                .xds.address->uri,
            "https://own:1");
  EXPECT_FALSE(config_of({{"XDS_ADDRESS", ""}}).xds.address.has_value());
  EXPECT_THAT(error_of({{"CA_ADDRESS", ""}}), HasSubstr("invalid env var CA_ADDRESS= ("));
  EXPECT_THAT(error_of({{"PROXY_CONFIG", "discoveryAddress: 'a b'"}}),
              HasSubstr("invalid uri: a b"));
}

TEST(ControlPlaneAddress, Parses) {
  const auto address = ControlPlaneAddress::parse("https://[fd00::1]:15012/path");
  ASSERT_TRUE(address);
  EXPECT_EQ(address->host, "fd00::1");
  EXPECT_EQ(address->port, 15012);
  EXPECT_TRUE(address->tls);
  EXPECT_EQ(ControlPlaneAddress::parse("istiod")->uri, "https://istiod");
  EXPECT_EQ(ControlPlaneAddress::parse("istiod")->port, 443);
  EXPECT_FALSE(ControlPlaneAddress::parse("http://istiod")->tls);
  for (const char* bad : {"", "https://", "https://:1", "ftp://a", "a:0", "a:65536", "a:", "a b",
                          "https://[::1", "https://[x]:1", "[::1]x", "a\n"}) {
    const auto parsed = ControlPlaneAddress::parse(bad);
    ASSERT_FALSE(parsed) << bad;
    EXPECT_THAT(parsed.error().message(), HasSubstr("invalid uri: "));
  }
}

TEST(Config, DevelopmentCa) {
  const Config local = config_of({{"LOCAL_CA_DIR", "/ca"}, {"CA_ADDRESS", "istiod:15012"}});
  EXPECT_EQ(local.ca.local_dir, "/ca");
  EXPECT_FALSE(local.ca.address.has_value());
  EXPECT_EQ(config_of({{"FAKE_CA", "true"}}).ca.local_dir, "/tmp/culvert-development-ca");
  EXPECT_EQ(config_of({{"FAKE_CA", "true"}, {"LOCAL_CA_DIR", "/ca"}}).ca.local_dir, "/ca");
  EXPECT_EQ(config_of({{"FAKE_CA", "false"}}).ca.local_dir, std::nullopt);
  EXPECT_EQ(config_of({{"LOCAL_CA_DIR", ""}}).ca.local_dir, std::nullopt);
  EXPECT_EQ(error_of({{"FAKE_CA", "true"}, {"CA_ADDRESS", ""}}), "");
}

TEST(Config, RootCertificates) {
  EXPECT_EQ(config_of({{"XDS_ROOT_CA", "/r.pem"}}, with_file("/r.pem")).xds.root.kind,
            RootCert::Kind::kFile);
  EXPECT_EQ(config_of({{"CA_ROOT_CA", "SYSTEM"}}).ca.root.kind, RootCert::Kind::kSystem);
  const std::string pem = "-----BEGIN CERTIFICATE-----\n";
  EXPECT_EQ(config_of({{"XDS_ROOT_CA", pem}}).xds.root.kind, RootCert::Kind::kPem);
  EXPECT_EQ(config_of({{"XDS_ROOT_CA", pem}}).xds.root.value, pem);
  // A path whose file comes later must not become empty PEM text for ever.
  EXPECT_EQ(config_of({{"XDS_ROOT_CA", "/later.pem"}}).xds.root.kind, RootCert::Kind::kFile);
}

TEST(Config, AuthToken) {
  const std::string default_path = "./var/run/secrets/tokens/istio-token";
  const auto mounted = config_of({}, with_file(default_path)).auth;
  ASSERT_TRUE(mounted);
  EXPECT_TRUE(mounted->file);
  EXPECT_EQ(mounted->value, default_path);
  const auto file = config_of({{"AUTH_TOKEN", "/token"}}, with_file("/token")).auth;
  EXPECT_TRUE(file->file);
  const auto literal = config_of({{"AUTH_TOKEN", "abc"}}, with_file(default_path)).auth;
  EXPECT_FALSE(literal->file);
  EXPECT_EQ(literal->value, "abc");
}

TEST(Config, ExtraHeaders) {
  const Config config =
      config_of({{"XDS_HEADER_Foo", "bar"}, {"XDS_HEADER_b", ""}, {"CA_HEADER_x-y", "z"}});
  EXPECT_THAT(config.xds.headers, ElementsAre(Pair("foo", "bar"), Pair("b", "")));
  EXPECT_THAT(config.ca.headers, ElementsAre(Pair("x-y", "z")));
  for (const char* key : {"XDS_HEADER_", "XDS_HEADER_a b", "CA_HEADER_x-bin", "CA_HEADER_a:b"}) {
    EXPECT_EQ(error_of({{key, "v"}}), std::string("failed to parse header key: ") + key);
  }
  EXPECT_EQ(error_of({{"XDS_HEADER_a", "x\ny"}}), "failed to parse header value: x\ny");
}

TEST(Config, OnlyOneLocalConfiguration) {
  EXPECT_EQ(config_of({{"LOCAL_XDS_PATH", "/c.yaml"}}).xds.local_path, "/c.yaml");
  EXPECT_EQ(config_of({{"LOCAL_XDS", "{}"}}).xds.local_inline, "{}");
  EXPECT_EQ(error_of({{"LOCAL_XDS_PATH", "/c.yaml"}, {"LOCAL_XDS", "{}"}}),
            "only one of LOCAL_XDS_PATH or LOCAL_XDS may be set");
}

TEST(Config, DrainDeadline) {
  const std::pair<const char*, std::chrono::seconds> cases[] = {{"30", 25s}, {"11", 6s}, {"10", 9s},
                                                                {"2", 1s},   {"1", 1s},  {"0", 1s}};
  for (const auto& [grace, expected] : cases) {
    EXPECT_EQ(config_of({{"TERMINATION_GRACE_PERIOD_SECONDS", grace}}).termination_deadline,
              expected)
        << grace;
  }
  EXPECT_EQ(config_of({{"TERMINATION_GRACE_PERIOD_SECONDS", "30"},
                       {"CONNECTION_TERMINATION_DEADLINE", "90s"}})
                .termination_deadline,
            90s);
  EXPECT_GT(config_of({{"TERMINATION_GRACE_PERIOD_SECONDS", "18446744073709551615"}})
                .termination_deadline,
            24h);
}

TEST(Config, Socks5IsAnIllegalDestinationToo) {
  const Config config = config_of({{"UNSTABLE_ENABLE_SOCKS5", "true"}});
  EXPECT_EQ(config.listeners.socks5->to_string(), "127.0.0.1:15080");
  EXPECT_THAT(config.listeners.illegal_ports, ElementsAre(15001, 15006, 15008, 15080));
}

TEST(Config, WithoutIpv6AddressesAreIpv4) {
  const Config off = config_of({{"IPV6_ENABLED", "false"}});
  EXPECT_EQ(off.listeners.inbound.to_string(), "0.0.0.0:15008");
  EXPECT_EQ(off.listeners.stats.address.to_string(), "0.0.0.0:15020");
  EXPECT_EQ(off.listeners.admin.all().size(), 1U);
  Surroundings without_loopback;
  without_loopback.ipv6_loopback = false;
  const Config no_loopback = config_of({}, without_loopback);
  EXPECT_EQ(no_loopback.listeners.inbound.to_string(), "[::]:15008");
  EXPECT_THAT(no_loopback.listeners.admin.all(),
              ElementsAre(*net::SocketAddress::parse("127.0.0.1:15000")));
  EXPECT_THAT(config_of({}).listeners.admin.all(),
              ElementsAre(*net::SocketAddress::parse("127.0.0.1:15000"),
                          *net::SocketAddress::parse("[::1]:15000")));
}

TEST(Config, ClusterId) {
  EXPECT_EQ(config_of({{"CLUSTER_ID", "c2"}}).mesh.cluster_id, "c2");
  const Config both = config_of({{"CLUSTER_ID", "c2"}, {"ISTIO_META_CLUSTER_ID", "c1"}});
  EXPECT_EQ(both.mesh.cluster_id, "c1");
  EXPECT_THAT(both.xds.metadata, Contains(Pair("CLUSTER_ID", "c1")));
  // Metadata alone names the cluster to istiod, but does not change it here.
  EXPECT_EQ(
      config_of({{"PROXY_CONFIG", "proxyMetadata: {ISTIO_META_CLUSTER_ID: c3}"}}).mesh.cluster_id,
      "Kubernetes");
}

TEST(Config, MeshConfigFile) {
  const Config config = config_of(
      {},
      with_mesh("defaultConfig:\n  statsPort: 15888\n  proxyAdminPort: 15099\n  concurrency: 7\n"
                "  proxyMetadata:\n    ISTIO_META_FOO: foo\n"));
  EXPECT_EQ(config.listeners.stats.port(), 15888);
  EXPECT_EQ(config.listeners.admin.port(), 15099);
  EXPECT_EQ(config.worker_threads, 7U);
  EXPECT_THAT(config.xds.metadata, ElementsAre(Pair("FOO", "foo")));
  EXPECT_EQ(config.mesh.cluster_id, "Kubernetes");
  EXPECT_THAT(error_of({}, with_mesh("{")),
              HasSubstr("error parsing proxy config: failed parsing mesh config file "
                        "./etc/istio/config/mesh: "));
}

TEST(Config, ProxyConfigAndEnvironmentOverrideTheFile) {
  const Config config = config_of(
      {{"PROXY_CONFIG",
        "discoveryAddress: istiod-rev0.istio-system-2:15012\nproxyAdminPort: 15999\n"
        "proxyMetadata:\n  ISTIO_META_BAR: bar\n  FOOBAR: foobar-overwritten\n  PLAIN: p\n"},
       {"ISTIO_META_INCLUDE_THIS", "yes"},
       {"ISTIO_META_ISTIO_META_TWICE", "t"},
       {"ISTIO_META_BAR", "from env"},
       {"EXCLUDE_THIS", "no"}},
      with_mesh("defaultConfig: {statsPort: 15888, proxyAdminPort: 15099, proxyMetadata: "
                "{ISTIO_META_FOO: foo, FOOBAR: base}}"));
  EXPECT_EQ(config.xds.address->uri, "https://istiod-rev0.istio-system-2:15012");
  EXPECT_EQ(config.listeners.admin.port(), 15999);
  EXPECT_EQ(config.listeners.stats.port(), 15888);
  EXPECT_EQ(config.listeners.readiness.port(), 15021);
  EXPECT_THAT(
      config.xds.metadata,
      ElementsAre(Pair("BAR", "from env"), Pair("FOO", "foo"), Pair("FOOBAR", "foobar-overwritten"),
                  Pair("INCLUDE_THIS", "yes"), Pair("PLAIN", "p"), Pair("TWICE", "t")));
  EXPECT_THAT(config_of({{"PROXY_CONFIG", ""}}).xds.metadata, IsEmpty());
}

TEST(Config, StructuredMetadata) {
  const Config config =
      config_of({{"ISTIO_METAJSON_LABELS", R"({"a":"b"})"}, {"ISTIO_METAJSON_BAD", "{"}});
  EXPECT_THAT(config.xds.metadata_json, ElementsAre(Pair("LABELS", R"({"a":"b"})")));
  EXPECT_THAT(config.xds.metadata, Not(Contains(Key("LABELS"))));
  EXPECT_THAT(config.warnings, Contains(HasSubstr("ISTIO_METAJSON_BAD is not JSON")));
}

TEST(Config, OwnIdentityNeedsAllThreeNames) {
  const Config config = config_of({{"POD_NAME", "z-1"},
                                   {"POD_NAMESPACE", "istio-system"},
                                   {"SERVICE_ACCOUNT", "ztunnel"},
                                   {"TRUST_DOMAIN", "td"}});
  ASSERT_TRUE(config.own_identity && config.own_workload);
  EXPECT_EQ(config.own_identity->to_string(), "spiffe://td/ns/istio-system/sa/ztunnel");
  EXPECT_EQ(*config.own_workload, (PodInfo{"z-1", "istio-system", "ztunnel"}));
  const Config partly = config_of({{"POD_NAME", "z-1"}, {"POD_NAMESPACE", "istio-system"}});
  EXPECT_EQ(partly.own_identity, std::nullopt);
  EXPECT_EQ(partly.xds.pod_name, "z-1");
  EXPECT_EQ(partly.xds.pod_namespace, "istio-system");
}

TEST(Config, Arguments) {
  Surroundings around;
  around.args = {"proxy", "ztunnel"};
  EXPECT_EQ(config_of({}, around).args, "proxy ztunnel");
}

}  // namespace
}  // namespace culvert::ztunnel
