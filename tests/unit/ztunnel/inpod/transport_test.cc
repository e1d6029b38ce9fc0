#include "ztunnel/inpod/transport.h"

#include "tests/support/loop.h"

#include <gtest/gtest.h>

#include <fcntl.h>

#include <cerrno>
#include <filesystem>

#include "agent.h"

namespace culvert::ztunnel::inpod {
namespace {

using std::chrono::milliseconds;

size_t open_descriptors() {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
    ++count;
  return count;
}

class TransportTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto connected = Transport::connect(reactor, agent.path());
    ASSERT_TRUE(connected) << connected.error().message();
    transport = std::move(*connected);
    ASSERT_TRUE(agent.accept());
  }
  std::optional<Packet> receive() {
    auto received = test::run(reactor, transport->receive());
    EXPECT_TRUE(received) << received.error().message();
    return received ? std::move(*received) : std::nullopt;
  }
  std::error_code send(std::string packet, Duration limit = std::chrono::seconds(5)) {
    const auto sent = test::run(reactor, transport->send(std::move(packet), Clock::now() + limit));
    return sent ? std::error_code() : sent.error().code;
  }

  net::Reactor reactor;
  Agent agent;
  std::unique_ptr<Transport> transport;
};

TEST_F(TransportTest, PacketsKeepTheirBordersAndOrder) {
  EXPECT_FALSE(send("one"));
  EXPECT_FALSE(send("two"));
  EXPECT_EQ(agent.receive(), "one");
  EXPECT_EQ(agent.receive(), "two");
  agent.send("first");
  agent.send("second");
  EXPECT_EQ(receive()->payload, "first");
  EXPECT_EQ(receive()->payload, "second");
}

TEST_F(TransportTest, ADescriptorComesWithItsPacketAndCloseOnExec) {
  agent.send("plain");
  agent.send("with", {STDIN_FILENO});
  EXPECT_TRUE(receive()->fds.empty());
  const auto packet = receive();
  ASSERT_EQ(packet->fds.size(), 1U);
  EXPECT_FALSE(packet->truncated);
  EXPECT_EQ(::fcntl(packet->fds[0].get(), F_GETFD), FD_CLOEXEC);
}

TEST_F(TransportTest, AsManyDescriptorsAsTheKernelPassesAreAllTaken) {
  const size_t before = open_descriptors();
  agent.send("many", std::vector<int>(253, STDIN_FILENO));
  {
    const auto packet = receive();
    EXPECT_EQ(packet->fds.size(), 253U);
    EXPECT_FALSE(packet->truncated);
  }
  EXPECT_EQ(open_descriptors(), before);
}

TEST_F(TransportTest, APacketOfExactlyTheLimitIsWholeAndALongerOneIsTruncated) {
  agent.send(std::string(kMaxPacket, 'x'));
  agent.send(std::string(kMaxPacket + 1, 'x'), {STDIN_FILENO});
  agent.send("next");
  auto packet = receive();
  EXPECT_FALSE(packet->truncated);
  EXPECT_EQ(packet->payload.size(), kMaxPacket);
  packet = receive();
  EXPECT_TRUE(packet->truncated);
  EXPECT_EQ(packet->fds.size(), 1U);
  EXPECT_EQ(receive()->payload, "next");
}

TEST_F(TransportTest, TheAgentsCloseIsTheEndAfterWhatItSent) {
  agent.send("last");
  agent.close();
  EXPECT_EQ(receive()->payload, "last");
  EXPECT_FALSE(receive());
  EXPECT_FALSE(receive()) << "again";
}

TEST_F(TransportTest, AnAgentThatLeftWithoutReadingIsTheEndToo) {
  EXPECT_FALSE(send("unread"));
  agent.close();
  EXPECT_FALSE(receive());
  EXPECT_EQ(send("more").value(), EPIPE);
}

TEST_F(TransportTest, AnEmptyPacketIsTheEndAndItsDescriptorIsClosed) {
  const size_t before = open_descriptors();
  agent.send("", {STDIN_FILENO});
  EXPECT_FALSE(receive());
  EXPECT_EQ(open_descriptors(), before);
}

TEST_F(TransportTest, SendingGivesUpWhenTheAgentDoesNotRead) {
  std::error_code error;
  int sent = 0;
  while (!error && ++sent < 10'000) error = send(std::string(1000, 'x'), milliseconds(20));
  EXPECT_EQ(error, culvert::Errc::kTimedOut);
  while (agent.receive()) {
  }
  EXPECT_FALSE(send("again"));
  EXPECT_EQ(agent.receive(), "again");
}

TEST_F(TransportTest, InterruptEndsReceivingButNotSending) {
  agent.send("waits");
  transport->interrupt();
  const auto received = test::run(reactor, transport->receive());
  ASSERT_FALSE(received);
  EXPECT_EQ(received.error().code, culvert::Errc::kCancelled);
  EXPECT_FALSE(send("answer"));
  EXPECT_EQ(agent.receive(), "answer");
}

TEST_F(TransportTest, InterruptWakesTheOneThatWaits) {
  std::error_code error;
  net::Scope scope(reactor);
  const auto wait = [](Transport& from, std::error_code& out) -> net::Task<> {
    const auto received = co_await from.receive();
    if (!received) out = received.error().code;
  };
  scope.spawn(wait(*transport, error));
  EXPECT_FALSE(scope.empty());
  transport->interrupt();
  test::run_until(reactor, [&] { return scope.empty(); });
  EXPECT_EQ(error, culvert::Errc::kCancelled);
}

TEST(TransportConnect, Errors) {
  net::Reactor reactor;
  const auto error = [&](const std::string& path) {
    const auto connected = Transport::connect(reactor, path);
    return connected ? 0 : connected.error().code.value();
  };
  EXPECT_EQ(error("/nosuch/socket"), ENOENT);
  EXPECT_EQ(error(""), ENAMETOOLONG);
  EXPECT_EQ(error(std::string(108, 'x')), ENAMETOOLONG);
  EXPECT_NE(Transport::connect(reactor, "/nosuch/socket").error().message().find("/nosuch/socket"),
            std::string::npos);
  Agent agent;  // with room for one that it has not accepted
  const auto first = Transport::connect(reactor, agent.path());
  ASSERT_TRUE(first);
  EXPECT_EQ(error(agent.path()), EAGAIN);
  agent.stop_listening();
  EXPECT_EQ(error(agent.path()), ENOENT);
}

}  // namespace
}  // namespace culvert::ztunnel::inpod
