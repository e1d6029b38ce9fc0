#include "waypoint/upstream/tunnels.h"

#include "common/hbone/connect.h"
#include "common/hbone/server.h"
#include "common/hbone/stream_io.h"
#include "common/net/listener.h"
#include "tests/support/loop.h"
#include "tests/support/test_ca.h"
#include "waypoint/codec/exchange.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>

#include <list>
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

// A listening socket on a port of its own.
net::Fd listening_socket() {
  net::Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(::listen(fd.get(), 16), 0);
  return fd;
}

// A node's end of tunnels: notes what CONNECTs ask for, answers `status` and echoes.
class Node {
 public:
  Node(Worker& worker, tls::CredentialPtr credential)
      : worker_(worker),
        credential_(std::move(credential)),
        scope_(worker.reactor),
        listener_(worker.reactor, listening_socket(), [this](net::Fd fd, net::SocketAddress peer) {
          ++tunnels;
          peers.push_back(peer.to_string());
          scope_.spawn(serve(std::make_unique<net::Socket>(worker_.reactor, std::move(fd))));
        }) {}

  [[nodiscard]] net::SocketAddress address() const { return listener_.local_address(); }

  int tunnels = 0;
  std::vector<std::string> peers;
  std::vector<std::string> requests;    // method and authority
  std::vector<std::string> extra;       // every other field
  std::vector<std::string> identities;  // of the client, per CONNECT
  std::string status = "200";

 private:
  net::Task<> serve(std::unique_ptr<net::Socket> socket) {
    hbone::Server server(worker_.reactor, options_, buffers_,
                         [this](std::unique_ptr<hbone::Stream> stream, const tls::Peer& peer) {
                           return answer(std::move(stream), peer);
                         });
    auto engine = tls::Engine::server(context_, credential_);
    co_await server.run(std::move(socket), std::move(engine));
  }
  net::Task<> answer(std::unique_ptr<hbone::Stream> stream, const tls::Peer& peer) {
    identities.push_back(peer.identity ? peer.identity->to_string() : "none");
    const auto head = co_await stream->head(Clock::now() + seconds(5));
    if (!head) co_return;
    std::string method, authority;
    for (const auto& field : (*head)->fields) {
      if (field.name == ":method") {
        method = field.value;
      } else if (field.name == ":authority") {
        authority = field.value;
      } else {
        extra.emplace_back(field.name);
      }
    }
    requests.push_back(method + " " + authority);
    const std::vector<h2::Field> fields{{":status", status}};
    stream->respond(fields, status != "200");
    if (status != "200") co_return;
    hbone::StreamIo io(std::move(stream));
    std::vector<uint8_t> buffer(1024);
    for (;;) {
      const auto n = co_await io.read(buffer);
      if (!n || *n == 0) break;
      if (!co_await io.write({buffer.data(), *n})) co_return;
    }
    co_await io.shutdown_write();
  }

  Worker& worker_;
  tls::CredentialPtr credential_;
  tls::Context context_{tls::Options{}};
  h2::Buffers buffers_;
  hbone::ServerOptions options_;
  net::Scope scope_;
  net::Listener listener_;
};

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
  Worker worker_{tls::Options{}};
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
