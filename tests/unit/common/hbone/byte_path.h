#pragma once

#include "tests/unit/common/hbone/tunnel_fixture.h"

#include <sys/socket.h>

#include <algorithm>

namespace culvert::hbone {

// client app ══ Relay ── Stream ── h2::Connection ══ h2::Connection ── Stream ── Relay ══ server
// app, where ══ is a TCP connection over loopback; one thread and one reactor, as in a worker that
// is both ends.
class BytePathTest : public TunnelTest {
 protected:
  BytePathTest() {
    auto [server_app, inside] = test::tcp_pair();
    server_app_ = std::move(server_app);
    dialled_ = std::make_unique<net::Socket>(reactor_, std::move(inside));
    serve_ = [this](std::unique_ptr<Stream> stream, const tls::Peer&) {
      return incoming(std::move(stream));
    };
    auto [client_app, accepted] = test::tcp_pair();
    client_app_ = std::move(client_app);
    tasks_.spawn(outgoing(connect(), std::make_unique<net::Socket>(reactor_, std::move(accepted))));
  }
  net::Task<> incoming(std::unique_ptr<Stream> stream) {
    static_cast<void>(co_await stream->head(kNever));
    stream->respond(kOk, false);
    co_await relay(std::move(stream), std::move(dialled_));
  }
  net::Task<> outgoing(std::unique_ptr<Stream> stream, std::unique_ptr<net::Socket> app) {
    co_await relay(std::move(stream), std::move(app));
  }
  net::Task<> relay(std::unique_ptr<Stream> stream, std::unique_ptr<net::Socket> socket) {
    Count to_stream, to_socket;
    Relay copy(*stream, *socket, scratch_, to_stream, to_socket);
    static_cast<void>(co_await copy.run());
  }

  // Moves `size` bytes; the sender is at most `ahead` bytes before the receiver.
  void carry(const net::Fd& from, const net::Fd& to, size_t size, size_t ahead) {
    const Time limit = Clock::now() + 20s;
    size_t sent = 0, received = 0;
    while (received < size) {
      ASSERT_LT(Clock::now(), limit) << sent << " sent, " << received << " received";
      while (sent < size && sent - received < ahead) {
        const size_t most = std::min({data_.size(), size - sent, ahead - (sent - received)});
        const ssize_t n = ::send(from.get(), data_.data(), most, 0);
        if (n < 0) break;
        sent += static_cast<size_t>(n);
      }
      reactor_.turn(1ms);
      for (;;) {
        const ssize_t n = ::recv(to.get(), sink_.data(), sink_.size(), 0);
        if (n <= 0) break;
        received += static_cast<size_t>(n);
      }
    }
    EXPECT_EQ(received, size);
  }

  std::vector<uint8_t> data_ = std::vector<uint8_t>(256 << 10, 'd');
  std::vector<uint8_t> sink_ = std::vector<uint8_t>(256 << 10);
  std::vector<uint8_t> scratch_ = std::vector<uint8_t>(1 << 16);
  net::Fd client_app_, server_app_;
  std::unique_ptr<net::Socket> dialled_;
};

}  // namespace culvert::hbone
