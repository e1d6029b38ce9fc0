#include "waypoint/tunnel/tunnel_server.h"

#include "common/h2/errors.h"
#include "common/hbone/connect.h"
#include "common/hbone/pool.h"
#include "common/hbone/stream_io.h"
#include "common/net/socket_factory.h"
#include "tests/support/loop.h"
#include "tests/support/socket_pair.h"
#include "tests/support/test_ca.h"
#include "tests/unit/waypoint/support.h"
#include "waypoint/config/config_yaml.h"

#include <gtest/gtest.h>

#include <netinet/in.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace culvert::waypoint {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kConfig = R"(
waypoint: {name: gate, namespace: demo}
services:
- name: shop
  addresses: [10.96.0.12]
  ports:
  - {port: 5432, protocol: tcp}
  - {port: 7000, protocol: sniff}
  endpoints: [{address: 10.0.0.1}]
)";
constexpr const char* kOnlyOthers = R"(
authorizationPolicies:
- name: others
  targetRefs: [{kind: Service, name: shop}]
  rules: [{from: [{source: {principals: [cluster.local/ns/demo/sa/other]}}]}]
)";

ModelPtr model_of(const std::string& yaml) {
  auto loaded = parse_config(yaml);
  EXPECT_TRUE(loaded) << loaded.error().message();
  return loaded ? loaded->model : nullptr;
}

// Endpoints that are the far ends of socket pairs, which the test holds.
class FakeUpstreams final : public Upstreams {
 public:
  explicit FakeUpstreams(net::Reactor& reactor) : reactor_(reactor) {}
  net::Task<Result<Exchange>> open(UpstreamPtr, const Endpoint&, bool, Time) override {
    co_return Error(ExchangeErrc::kConnectFailed);
  }
  net::Task<Result<Raw>> open_raw(UpstreamPtr, const Endpoint&, Time) override {
    auto [near, far] = culvert::test::tcp_pair();
    applications.push_back(std::make_unique<net::Socket>(reactor_, std::move(far)));
    Raw raw;
    raw.stream = std::make_unique<net::Socket>(reactor_, std::move(near));
    co_return raw;
  }
  [[nodiscard]] std::vector<uint32_t> active(const Upstream& upstream) const override {
    return std::vector<uint32_t>(upstream.endpoints.size());
  }
  std::vector<std::unique_ptr<net::Socket>> applications;

 private:
  net::Reactor& reactor_;
};

class TunnelServerTest : public ::testing::Test {
 protected:
  TunnelServerTest()
      : worker_(tls::Options{}, memory_),
        families_(registry_),
        shard_(registry_.make_shard()),
        telemetry_(families_, shard_),
        upstreams_(worker_.reactor),
        proxy_(worker_, upstreams_, telemetry_) {
    worker_.random = std::make_unique<test::Seeded>();
    worker_.credential = ca_.credential(culvert::test::spiffe("demo", "gate"));
    worker_.model = model_of(kConfig);
    const net::SocketFactory sockets({.ipv6 = false}, nullptr, nullptr);
    auto listener = sockets.listen(0, net::SocketFactory::Transparent::kNo, false).value();
    sockaddr_in bound{};
    socklen_t length = sizeof bound;
    ::getsockname(listener.fd.get(), reinterpret_cast<sockaddr*>(&bound), &length);
    port_ = ntohs(bound.sin_port);
    server_ = std::make_unique<TunnelServer>(Services{worker_, upstreams_, telemetry_, proxy_},
                                             std::move(listener.fd));
    pool_ = new_pool();
  }

  // Without tunnels as yet.
  std::unique_ptr<hbone::Pool> new_pool() {
    return std::make_unique<hbone::Pool>(
        worker_.reactor, hbone::PoolOptions(), worker_.buffers, memory_,
        [this](hbone::TunnelKey key) { return dial(std::move(key)); });
  }

  net::Task<Result<hbone::Pool::Dialled>> dial(hbone::TunnelKey key) {
    const net::SocketFactory sockets({.ipv6 = false}, nullptr, nullptr);
    auto fd = sockets.dial(key.address.ip);
    if (!fd) co_return fd.error();
    auto socket = co_await net::Socket::connect(worker_.reactor, std::move(*fd), key.address,
                                                Clock::now() + seconds(5));
    if (!socket) co_return socket.error();
    ++dialled_;
    co_return hbone::Pool::Dialled{
        std::move(*socket),
        tls::Engine::client(client_tls_, ca_.credential(culvert::test::spiffe("demo", "client")),
                            {culvert::test::identity("demo", "gate")})};
  }

  Result<hbone::Pool::Connected> connect(const std::string& authority,
                                         const std::string& method = "CONNECT") {
    hbone::TunnelKey key;
    key.source = culvert::test::identity("demo", "client");
    key.destination = {culvert::test::identity("demo", "gate")};
    key.address = {net::IpAddress::loopback_v4(), port_};
    std::vector<h2::Field> fields{{":method", method}, {":authority", authority}};
    if (method != "CONNECT") {
      fields.push_back({":scheme", "http"});
      fields.push_back({":path", "/"});
    }
    return culvert::test::run(worker_.reactor, pool_->connect(std::move(key), std::move(fields),
                                                              Clock::now() + seconds(5)));
  }
  // An open connection to an address that is served.
  std::unique_ptr<hbone::StreamIo> open(const std::string& authority) {
    auto connected = connect(authority);
    EXPECT_TRUE(connected) << connected.error().message();
    if (!connected) return nullptr;
    return std::make_unique<hbone::StreamIo>(std::move(connected->stream));
  }
  std::string status(const std::string& authority, const std::string& method = "CONNECT") {
    const auto connected = connect(authority, method);
    return connected ? "200" : connected.error().message();
  }
  // A few bytes that arrive, or the error's text.
  std::string read(net::ByteStream& stream) {
    std::vector<uint8_t> bytes(64);
    const auto n =
        culvert::test::run(worker_.reactor, stream.read(bytes, Clock::now() + seconds(5)));
    if (!n) return "error: " + n.error().message();
    return {bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(*n)};
  }
  // Not by its own patience.
  bool ended(net::ByteStream& stream) {
    std::vector<uint8_t> bytes(64);
    const auto n =
        culvert::test::run(worker_.reactor, stream.read(bytes, Clock::now() + seconds(5)));
    return !n && n.error().code != culvert::Errc::kTimedOut;
  }
  void write(net::ByteStream& stream, std::string_view text) {
    EXPECT_TRUE(culvert::test::run(worker_.reactor,
                                   stream.write(as_bytes(text), Clock::now() + seconds(5))));
  }
  bool wait_for_application(size_t count) {
    return culvert::test::run_until(worker_.reactor,
                                    [&] { return upstreams_.applications.size() >= count; });
  }
  size_t finish(Duration within) {
    std::optional<size_t> cut;
    server_->finish(Clock::now() + within, [&cut](size_t n) { cut = n; });
    culvert::test::run_until(worker_.reactor, [&] { return cut.has_value(); });
    return cut.value_or(999);
  }

  culvert::test::TestCa ca_;
  metrics::Registry registry_;
  MemoryAccount memory_{"the process", uint64_t{1} << 30};
  Worker worker_;
  MetricFamilies families_;
  metrics::Shard& shard_;
  Telemetry telemetry_;
  FakeUpstreams upstreams_;
  Proxy proxy_;
  tls::Context client_tls_{tls::Options{}};
  uint16_t port_ = 0;
  int dialled_ = 0;
  std::unique_ptr<TunnelServer> server_;
  std::unique_ptr<hbone::Pool> pool_;
};

TEST_F(TunnelServerTest, RawBytesGoBothWaysAndTheServerMaySpeakFirst) {
  for (const char* authority :
       {"10.96.0.12:5432", "10.96.0.12:7000", "shop.demo.svc.cluster.local:5432"}) {
    const size_t before = upstreams_.applications.size();
    const auto client = open(authority);
    ASSERT_NE(client, nullptr);
    ASSERT_TRUE(wait_for_application(before + 1));
    net::Socket& application = *upstreams_.applications.back();
    write(application, "220 ready");
    EXPECT_EQ(read(*client), "220 ready");
    write(*client, "QUIT");
    EXPECT_EQ(read(application), "QUIT");
  }
}

TEST_F(TunnelServerTest, RefusesWhatItDoesNotServe) {
  EXPECT_EQ(status("10.96.0.12:81"), "http status: 404 Not Found");
  EXPECT_EQ(status("192.0.2.1:80"), "http status: 404 Not Found");
  EXPECT_EQ(status("other.demo:80"), "http status: 404 Not Found");
  EXPECT_EQ(status("10.96.0.12"), "http status: 400 Bad Request");
  EXPECT_EQ(status("10.96.0.12:99999"), "http status: 400 Bad Request");
  EXPECT_EQ(status("10.96.0.12:5432", "GET"), "http status: 400 Bad Request");
  EXPECT_EQ(
      shard_.counter(families_.connects_refused, shard_.labels(families_.connects_refused, {"404"}))
          .value(),
      3U);
  worker_.model = nullptr;
  EXPECT_EQ(status("10.96.0.12:5432"), "http status: 503 Service Unavailable");
  EXPECT_EQ(dialled_, 1);  // refusals leave the tunnel alone
}

TEST_F(TunnelServerTest, WithoutACertificateNobodyGetsIn) {
  worker_.credential = nullptr;
  EXPECT_FALSE(connect("10.96.0.12:5432"));
  EXPECT_EQ(shard_.gauge(families_.tunnels).value(), 0);
}

TEST_F(TunnelServerTest, TakesNothingNewWhileMemoryIsShort) {
  const auto client = open("10.96.0.12:5432");
  ASSERT_TRUE(wait_for_application(1));
  HeldBytes held(memory_);
  ASSERT_TRUE(held.resize(memory_.budget() / 4 * 3 + 1));
  EXPECT_EQ(status("10.96.0.12:5432"), "http status: 503 Service Unavailable");
  EXPECT_EQ(dialled_, 1);
  pool_ = new_pool();
  EXPECT_FALSE(connect("10.96.0.12:5432"));
  EXPECT_EQ(shard_.gauge(families_.tunnels).value(), 0);
  held.release();
  EXPECT_EQ(status("10.96.0.12:5432"), "200");
}

TEST_F(TunnelServerTest, PolicyChangeEndsRawConnections) {
  const auto client = open("10.96.0.12:5432");
  ASSERT_TRUE(wait_for_application(1));
  worker_.model = model_of(std::string(kConfig) + kOnlyOthers);
  server_->model_changed();
  EXPECT_TRUE(ended(*client));
  // A new one is refused by the policy: reset without a byte.
  const auto refused = open("10.96.0.12:5432");
  ASSERT_TRUE(refused);
  EXPECT_TRUE(ended(*refused));
  EXPECT_EQ(upstreams_.applications.size(), 1U);
}

TEST_F(TunnelServerTest, ModelsThatAllowLeaveRawConnectionsAlone) {
  const auto client = open("10.96.0.12:5432");
  ASSERT_TRUE(wait_for_application(1));
  worker_.model = model_of(kConfig);
  server_->model_changed();
  write(*upstreams_.applications[0], "still here");
  EXPECT_EQ(read(*client), "still here");
}

TEST_F(TunnelServerTest, WhatIsNotServedAnyMoreEnds) {
  const auto client = open("10.96.0.12:5432");
  ASSERT_TRUE(wait_for_application(1));
  worker_.model = model_of("waypoint: {name: gate, namespace: demo}");
  server_->model_changed();
  EXPECT_TRUE(ended(*client));
}

TEST_F(TunnelServerTest, DrainKeepsWhatIsOpenAndTakesNewTunnels) {
  const auto client = open("10.96.0.12:5432");
  ASSERT_TRUE(wait_for_application(1));
  server_->drain();
  std::unique_ptr<hbone::StreamIo> late;
  // On the old tunnel until the client has read GOAWAY, then on one of its own.
  for (int i = 0; dialled_ == 1 && i < 1000; ++i) {
    late = open("10.96.0.12:5432");
    ASSERT_NE(late, nullptr);
  }
  ASSERT_EQ(dialled_, 2);
  ASSERT_TRUE(wait_for_application(2));
  write(*upstreams_.applications.front(), "old");
  write(*upstreams_.applications.back(), "new");
  EXPECT_EQ(read(*client), "old");
  EXPECT_EQ(read(*late), "new");
}

TEST_F(TunnelServerTest, FinishWaitsForWhatIsOpen) {
  auto client = open("10.96.0.12:5432");
  ASSERT_TRUE(wait_for_application(1));
  server_->stop_accepting();
  // Until the client has read GOAWAY its tunnel takes connections.
  culvert::test::run_until(worker_.reactor, [&] { return !connect("10.96.0.12:5432"); });
  client.reset();
  EXPECT_EQ(finish(seconds(5)), 0U);
  EXPECT_EQ(shard_.gauge(families_.tunnels).value(), 0);
}

TEST_F(TunnelServerTest, FinishCutsAtTheDeadline) {
  const auto client = open("10.96.0.12:5432");
  ASSERT_TRUE(wait_for_application(1));
  server_->stop_accepting();
  EXPECT_EQ(finish(milliseconds(20)), 1U);
  EXPECT_TRUE(ended(*client));
}

}  // namespace
}  // namespace culvert::waypoint
