#include "common/net/socket.h"

#include "common/net/listener.h"
#include "common/net/netns.h"
#include "common/net/original_dst.h"
#include "common/net/socket_factory.h"
#include "tests/support/loop.h"
#include "tests/support/socket_pair.h"

#include <gtest/gtest.h>

#include <sys/socket.h>

#include <cerrno>
#include <optional>
#include <string>
#include <vector>

namespace culvert::net {
namespace {

using namespace std::chrono_literals;
using test::run;
using test::run_until;

NetnsPtr home() { return *Netns::current(); }

TEST(Socket, ReadsWritesAndSeesTheEnd) {
  Reactor reactor;
  auto [a, b] = test::tcp_pair();
  Socket near(reactor, std::move(a)), far(reactor, std::move(b));
  std::vector<uint8_t> buffer(100);
  ASSERT_TRUE(run(reactor, near.write(as_bytes("hello"))));
  auto got = run(reactor, far.read(buffer));
  ASSERT_TRUE(got);
  EXPECT_EQ(as_text(Bytes(buffer).first(*got)), "hello");
  near.finish_output();
  EXPECT_EQ(*run(reactor, far.read(buffer)), 0U);
  // Half-closed: the other direction still works.
  ASSERT_TRUE(run(reactor, far.write(as_bytes("back"))));
  EXPECT_EQ(*run(reactor, near.read(buffer)), 4U);
}

TEST(Socket, ReadTimesOutAndStaysUsable) {
  Reactor reactor;
  auto [a, b] = test::tcp_pair();
  Socket near(reactor, std::move(a)), far(reactor, std::move(b));
  std::vector<uint8_t> buffer(100);
  auto got = run(reactor, far.read(buffer, Clock::now() + 5ms));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, make_error_code(Errc::kTimedOut));
  ASSERT_TRUE(run(reactor, near.write(as_bytes("x"))));
  EXPECT_EQ(*run(reactor, far.read(buffer)), 1U);
}

TEST(Socket, AbortArrivesAsAReset) {
  Reactor reactor;
  auto [a, b] = test::tcp_pair();
  Socket near(reactor, std::move(a)), far(reactor, std::move(b));
  near.abort();
  std::vector<uint8_t> buffer(10);
  auto got = run(reactor, far.read(buffer));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code.value(), ECONNRESET);
}

// The kernel tells it to whoever asks first.
TEST(Socket, AResetThatASendLearntIsNoEndOfInput) {
  Reactor reactor;
  auto [a, b] = test::tcp_pair();
  Socket near(reactor, std::move(a)), far(reactor, std::move(b));
  ASSERT_TRUE(near.send(as_bytes("part")).done());
  near.abort();
  IoResult sent;
  run_until(reactor, [&] { return (sent = far.send(as_bytes("x"))).error != 0; });
  EXPECT_EQ(sent.error, ECONNRESET);
  std::vector<uint8_t> buffer(100);
  EXPECT_EQ(*run(reactor, far.read(buffer)), 4U);
  const IoResult end = far.recv(buffer);
  EXPECT_EQ(end.status, IoResult::Status::kError);
  EXPECT_EQ(end.error, ECONNRESET);
}

TEST(Socket, InputThatEndedBeforeAResetIsWhole) {
  Reactor reactor;
  auto [a, b] = test::tcp_pair();
  auto near = std::make_unique<Socket>(reactor, std::move(a));
  Socket far(reactor, std::move(b));
  ASSERT_TRUE(near->send(as_bytes("all")).done());
  near.reset();  // whoever sends now gets a reset
  IoResult sent;
  run_until(reactor, [&] { return (sent = far.send(as_bytes("x"))).error != 0; });
  EXPECT_EQ(sent.error, EPIPE);
  std::vector<uint8_t> buffer(100);
  EXPECT_EQ(*run(reactor, far.read(buffer)), 3U);
  EXPECT_EQ(far.recv(buffer).status, IoResult::Status::kEof);
}

class UrgentData : public testing::Test {
 protected:
  UrgentData() {
    auto [a, b] = test::tcp_pair();
    near.emplace(reactor, std::move(a));
    far.emplace(reactor, std::move(b));
    EXPECT_TRUE(near->send(as_bytes("before")).done());
    EXPECT_EQ(::send(near->fd(), "!", 1, MSG_OOB), 1);
    EXPECT_TRUE(near->send(as_bytes("behind")).done());
  }
  std::string recv() {
    const IoResult got = far->recv(buffer);
    return got.done() ? std::string(as_text(Bytes(buffer).first(got.bytes))) : "nothing";
  }

  Reactor reactor;
  std::vector<uint8_t> buffer = std::vector<uint8_t>(100);
  std::optional<Socket> near, far;
};

TEST_F(UrgentData, DoesNotHideWhatIsBehindIt) {
  reactor.turn(1s);  // the edge has come
  EXPECT_EQ(recv(), "before");
  ASSERT_TRUE(far->readable());
  EXPECT_EQ(recv(), "behind");
  EXPECT_EQ(recv(), "nothing");
  EXPECT_FALSE(far->readable());
}

TEST_F(UrgentData, IsNoEndForSplice) {
  near->finish_output();
  const auto pipe = Pipe::make();
  ASSERT_NE(pipe, nullptr);
  EXPECT_EQ(far->recv(*pipe).bytes, 6U);
  EXPECT_FALSE(far->urgent());  // nobody has said so yet
  EXPECT_EQ(far->recv(*pipe).status, IoResult::Status::kWouldBlock);
  EXPECT_TRUE(far->urgent());
  EXPECT_EQ(recv(), "behind");
  EXPECT_EQ(far->recv(buffer).status, IoResult::Status::kEof);
}

TEST(Socket, AWriterWaitsForASlowReaderAndLosesNothing) {
  Reactor reactor;
  auto [a, b] = test::tcp_pair();
  Socket near(reactor, std::move(a)), far(reactor, std::move(b));
  const std::vector<uint8_t> data(20 << 20, 'x');
  Scope scope(reactor);
  bool written = false;
  const auto write = [](Socket& socket, Bytes bytes, bool& done) -> Task<> {
    EXPECT_TRUE(co_await socket.write(bytes));
    done = true;
  };
  scope.spawn(write(near, data, written));
  for (int i = 0; i < 10; ++i) reactor.turn(1ms);
  EXPECT_FALSE(written);
  std::vector<uint8_t> buffer(1 << 20);
  size_t total = 0;
  while (total < data.size()) total += *run(reactor, far.read(buffer));
  run_until(reactor, [&] { return written; });
  EXPECT_EQ(total, data.size());
}

TEST(Socket, ConnectReportsRefusalAndDeadline) {
  Reactor reactor;
  const SocketFactory factory({}, nullptr, home());
  const auto loopback = IpAddress::loopback_v4();
  auto fd = factory.dial(loopback);
  ASSERT_TRUE(fd);
  auto refused = run(reactor, Socket::connect(reactor, std::move(*fd), {loopback, 1}, kNever));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code.value(), ECONNREFUSED);
}

TEST(Listener, AcceptsWithCanonicalPeerAndKeepsOptions) {
  Reactor reactor;
  const SocketFactory factory({.ipv6 = true}, nullptr, home());
  auto listening = factory.listen(0, SocketFactory::Transparent::kNo, true);
  ASSERT_TRUE(listening) << listening.error().message();
  std::vector<std::pair<Fd, SocketAddress>> accepted;
  Listener listener(reactor, std::move(listening->fd),
                    [&](Fd fd, SocketAddress peer) { accepted.emplace_back(std::move(fd), peer); });
  const uint16_t port = listener.local_address().port;
  const auto loopback = IpAddress::loopback_v4();
  auto fd = factory.dial(loopback);
  auto socket = run(reactor, Socket::connect(reactor, std::move(*fd), {loopback, port}, kNever));
  ASSERT_TRUE(socket);
  run_until(reactor, [&] { return !accepted.empty(); });
  EXPECT_EQ(accepted[0].second, (*socket)->local_address());
  EXPECT_TRUE(accepted[0].second.ip.is_v4());
  // Not redirected: the original destination is the socket's own address.
  EXPECT_EQ(original_destination(accepted[0].first.get()), (SocketAddress{loopback, port}));
  int keepalive = 0, idle = 0;
  socklen_t length = sizeof keepalive;
  ::getsockopt(accepted[0].first.get(), SOL_SOCKET, SO_KEEPALIVE, &keepalive, &length);
  ::getsockopt(accepted[0].first.get(), IPPROTO_TCP, 4 /* TCP_KEEPIDLE */, &idle, &length);
  EXPECT_EQ(keepalive, 1);
  EXPECT_EQ(idle, 180);
}

TEST(SocketFactory, TwoListenersShareAPortOnlyWithReusePort) {
  const SocketFactory shared({.reuse_port = true}, nullptr, home());
  auto first = shared.listen(0, SocketFactory::Transparent::kNo, false);
  ASSERT_TRUE(first);
  Reactor reactor;
  Listener listener(reactor, std::move(first->fd), [](Fd, SocketAddress) {});
  const uint16_t port = listener.local_address().port;
  EXPECT_TRUE(shared.listen(port, SocketFactory::Transparent::kNo, false));
  const SocketFactory alone({}, nullptr, home());
  auto refused = alone.listen(port, SocketFactory::Transparent::kNo, false);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("failed to bind to address [::]:"), std::string::npos);
}

TEST(Netns, KnowsItselfAndRunsInside) {
  auto own = Netns::current();
  ASSERT_TRUE(own);
  auto again = Netns::current();
  EXPECT_EQ((*own)->id(), (*again)->id());
  bool ran = false;
  EXPECT_TRUE((*own)->run(**again, [&] { ran = true; }));
  EXPECT_TRUE(ran);
  auto [a, b] = test::tcp_pair();
  auto wrong = Netns::open(std::move(a));
  ASSERT_TRUE(wrong);  // any descriptor can be held; entering it fails
  EXPECT_FALSE((*wrong)->run(**own, [] {}));
}

}  // namespace
}  // namespace culvert::net
