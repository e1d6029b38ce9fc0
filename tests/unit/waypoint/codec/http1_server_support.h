#pragma once

#include "tests/support/loop.h"
#include "tests/support/memory_stream.h"
#include "waypoint/codec/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace culvert::waypoint::test {

inline http::ResponseHead response(int status) {
  http::ResponseHead head;
  head.status = status;
  return head;
}

// What the requests of one test met.
struct Log {
  std::vector<std::string> requests;  // "GET /path"
  std::vector<std::string> bodies;
  std::vector<std::string> trailers;  // "name=value"
  std::vector<std::error_code> errors;
  int running = 0, destroyed = 0;
};

// Counts the serve tasks that run, and those that were ended before they came to their end.
struct Running {
  explicit Running(Log& to) : log(to) { ++log.running; }
  ~Running() {
    --log.running;
    if (!returned) ++log.destroyed;
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  Log& log;
  bool returned = false;
};

inline net::Task<Result<std::string>> read_body(ServerExchange& exchange, Log& log) {
  std::string text;
  for (;;) {
    const auto piece = co_await exchange.body().read(kNever);
    if (!piece) co_return piece.error();
    text += as_text(piece->data);
    if (!piece->end) continue;
    piece->trailers.for_each([&](const http::Headers::Field& field) {
      log.trailers.push_back(std::string(field.name) + "=" + std::string(field.value));
    });
    co_return text;
  }
}

// Reads the request whole, then answers 200 with its body (413 bytes: whatever came).
inline net::Task<> echo(ServerExchange& exchange, Log& log) {
  Running running(log);
  log.requests.push_back(exchange.request().method + " " + exchange.request().path);
  std::string text;
  if (exchange.request_size().kind != BodySize::Kind::kNone) {
    if (exchange.expects_continue()) (void)co_await exchange.send_continue(kNever);
    auto body = co_await read_body(exchange, log);
    if (!body) {
      log.errors.push_back(body.error().code);
      const auto bad = response(400);
      if (!co_await exchange.respond(bad, BodySize{}, kNever)) exchange.reset();
      running.returned = true;
      co_return;
    }
    text = *body;
  }
  log.bodies.push_back(text);
  const auto head = response(200);
  const BodySize size{BodySize::Kind::kLength, text.size()};
  auto done = co_await exchange.respond(head, size, kNever);
  if (done) done = co_await exchange.write(as_bytes(text), kNever);
  if (done) done = co_await exchange.finish({}, kNever);
  if (!done) exchange.reset();
  running.returned = true;
}

// A server over one end of a connection; the test holds the other.
class Served {
 public:
  using Serve = std::function<net::Task<>(ServerExchange&, Log&)>;
  explicit Served(Serve serve = echo, ServerCodecOptions options = {}, size_t capacity = 64 * 1024)
      : serve_(std::move(serve)), scope_(reactor) {
    auto [near, far] = culvert::test::MemoryStream::pair(reactor, capacity);
    client = std::move(near);
    side = far.get();
    server = make_http1_server(reactor, options, std::move(far),
                               [this](ServerExchange& exchange) { return serve_(exchange, log); });
  }
  ~Served() { scope_.cancel(); }
  Served(const Served&) = delete;
  Served& operator=(const Served&) = delete;

  void start() {
    scope_.spawn(server->run());
    settle();
  }
  void stop() { scope_.cancel(); }
  // Everything that can happen without time or further input.
  void settle() {
    for (int i = 0; i < 4; ++i) reactor.turn(Duration::zero());
  }
  std::string ask(std::string_view text) {
    client->put(text);
    settle();
    return client->take();
  }
  [[nodiscard]] bool ended() const { return scope_.empty(); }
  bool wait_for_end() {
    return culvert::test::run_until(reactor, [this] { return ended(); });
  }

  net::Reactor reactor;
  Log log;
  std::unique_ptr<culvert::test::MemoryStream> client;
  culvert::test::MemoryStream* side;  // the server's end; lives in `server`
  std::unique_ptr<ServerConnection> server;

 private:
  Serve serve_;
  net::Scope scope_;
};

}  // namespace culvert::waypoint::test
