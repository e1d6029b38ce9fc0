#pragma once

#include "common/net/scope.h"
#include "tests/support/h2_peer.h"
#include "waypoint/codec/server.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace culvert::waypoint::test {

using culvert::test::FieldList;
using culvert::test::H2Peer;
using culvert::test::Wire;

inline FieldList get(FieldList more = {}) {
  FieldList fields{
      {":method", "GET"}, {":scheme", "http"}, {":authority", "a.example"}, {":path", "/x"}};
  for (auto& field : more) fields.push_back(std::move(field));
  return fields;
}
inline FieldList post(FieldList more = {}) {
  FieldList fields = get(std::move(more));
  fields[0].second = "POST";
  return fields;
}

// An HTTP/2 server whose requests are answered by `serve`, and its client.
struct ServerFixture : ::testing::Test {
  void start(ServeRequest serve, ServerCodecOptions options = {}, const h2::Settings& client = {}) {
    stop();
    auto stream = wire.stream();
    peer = std::make_unique<H2Peer>(wire, h2::Role::kClient, client);
    server = make_http2_server(reactor, options, std::move(stream), std::move(serve));
    scope.spawn(run());
  }
  net::Task<> run() {
    co_await server->run();
    ended = true;
  }
  void stop() {
    scope.cancel();
    server.reset();
    ended = false;
  }
  void TearDown() override {
    stop();
    EXPECT_EQ(net::Scope::escaped_exceptions(), escaped_);
  }

  net::Reactor reactor;
  Wire wire{reactor};
  std::unique_ptr<H2Peer> peer;
  std::unique_ptr<ServerConnection> server;
  bool ended = false;
  net::Scope scope{reactor};
  uint64_t escaped_ = net::Scope::escaped_exceptions();
};

inline http::ResponseHead response(int status, const FieldList& fields = {}) {
  http::ResponseHead head;
  head.status = status;
  for (const auto& [name, value] : fields) EXPECT_TRUE(head.headers.add(name, value));
  return head;
}

// The rest of a body; "!" and the error's text after what came when it failed.
inline net::Task<std::string> read_body(BodyReader& body, http::Headers* trailers = nullptr) {
  std::string all;
  for (;;) {
    auto piece = co_await body.read(kNever);
    if (!piece) co_return all + "!" + piece.error().code.message();
    all += as_text(piece->data);
    if (!piece->end) continue;
    if (trailers != nullptr) *trailers = std::move(piece->trailers);
    co_return all;
  }
}

inline net::Task<> answer_empty(ServerExchange& exchange, int status) {
  const auto head = response(status);
  EXPECT_TRUE(co_await exchange.respond(head, {}, kNever));
}

inline constexpr BodySize kUnknownSize{BodySize::Kind::kUnknown, 0};

}  // namespace culvert::waypoint::test
