#include "ztunnel/handover.h"

#include "common/net/listener.h"
#include "common/net/socket_factory.h"
#include "tests/support/loop.h"

#include <gtest/gtest.h>

#include <sys/socket.h>

#include <memory>
#include <string>
#include <vector>

namespace culvert::ztunnel {
namespace {

constexpr size_t kWorkers = 2;

struct Pod : testing::Test {
  net::Reactor reactor;
  uint16_t port = 0;
  std::string accepted;  // the names of who did
};

// What a process has that serves a pod beside others.
class Process {
 public:
  Process(Pod& pod, char name)
      : pod_(pod),
        handover_(kWorkers,
                  pod.port == 0 ? std::vector<uint64_t>{} : sockets_.listening(pod.port)) {
    for (size_t i = 0; i < kWorkers; ++i) {
      auto socket = sockets_.listen(pod.port, net::SocketFactory::Transparent::kNo, false).value();
      listeners_.push_back(std::make_unique<net::Listener>(
          pod.reactor, std::move(socket.fd),
          [&pod, name](net::Fd, net::SocketAddress) { pod.accepted += name; }));
      pod.port = listeners_.back()->local_address().port;
    }
  }
  // Leaves new connections to another process; false: to nobody.
  bool hand_over() {
    const auto heir = handover_.heir(sockets_.listening(pod_.port));
    if (heir) listeners_.front()->divert(*heir);
    return heir.has_value();
  }
  void close_one() { listeners_.pop_back(); }

 private:
  Pod& pod_;
  const net::SocketFactory sockets_{{.reuse_port = true}, nullptr, nullptr};
  const Handover handover_;
  std::vector<std::unique_ptr<net::Listener>> listeners_;
};

// Who accepted each of ten new connections.
std::string connect(Pod& pod) {
  constexpr size_t kCount = 10;
  pod.accepted.clear();
  for (size_t i = 1; i <= kCount; ++i) {
    const net::Fd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_storage address;
    const socklen_t length =
        net::SocketAddress{net::IpAddress::loopback_v4(), pod.port}.to_sockaddr(AF_INET, address);
    EXPECT_EQ(::connect(client.get(), reinterpret_cast<sockaddr*>(&address), length), 0);
    test::run_until(pod.reactor, [&] { return pod.accepted.size() == i; });
  }
  return pod.accepted;
}

using HandoverTest = Pod;

TEST_F(HandoverTest, GoesToTheSuccessor) {
  Process first(*this, 'a'), second(*this, 'b');
  ASSERT_TRUE(first.hand_over());
  EXPECT_EQ(connect(*this), "bbbbbbbbbb");
  first.close_one();
  EXPECT_EQ(connect(*this), "bbbbbbbbbb");
}

TEST_F(HandoverTest, GoesBackToThePredecessorThatHasStayed) {
  Process first(*this, 'a'), second(*this, 'b');
  ASSERT_TRUE(second.hand_over());
  EXPECT_EQ(connect(*this), "aaaaaaaaaa");
  second.close_one();
  EXPECT_EQ(connect(*this), "aaaaaaaaaa");
}

TEST_F(HandoverTest, GoesToTheSuccessorOnceThePredecessorIsGone) {
  auto first = std::make_unique<Process>(*this, 'a');
  Process second(*this, 'b');
  first.reset();
  const Process third(*this, 'c');
  ASSERT_TRUE(second.hand_over());
  EXPECT_EQ(connect(*this), "cccccccccc");
}

TEST_F(HandoverTest, DoesNotGoToOneThatIsGoing) {
  Process first(*this, 'a'), second(*this, 'b');
  first.close_one();
  EXPECT_FALSE(second.hand_over());
}

}  // namespace
}  // namespace culvert::ztunnel
