#pragma once

#include "tests/support/loop.h"
#include "waypoint/upstream/http_pool.h"

#include <gtest/gtest.h>

#include <list>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace culvert::waypoint {

// What a test knows of a connection that the pool holds, also after it is gone.
struct FakePeer {
  net::SocketAddress address;
  bool http2 = false;
  bool open = true;        // as far as the pool can tell
  bool keep_alive = true;  // HTTP/1: usable after an exchange
  uint32_t room = 1;       // exchanges at a time
  uint32_t running = 0;
  int exchanges = 0;
  bool destroyed = false;
};

class FakeExchange final : public ClientExchange {
 public:
  explicit FakeExchange(FakePeer& peer) : peer_(peer) { ++peer_.running; }
  ~FakeExchange() override {
    --peer_.running;
    EXPECT_FALSE(peer_.destroyed) << "the connection ended before its exchange";
    if (!peer_.keep_alive) peer_.open = false;
  }
  net::Task<Result<>> send(const http::RequestHead& /*head*/, BodySize /*size*/,
                           const std::string& /*upgrade*/, Time /*deadline*/) override {
    co_return Result<>{};
  }
  net::Task<Result<>> write(Bytes /*data*/, Time /*deadline*/) override { co_return Result<>{}; }
  net::Task<Result<>> finish(const http::Headers& /*trailers*/, Time /*deadline*/) override {
    co_return Result<>{};
  }
  net::Task<Result<http::ResponseHead>> response(Time /*deadline*/) override {
    co_return Error(ExchangeErrc::kConnectionLost);
  }
  [[nodiscard]] BodySize response_size() const override { return {}; }
  [[nodiscard]] BodyReader& body() override { std::abort(); }
  [[nodiscard]] bool trailers_only() const override { return false; }
  void reset() override { peer_.keep_alive = false; }

 private:
  FakePeer& peer_;
};

class FakeConnection final : public HttpConnection {
 public:
  explicit FakeConnection(FakePeer& peer) : peer_(peer) {}
  ~FakeConnection() override { peer_.destroyed = true; }
  [[nodiscard]] bool usable() const override { return peer_.open && peer_.running < peer_.room; }
  std::unique_ptr<ClientExchange> start() override {
    EXPECT_TRUE(usable());
    ++peer_.exchanges;
    return std::make_unique<FakeExchange>(peer_);
  }

 private:
  FakePeer& peer_;
};

using Opened = Result<Upstreams::Exchange>;

// One request: open() in a task of its own, and what it led to.
struct Request {
  Request(net::Reactor& reactor, HttpPool& pool, UpstreamPtr upstream, const Endpoint& to,
          bool http2, Time deadline)
      : endpoint(to), task(reactor) {
    task.spawn(run(pool, std::move(upstream), http2, deadline));
  }
  net::Task<> run(HttpPool& pool, UpstreamPtr upstream, bool http2, Time deadline) {
    auto opened = co_await pool.open(std::move(upstream), endpoint, http2, deadline);
    if (opened) {
      exchange = std::move(opened->exchange);
      local_address = opened->local_address;
      host = opened->upstream_host;
    } else {
      error = opened.error();
    }
    done = true;
  }
  [[nodiscard]] bool open() const { return exchange != nullptr; }

  Endpoint endpoint;
  bool done = false;
  std::unique_ptr<ClientExchange> exchange;
  std::optional<Error> error;
  std::string local_address, host;
  net::Scope task;  // last
};

class PoolTest : public ::testing::Test {
 protected:
  PoolTest()
      : gate_(reactor_),
        pool_(reactor_, [this](const Endpoint& endpoint, bool http2, Time deadline) {
          return dial(endpoint, http2, deadline);
        }) {}

  static Endpoint endpoint(const std::string& ip, uint16_t port = 8080) {
    Endpoint made;
    made.address = {net::IpAddress::parse(ip).value(), port};
    made.node = {made.address.ip, kHbonePort};
    return made;
  }
  // One with endpoints 10.0.0.1, 10.0.0.2, …
  static std::shared_ptr<Upstream> upstream(size_t endpoints, UpstreamLimits limits = {}) {
    auto made = std::make_shared<Upstream>();
    made->name = "inbound-vip|80|http|server.demo.svc.cluster.local";
    std::vector<Endpoint> list;
    for (size_t i = 0; i < endpoints; ++i)
      list.push_back(endpoint("10.0.0." + std::to_string(i + 1)));
    made->set_endpoints(std::move(list));
    made->limits = limits;
    return made;
  }

  Request& open(const UpstreamPtr& upstream, size_t index = 0, bool http2 = false,
                Time deadline = kNever) {
    return requests_.emplace_back(reactor_, pool_, upstream, upstream->endpoints[index], http2,
                                  deadline);
  }
  void end(Request& request) {
    requests_.remove_if([&](const Request& each) { return &each == &request; });
    turn();
  }
  // Lets what is ready run.
  void turn() {
    for (int i = 0; i < 3; ++i) reactor_.turn(Duration::zero());
  }
  // Lets dials that wait come to their end.
  void release_dials() {
    hold_ = false;
    gate_.wake_all();
    turn();
  }

  net::Task<Result<HttpPool::Dialled>> dial(const Endpoint& endpoint, bool http2, Time deadline) {
    ++dials_;
    struct Running {
      int& count;
      ~Running() { --count; }
    } const running{++dialling_};
    while (hold_) {
      const bool in_time = co_await gate_.wait(deadline);
      if (!in_time) co_return Error(culvert::Errc::kTimedOut, "connecting");
    }
    if (refuse_) co_return Error(ExchangeErrc::kConnectFailed, "refused by the test");
    FakePeer& peer = peers_.emplace_back();
    peer.address = endpoint.address;
    peer.http2 = http2;
    peer.room = http2 ? room_ : 1;
    peer.open = !dead_;
    HttpPool::Dialled dialled;
    dialled.connection = std::make_unique<FakeConnection>(peer);
    dialled.local_address = "10.9.9.9:" + std::to_string(40000 + peers_.size());
    co_return dialled;
  }

  net::Reactor reactor_;
  bool hold_ = false, refuse_ = false, dead_ = false;
  uint32_t room_ = 100;
  int dials_ = 0, dialling_ = 0;
  net::Event gate_;
  std::list<FakePeer> peers_;
  HttpPool pool_;
  std::list<Request> requests_;  // last
};

}  // namespace culvert::waypoint
