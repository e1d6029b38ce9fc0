#include "waypoint/upstream/tunnels.h"

#include "common/net/listener.h"
#include "tests/support/loop.h"
#include "tests/support/test_ca.h"
#include "tests/unit/waypoint/upstream/node.h"
#include "waypoint/codec/exchange.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/socket.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

// Streams to endpoints over real sockets on loopback, with real certificates.
namespace culvert::waypoint {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Connected = Result<Tunnels::Link>;

class TunnelsTest : public ::testing::Test {
 protected:
  TunnelsTest() {
    worker_.credential = ca_.credential(test::spiffe("demo", "waypoint"));
    tunnels_.emplace(worker_);
  }

  Endpoint endpoint(const Node& node) {
    Endpoint made;
    made.address = {net::IpAddress::parse("10.1.2.3").value(), 8080};
    made.node = node.address();
    made.identity = test::identity("demo", "server");
    return made;
  }
  std::unique_ptr<Node> node(const std::string& id = test::spiffe("demo", "server")) {
    return std::make_unique<Node>(worker_, ca_.credential(id));
  }
  Connected connect(const Endpoint& endpoint, milliseconds patience = seconds(5)) {
    return test::run(worker_.reactor, tunnels_->connect(endpoint, Clock::now() + patience));
  }
  // Sends `text` and reads as much back.
  std::string echo(net::ByteStream& stream, const std::string& text) {
    return test::run(worker_.reactor, exchange(stream, text));
  }
  static net::Task<std::string> exchange(net::ByteStream& stream, std::string text) {
    if (!co_await stream.write(as_bytes(text), Clock::now() + seconds(5))) co_return "no write";
    std::string got;
    std::vector<uint8_t> buffer(1024);
    while (got.size() < text.size()) {
      const auto n = co_await stream.read(buffer, Clock::now() + seconds(5));
      if (!n || *n == 0) co_return "no read";
      got.append(as_text({buffer.data(), *n}));
    }
    co_return got;
  }
  void expect_failure(const Connected& connected, const std::string& text) {
    ASSERT_FALSE(connected);
    EXPECT_EQ(connected.error().code, ExchangeErrc::kConnectFailed) << connected.error().message();
    EXPECT_THAT(connected.error().context, HasSubstr(text));
    EXPECT_THAT(connected.error().context, HasSubstr("10.1.2.3:8080 through the tunnel to 127.0"));
  }

  test::TestCa ca_;
  MemoryAccount memory_{"the process", uint64_t{1} << 30};
  Worker worker_{tls::Options{}, memory_};
  std::optional<Tunnels> tunnels_;
};

TEST_F(TunnelsTest, TheConnectSaysWhereToAndNothingElse) {
  const auto far = node();
  auto link = connect(endpoint(*far));
  ASSERT_TRUE(link) << link.error().message();
  EXPECT_THAT(far->requests, ElementsAre("CONNECT 10.1.2.3:8080"));
  EXPECT_THAT(far->extra, IsEmpty());
  EXPECT_THAT(far->identities, ElementsAre("spiffe://cluster.local/ns/demo/sa/waypoint"));
  EXPECT_THAT(far->peers, ElementsAre(link->local_address));
  EXPECT_EQ(echo(*link->stream, "through the tunnel"), "through the tunnel");
}

TEST_F(TunnelsTest, StreamsShareATunnel) {
  const auto far = node();
  auto here = endpoint(*far);
  auto there = here;
  there.address.port = 9090;
  auto one = connect(here), two = connect(there);
  ASSERT_TRUE(one && two);
  EXPECT_EQ(far->tunnels, 1);
  EXPECT_THAT(far->requests, ElementsAre("CONNECT 10.1.2.3:8080", "CONNECT 10.1.2.3:9090"));
  EXPECT_EQ(echo(*two->stream, "two"), "two");
  EXPECT_EQ(echo(*one->stream, "one"), "one");
  one->stream.reset();
  EXPECT_EQ(echo(*two->stream, "still there"), "still there");
  ASSERT_TRUE(connect(here));
  EXPECT_EQ(far->tunnels, 1);
}

TEST_F(TunnelsTest, TheNodeMustProveTheEndpointsIdentity) {
  const auto impostor = node(test::spiffe("demo", "impostor"));
  expect_failure(connect(endpoint(*impostor)),
                 "expected SAN (spiffe://cluster.local/ns/demo/sa/server), got "
                 "spiffe://cluster.local/ns/demo/sa/impostor");
  EXPECT_THAT(impostor->requests, IsEmpty());
}

TEST_F(TunnelsTest, WithoutAnExpectationTheTrustDomainCounts) {
  const auto someone = node(test::spiffe("anywhere", "anyone"));
  auto open_to_all = endpoint(*someone);
  open_to_all.identity.reset();
  EXPECT_TRUE(connect(open_to_all));
  const auto stranger = node(test::spiffe("demo", "server", "other.domain"));
  auto to_stranger = endpoint(*stranger);
  to_stranger.identity.reset();
  expect_failure(connect(to_stranger), "expected trust domain (cluster.local)");
  // A tunnel opened for anyone is no proof of somebody in particular.
  expect_failure(connect(endpoint(*someone)), "expected SAN");
}

TEST_F(TunnelsTest, WithoutACertificateThereIsNoTunnel) {
  const auto far = node();
  worker_.credential = nullptr;
  expect_failure(connect(endpoint(*far)), "no certificate yet");
  EXPECT_EQ(far->tunnels, 0);
}

TEST_F(TunnelsTest, AnAnswerOtherThan200IsTold) {
  const auto far = node();
  far->status = "401";
  auto refused = endpoint(*far);
  auto workload = std::make_shared<Workload>();
  workload->namespace_ = "demo";
  workload->name = "server-1";
  refused.workload = workload;
  const auto connected = connect(refused);
  expect_failure(connected, "401 Unauthorized");
  EXPECT_THAT(connected.error().context, HasSubstr("(demo/server-1)"));
}

TEST_F(TunnelsTest, NobodyListens) {
  auto far = node();
  const auto gone = endpoint(*far);
  far.reset();
  expect_failure(connect(gone), "Connection refused");
}

TEST_F(TunnelsTest, ANodeThatDoesNotAnswerInTime) {
  const net::Fd silent = listening_socket();  // the kernel accepts, nobody shakes hands
  Endpoint endpoint;
  endpoint.address = {net::IpAddress::parse("10.1.2.3").value(), 8080};
  sockaddr_storage bound{};
  socklen_t length = sizeof bound;
  ::getsockname(silent.get(), reinterpret_cast<sockaddr*>(&bound), &length);
  endpoint.node = net::SocketAddress::from(bound);
  const auto connected = connect(endpoint, milliseconds(50));
  ASSERT_FALSE(connected);
  EXPECT_EQ(connected.error().code, culvert::Errc::kTimedOut);
  EXPECT_THAT(connected.error().context, HasSubstr("10.1.2.3:8080"));
}

TEST_F(TunnelsTest, APlainEndpointIsDialledItself) {
  worker_.credential = nullptr;  // none is needed
  std::optional<net::Socket> accepted;
  std::string peer;
  net::Listener listener(worker_.reactor, listening_socket(),
                         [&](net::Fd fd, net::SocketAddress from) {
                           accepted.emplace(worker_.reactor, std::move(fd));
                           peer = from.to_string();
                         });
  Endpoint plain;
  plain.tunnel = Tunnel::kPlain;
  plain.address = listener.local_address();
  auto link = connect(plain);
  ASSERT_TRUE(link) << link.error().message();
  ASSERT_TRUE(test::run_until(worker_.reactor, [&] { return accepted.has_value(); }));
  EXPECT_EQ(peer, link->local_address);
  int keepalive = 0;
  socklen_t length = sizeof keepalive;
  auto* socket = dynamic_cast<net::Socket*>(link->stream.get());
  ASSERT_NE(socket, nullptr);
  ::getsockopt(socket->fd(), SOL_SOCKET, SO_KEEPALIVE, &keepalive, &length);
  EXPECT_EQ(keepalive, 1);
}

TEST_F(TunnelsTest, APlainEndpointThatRefuses) {
  Endpoint plain;
  plain.tunnel = Tunnel::kPlain;
  plain.address = node()->address();  // closed again
  const auto connected = connect(plain);
  ASSERT_FALSE(connected);
  EXPECT_EQ(connected.error().code, ExchangeErrc::kConnectFailed);
  EXPECT_THAT(connected.error().context, HasSubstr(plain.address.to_string()));
  EXPECT_THAT(connected.error().context, HasSubstr("Connection refused"));
}

}  // namespace
}  // namespace culvert::waypoint
