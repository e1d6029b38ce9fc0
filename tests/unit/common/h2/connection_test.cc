// h2::Connection against a client that the test writes by hand: what leaves at its end, and what it
// holds.
#include "common/h2/connection.h"

#include "common/h2/handshake.h"
#include "common/tls/context.h"
#include "tests/support/loop.h"
#include "tests/support/seal.h"
#include "tests/support/socket_pair.h"
#include "tests/support/state_builders.h"
#include "tests/support/test_ca.h"
#include "tests/unit/common/h2/session_fixture.h"

#include <sys/socket.h>

namespace culvert::h2 {
namespace {

using namespace std::chrono_literals;

// Answers 200 and sends `size` bytes.
struct Sender final : TunnelStream {
  void on_head(Head, bool) override { connection->respond(*this, kOk, false); }
  void on_data(std::span<const iovec> pieces) override { received += net::total(pieces); }
  void on_end() override { ended = true; }
  void on_closed(ErrorCode code) override { closed = code; }
  Produced produce(std::span<const iovec> to) override {
    if (const auto call = std::exchange(on_produce, nullptr)) call();
    size_t given = 0;
    for (const iovec& part : to) {
      const size_t n = std::min(part.iov_len, left);
      std::fill_n(static_cast<uint8_t*>(part.iov_base), n, uint8_t{'x'});
      left -= n;
      given += n;
    }
    return {.bytes = given};
  }
  Connection* connection = nullptr;
  size_t left = 0;
  size_t received = 0;
  bool ended = false;
  std::optional<ErrorCode> closed;
  std::function<void()> on_produce;  // before the first output
};

class ConnectionTest : public testing::Test, public ConnectionHandler, public tls::PlaintextSink {
 protected:
  ConnectionTest() {
    auto [near, far] = test::tcp_pair();
    client_ = std::make_unique<net::Socket>(reactor_, std::move(near));
    auto socket = std::make_unique<net::Socket>(reactor_, std::move(far));
    tls_ = tls::Engine::client(context_, credential("client"), {test::identity("demo", "server")});
    auto engine = tls::Engine::server(context_, credential("server"));
    net::Scope scope(reactor_);
    scope.spawn(handshake(*client_, *tls_));
    scope.spawn(handshake(*socket, *engine));
    test::run_until(reactor_, [&] { return scope.empty(); });
    connection_ =
        std::make_unique<Connection>(Role::kServer, std::move(socket), std::move(engine),
                                     TunnelSettings{}, Keepalive{}, buffers_, memory_, *this);
    connection_->start();
  }
  ~ConnectionTest() override { connection_.reset(); }
  static net::Task<> handshake(net::Socket& socket, tls::Engine& engine) {
    EXPECT_TRUE(co_await tls_handshake(socket, engine, Clock::now() + 5s));
  }
  tls::CredentialPtr credential(const std::string& account) {
    return ca_.credential(test::spiffe("demo", account));
  }

  bool on_stream(StreamId id) override {
    ++streams_;
    auto& sender = senders_.emplace_back(std::make_unique<Sender>());
    sender->connection = connection_.get();
    sender->left = std::exchange(to_send_, 0);
    connection_->accept(id, *sender);
    connection_->resume(*sender);
    return true;
  }
  void on_going_away() override {}
  void on_closed(const Error& reason) override { closed_ = reason.message(); }
  Result<> on_plaintext(MutableBytes plaintext) override {
    received_ += as_text(plaintext);
    return {};
  }

  // A stream that sends more than the kernel takes while the client does not read.
  void send_bulk() {
    const int small = 1 << 18;
    ::setsockopt(client_->fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    to_send_ = 24U << 20;
    send(kClientPreface + frame(kSettings, 0, 0, be(4, 2) + be(0x7fffffff, 4)) +
         frame(kWindow, 0, 0, be(0x3fffffff, 4)) + frame(kHeaders, 4, 1, kConnectBlock));
  }
  // Into the socket at once, so that the connection sees it in its next turn.
  void send(std::string_view text) {
    ByteQueue out;
    ASSERT_TRUE(test::seal(*tls_, as_bytes(text), out));
    ASSERT_EQ(::send(client_->fd(), out.readable().data(), out.size(), 0),
              static_cast<ssize_t>(out.size()));
  }
  // What is there now. False: the connection's end, of TLS or TCP.
  bool receive() {
    std::vector<uint8_t> buffer(1 << 16);
    const ssize_t n = ::recv(client_->fd(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (n == 0) return false;
    if (n < 0) return errno == EAGAIN;
    ByteQueue out;
    const auto opened = tls_->open(MutableBytes(buffer).first(static_cast<size_t>(n)), *this, out);
    EXPECT_TRUE(opened);
    notified_ = opened && !*opened;
    return opened && *opened;
  }
  // The last streams that GOAWAY frames named.
  [[nodiscard]] std::vector<uint32_t> goaways() const {
    std::vector<uint32_t> last;
    for (const Frame& received : parse(received_))
      if (received.type == kGoaway)
        last.push_back(be(std::string_view(received.payload).substr(0, 4)));
    return last;
  }
  void receive_to_end() {
    test::run_until(reactor_, [&] { return !receive(); });
  }

  net::Reactor reactor_;
  test::TestCa ca_;
  tls::Context context_{tls::Options{}};
  Buffers buffers_;
  MemoryAccount memory_{"workload demo/server", uint64_t{1} << 20};
  size_t to_send_ = 0;  // by the next stream
  std::vector<std::unique_ptr<Sender>> senders_;
  std::unique_ptr<net::Socket> client_;
  std::unique_ptr<tls::Engine> tls_;
  std::unique_ptr<Connection> connection_;
  std::string received_;
  bool notified_ = false;  // close_notify came
  int streams_ = 0;
  std::optional<std::string> closed_;
};

const std::string kHello = kClientPreface + frame(kSettings, 0, 0, "");

TEST_F(ConnectionTest, CloseSaysGoawayAndCloseNotify) {
  send(kHello + frame(kHeaders, 4, 1, kConnectBlock));
  test::run_until(reactor_, [&] { return streams_ == 1; });
  connection_->close(ErrorCode::kEnhanceYourCalm, Error(Errc::kDraining));
  EXPECT_TRUE(closed_);
  receive_to_end();
  EXPECT_TRUE(notified_);
  EXPECT_EQ(code_of(parse(received_), kGoaway), ErrorCode::kEnhanceYourCalm);
}

TEST_F(ConnectionTest, APeerThatFloodsLearnsWhyItIsCutOff) {
  std::string flood = kHello + frame(kHeaders, 4, 1, kConnectBlock);
  for (int i = 0; i < 1100; ++i) flood += frame(kData, 0, 1, "");
  send(flood);
  receive_to_end();
  EXPECT_EQ(code_of(parse(received_), kGoaway), ErrorCode::kEnhanceYourCalm);
  EXPECT_TRUE(closed_);
}

TEST_F(ConnectionTest, DrainTakesStreamsUntilTheClientHasReadTheNotice) {
  send(kHello + frame(kHeaders, 4, 1, kConnectBlock));
  test::run_until(reactor_, [&] { return streams_ == 1; });
  connection_->drain();
  send(frame(kHeaders, 4, 3, kConnectBlock));
  test::run_until(reactor_, [&] { return streams_ == 2; });
  const auto ping = [&]() -> std::optional<Frame> {
    EXPECT_TRUE(receive());
    for (const Frame& received : parse(received_))
      if (received.type == kPing) return received;
    return {};
  };
  test::run_until(reactor_, [&] { return ping().has_value(); });
  EXPECT_EQ(goaways(), std::vector<uint32_t>{0x7fffffff});
  // A PING of someone else's is no answer.
  send(frame(kPing, 1, 0, "12345678") + frame(kHeaders, 4, 5, kConnectBlock));
  test::run_until(reactor_, [&] { return streams_ == 3; });
  // GOAWAY names the last stream taken when it was queued; one that comes before it leaves would
  // be served here and sent again elsewhere.
  send(frame(kPing, 1, 0, ping()->payload) + frame(kHeaders, 4, 7, kConnectBlock));
  test::run_until(reactor_, [&] { return receive() && goaways().size() == 2; });
  EXPECT_EQ(goaways()[1], 5U);
  EXPECT_EQ(streams_, 3);
  EXPECT_EQ(code_of(parse(received_), kRst, 7), ErrorCode::kRefusedStream);
  EXPECT_FALSE(closed_);
  std::string resets;
  for (const StreamId id : {1, 3, 5}) resets += frame(kRst, 0, id, be(8, 4));
  send(resets);
  receive_to_end();
  EXPECT_TRUE(closed_);
}

TEST_F(ConnectionTest, DrainWithoutStreamsEndsOnceTheClientHasReadTheNotice) {
  send(kHello);
  connection_->drain();
  test::run_until(reactor_, [&] { return receive() && !goaways().empty(); });
  EXPECT_FALSE(closed_);
  send(frame(kPing, 1, 0, "shutdown"));
  receive_to_end();
  EXPECT_EQ(goaways(), (std::vector<uint32_t>{0x7fffffff, 0}));
}

TEST_F(ConnectionTest, AfterABurstItHoldsNextToNoMemory) {
  send_bulk();
  constexpr size_t kIdle = TunnelSession::kIdleBytes;
  test::run_until(reactor_, [&] { return streams_ == 1 && memory_.held() > 0; });
  EXPECT_GE(connection_->held_bytes(), memory_.held());
  EXPECT_GT(senders_[0]->left, 0U);
  test::run_until(reactor_, [&] {
    for (int i = 0; i < 16; ++i) EXPECT_TRUE(receive());
    return senders_[0]->left == 0 && connection_->held_bytes() <= kIdle;
  });
  EXPECT_FALSE(closed_);
  EXPECT_EQ(memory_.held(), 0U);
}

TEST_F(ConnectionTest, ARequestThatIsNotWholeYetIsPaidFor) {
  const std::string part(16'000, '\0');
  send(kHello + frame(kHeaders, 0, 1, part) + frame(kContinuation, 0, 1, part));
  test::run_until(reactor_, [&] { return memory_.held() >= 2 * part.size(); });
  EXPECT_FALSE(closed_);
  connection_->close(ErrorCode::kNoError, Error(Errc::kDraining));
  EXPECT_EQ(memory_.held(), 0U);
}

TEST_F(ConnectionTest, WhileMemoryIsShortItHoldsALittleOnly) {
  HeldBytes others(memory_);
  ASSERT_TRUE(others.resize((1U << 20) / 8 * 7));
  send_bulk();
  test::run_until(reactor_, [&] { return memory_.held() > others.bytes(); });
  for (int i = 0; i < 50; ++i) reactor_.turn(1ms);
  EXPECT_FALSE(closed_);
  EXPECT_LE(memory_.held() - others.bytes(), MemoryAccount::kLittle);
  test::run_until(reactor_, [&] {
    for (int i = 0; i < 16; ++i) EXPECT_TRUE(receive());
    return senders_[0]->left == 0 && memory_.held() == others.bytes();
  });
  EXPECT_FALSE(closed_);
}

// Not "the connection is closed", which is what whoever goes on writing would learn.
TEST_F(ConnectionTest, WhatBrokeTheRecordsIsTheReason) {
  send(kHello + frame(kHeaders, 4, 1, kConnectBlock));
  ASSERT_EQ(::send(client_->fd(), "\x17\x03\x03\x00\x20xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 37, 0),
            37);
  test::run_until(reactor_, [&] { return closed_.has_value(); });
  EXPECT_NE(closed_->find("record"), std::string::npos) << *closed_;
}

// What came before the peer went is read, though that it went is learnt by sending.
TEST_F(ConnectionTest, WhatIsHereWhenASendFailsIsStillRead) {
  send(kHello + frame(kHeaders, 4, 1, kConnectBlock));
  test::run_until(reactor_, [&] { return streams_ == 1; });
  reactor_.turn(1ms);
  Sender& sender = *senders_[0];
  sender.left = 100;
  // Between the last read and the send: closing with unread input is a reset.
  sender.on_produce = [&] {
    send(frame(kData, 0, 1, std::string(1000, 'a')) + frame(kData, flags::kEndStream, 1, "b"));
    client_.reset();
  };
  connection_->resume(sender);
  test::run_until(reactor_, [&] { return closed_.has_value(); });
  EXPECT_EQ(sender.received, 1001U);
  EXPECT_TRUE(sender.ended);
  EXPECT_TRUE(sender.closed);
}

// Nobody else is to pay for a peer that does not read.
TEST_F(ConnectionTest, WhereTheBudgetRefusesItIsReset) {
  ASSERT_EQ(memory_.try_take(1U << 20, 1), nullptr);
  send_bulk();
  test::run_until(reactor_, [&] { return closed_.has_value(); });
  EXPECT_EQ(closed_->find("memory budget of workload demo/server is used up"), 0U) << *closed_;
  ASSERT_NE(connection_->refusal(), nullptr);
  EXPECT_EQ(senders_[0]->closed, ErrorCode::kEnhanceYourCalm);
  EXPECT_LE(connection_->held_bytes(), TunnelSession::kIdleBytes);
  EXPECT_EQ(memory_.held(), 1U << 20);
  uint8_t byte = 0;
  ssize_t n = 1;
  while (n > 0) n = ::recv(client_->fd(), &byte, 1, 0);
  EXPECT_EQ(errno, ECONNRESET);
  memory_.give_back(1U << 20);
}

}  // namespace
}  // namespace culvert::h2
