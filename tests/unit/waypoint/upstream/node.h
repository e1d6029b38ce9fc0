#pragma once

#include "common/hbone/server.h"
#include "common/hbone/stream_io.h"
#include "common/net/listener.h"
#include "common/net/scope.h"
#include "waypoint/codec/server.h"
#include "waypoint/worker.h"

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <sys/socket.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace culvert::waypoint {

// A listening socket on a port of its own.
inline net::Fd listening_socket() {
  net::Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(::listen(fd.get(), 16), 0);
  return fd;
}

// A node's end of tunnels: notes what CONNECTs ask for, answers `status`, and is the application:
// one that echoes, or an HTTP server.
class Node {
 public:
  Node(Worker& worker, tls::CredentialPtr credential)
      : worker_(worker),
        credential_(std::move(credential)),
        scope_(worker.reactor),
        listener_(worker.reactor, listening_socket(), [this](net::Fd fd, net::SocketAddress peer) {
          ++tunnels;
          peers.push_back(peer.to_string());
          scope_.spawn(serve(std::make_unique<net::Socket>(worker_.reactor, std::move(fd))));
        }) {}

  [[nodiscard]] net::SocketAddress address() const { return listener_.local_address(); }

  int tunnels = 0;
  std::vector<std::string> peers;
  std::vector<std::string> requests;    // method and authority
  std::vector<std::string> extra;       // every other field
  std::vector<std::string> identities;  // of the client, per CONNECT
  std::string status = "200";
  enum class App : uint8_t { kEcho, kHttp1, kHttp2 };
  App app = App::kEcho;
  int served = 0;  // HTTP requests

  // As when the node's proxy is restarted.
  void lose_tunnels() { scope_.cancel(); }

 private:
  net::Task<> serve(std::unique_ptr<net::Socket> socket) {
    hbone::Server server(worker_.reactor, options_, buffers_, worker_.memory,
                         [this](std::unique_ptr<hbone::Stream> stream, const tls::Peer& peer) {
                           return answer(std::move(stream), peer);
                         });
    auto engine = tls::Engine::server(context_, credential_);
    co_await server.run(std::move(socket), std::move(engine));
  }
  net::Task<> answer(std::unique_ptr<hbone::Stream> stream, const tls::Peer& peer) {
    identities.push_back(peer.identity ? peer.identity->to_string() : "none");
    const auto head = co_await stream->head(Clock::now() + std::chrono::seconds(5));
    if (!head) co_return;
    std::string method, authority;
    for (const auto& field : (*head)->fields) {
      if (field.name == ":method") {
        method = field.value;
      } else if (field.name == ":authority") {
        authority = field.value;
      } else {
        extra.emplace_back(field.name);
      }
    }
    requests.push_back(method + " " + authority);
    const std::vector<h2::Field> fields{{":status", status}};
    stream->respond(fields, status != "200");
    if (status != "200") co_return;
    auto io = std::make_unique<hbone::StreamIo>(std::move(stream));
    if (app == App::kEcho) {
      co_await echo(*io);
    } else {
      const auto make = app == App::kHttp2 ? make_http2_server : make_http1_server;
      const auto server = make(worker_.reactor, {}, std::move(io),
                               [this](ServerExchange& exchange) { return respond(exchange); });
      co_await server->run();
    }
  }
  net::Task<> respond(ServerExchange& exchange) {
    ++served;
    http::ResponseHead head;
    head.status = 200;
    co_await exchange.respond(head, {}, kNever);
  }
  static net::Task<> echo(net::ByteStream& io) {
    std::vector<uint8_t> buffer(1024);
    for (;;) {
      const auto n = co_await io.read(buffer);
      if (!n || *n == 0) break;
      if (!co_await io.write({buffer.data(), *n})) co_return;
    }
    co_await io.shutdown_write();
  }

  Worker& worker_;
  tls::CredentialPtr credential_;
  tls::Context context_{tls::Options{}};
  h2::Buffers buffers_;
  hbone::ServerOptions options_;
  net::Scope scope_;
  net::Listener listener_;
};

}  // namespace culvert::waypoint
