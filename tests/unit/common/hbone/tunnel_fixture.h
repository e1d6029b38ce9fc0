#pragma once

#include "common/h2/errors.h"
#include "common/hbone/connect.h"
#include "common/hbone/pool.h"
#include "common/hbone/relay.h"
#include "common/hbone/server.h"
#include "common/hbone/stream_io.h"
#include "common/tls/context.h"
#include "tests/support/loop.h"
#include "tests/support/socket_pair.h"
#include "tests/support/state_builders.h"
#include "tests/support/test_ca.h"

#include <gtest/gtest.h>

#include <sys/socket.h>

#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace culvert::hbone {

using namespace std::chrono_literals;
using test::run;
using test::run_until;

inline const std::vector<h2::Field> kConnect{{":method", "CONNECT"}, {":authority", "10.0.0.1:80"}};
inline const std::vector<h2::Field> kOk{{":status", "200"}};

struct Count final : net::Meter {
  void add(size_t bytes) override { total += bytes; }
  size_t total = 0;
};

// A pool that dials servers of this process, and what they saw.
class TunnelTest : public testing::Test {
 protected:
  using Got = std::optional<Result<Pool::Connected>>;
  TunnelTest() { options_.unused_timeout = 1h; }
  ~TunnelTest() override {
    tasks_.cancel();
    pool_.reset();
  }

  Pool& pool() {
    if (!pool_)
      pool_.emplace(reactor_, options_, buffers_, memory_,
                    [this](TunnelKey key) { return dial(std::move(key)); });
    return *pool_;
  }
  net::Task<Result<Pool::Dialled>> dial(TunnelKey key) {
    ++dials_;
    while (hold_dials_) co_await dials_released_.wait();
    if (dial_error_) co_return system_error(*dial_error_, "io error");
    if (dial_throws_) throw std::system_error(ENOMEM, std::system_category(), "cannot watch");
    auto [near, far] = test::tcp_pair();
    for (const int fd : {near.get(), far.get()})
      if (receive_buffer_) ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &*receive_buffer_, sizeof(int));
    auto& server = servers_.emplace_back(
        std::make_unique<Server>(reactor_, server_options_, buffers_, server_memory_,
                                 [this](std::unique_ptr<Stream> stream, const tls::Peer& peer) {
                                   ++streams_served_;
                                   return serve_(std::move(stream), peer);
                                 }));
    tasks_.spawn(run_server(*server, std::make_unique<net::Socket>(reactor_, std::move(far))));
    co_return Pool::Dialled{
        std::make_unique<net::Socket>(reactor_, std::move(near)),
        tls::Engine::client(context_, credential("client"), std::move(key.destination))};
  }
  net::Task<> run_server(Server& server, std::unique_ptr<net::Socket> socket) {
    auto done =
        co_await server.run(std::move(socket), tls::Engine::server(context_, credential("server")));
    ++servers_ended_;
    server_result_ = done;
    if (drop_ended_) std::erase_if(servers_, [&](const auto& one) { return one.get() == &server; });
  }
  tls::CredentialPtr credential(const std::string& account) {
    return ca_.credential(test::spiffe("demo", account));
  }
  // Answers 200 and sends everything back until the client ends.
  static net::Task<> echo(std::unique_ptr<Stream> stream, const tls::Peer&) {
    if (!co_await stream->head(kNever)) co_return;
    stream->respond(kOk, false);
    StreamIo io(std::move(stream));
    std::vector<uint8_t> buffer(1 << 16);
    for (;;) {
      auto got = co_await io.read(buffer);
      if (!got) co_return;
      if (*got == 0) break;
      if (!co_await io.write(Bytes(buffer).first(*got))) co_return;
    }
    static_cast<void>(co_await io.shutdown_write());
  }

  static TunnelKey key(const std::string& client = "10.1.1.1") {
    return {.source = test::identity("demo", "client"),
            .destination = {test::identity("demo", "server")},
            .address = test::address("10.0.0.9:15008"),
            .client = test::ip(client)};
  }
  net::Task<> connect_into(TunnelKey to, Got& got, Time deadline) {
    got.emplace(co_await pool().connect(std::move(to), kConnect, deadline));
  }
  Got& start(TunnelKey to = key(), Time deadline = kNever) {
    Got& got = results_.emplace_back();
    tasks_.spawn(connect_into(std::move(to), got, deadline));
    return got;
  }
  std::unique_ptr<Stream> connect(TunnelKey to = key()) {
    Got& got = start(std::move(to));
    wait([&] { return got.has_value(); });
    EXPECT_TRUE(*got) << (*got ? "" : got->error().message());
    return *got ? std::move((**got).stream) : nullptr;
  }
  template <class Condition>
  bool wait(Condition condition) {
    return run_until(reactor_, std::move(condition));
  }
  std::string read_all(net::ByteStream& from) {
    std::string all;
    std::vector<uint8_t> buffer(1 << 16);
    for (;;) {
      auto got = run(reactor_, from.read(buffer));
      if (!got) return all + "!" + got.error().message();
      if (*got == 0) return all;
      all += as_text(Bytes(buffer).first(*got));
    }
  }

  net::Reactor reactor_;
  test::TestCa ca_;
  tls::Context context_{tls::Options{}};
  h2::Buffers buffers_;
  MemoryAccount memory_{"the process", uint64_t{1} << 30};
  MemoryAccount server_memory_{"the server", uint64_t{1} << 30};
  PoolOptions options_;
  ServerOptions server_options_;
  Server::Serve serve_ = echo;
  std::list<std::unique_ptr<Server>> servers_;
  std::list<Got> results_;
  std::optional<Pool> pool_;
  int dials_ = 0, streams_served_ = 0, servers_ended_ = 0;
  Result<> server_result_;
  bool hold_dials_ = false;
  net::Event dials_released_{reactor_};
  std::optional<int> dial_error_;
  bool drop_ended_ = false;   // servers die when they have run, as they do where they are used
  bool dial_throws_ = false;  // as net::Socket does where epoll refuses it
  std::optional<int> receive_buffer_;  // of both ends of a tunnel
  net::Scope tasks_{reactor_};
};

}  // namespace culvert::hbone
