#include "common/net/listener.h"

#include "common/net/socket_factory.h"
#include "tests/support/loop.h"

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <numeric>
#include <vector>

namespace culvert::net {
namespace {

// Listeners on one port, each with how many connections it got.
class Group {
 public:
  void listen() {
    const SocketFactory sockets({.reuse_port = true, .ipv6 = false}, nullptr, nullptr);
    auto socket = sockets.listen(port_, SocketFactory::Transparent::kNo, false).value();
    got_.push_back(0);
    listeners_.push_back(
        std::make_unique<Listener>(reactor_, std::move(socket.fd),
                                   [this, i = got_.size() - 1](Fd, SocketAddress) { ++got_[i]; }));
    port_ = listeners_.back()->local_address().port;
  }
  Listener& operator[](size_t i) { return *listeners_[i]; }
  void close(size_t i) { listeners_[i].reset(); }
  // A client that has begun to connect.
  [[nodiscard]] Fd begin() const {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port_);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    Fd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const int begun =
        ::connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof address);
    EXPECT_TRUE(begun == 0 || errno == EINPROGRESS);
    return client;
  }
  // How many of `count` new connections each got.
  std::vector<int> connect(int count) {
    std::ranges::fill(got_, 0);
    for (int i = 1; i <= count; ++i) {
      const Fd client = begin();
      test::run_until(reactor_, [&] { return std::accumulate(got_.begin(), got_.end(), 0) == i; });
    }
    return got_;
  }

 private:
  Reactor reactor_;
  uint16_t port_ = 0;
  std::vector<int> got_;
  std::vector<std::unique_ptr<Listener>> listeners_;
};

TEST(Listener, LeavesNewConnectionsToAnother) {
  Group group;
  for (int i = 0; i < 4; ++i) group.listen();  // two of ours, two of a successor
  constexpr int kMany = 200;
  for (const int got : group.connect(kMany)) EXPECT_GT(got, 0) << "shared out";
  for (size_t i = 0; i < 2; ++i) group[i].divert(2);
  EXPECT_EQ(group.connect(20), (std::vector{0, 0, 20, 0}));
  group.close(0);
  EXPECT_EQ(group.connect(20), (std::vector{0, 0, 20, 0}));
  group[1].divert_no_more();
  const auto shared = group.connect(kMany);
  EXPECT_GT(shared[1], 0);
  EXPECT_GT(shared[3], 0);
}

TEST(Listener, KeepsThemWhereThereIsNoOther) {
  Group group;
  for (int i = 0; i < 2; ++i) group.listen();
  group[0].divert(2);
  EXPECT_EQ(group.connect(10).size(), 2U);  // all arrived
  for (int i = 0; i < 2; ++i) group.listen();
  EXPECT_EQ(group.connect(10), (std::vector{0, 0, 10, 0}));
}

// The kernel drops what finds the queue full, and the client tries again a second later.
TEST(Listener, ABurstWaitsWhileTheWorkerIsBusy) {
  Group group;
  group.listen();
  std::vector<Fd> clients;
  for (int i = 0; i < 400; ++i) {
    clients.push_back(group.begin());
    pollfd connected{.fd = clients.back().get(), .events = POLLOUT, .revents = 0};
    ASSERT_EQ(::poll(&connected, 1, 900), 1) << "after " << i;
  }
}

}  // namespace
}  // namespace culvert::net
