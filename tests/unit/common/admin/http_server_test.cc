#include "common/admin/http_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <future>
#include <string>
#include <utility>

namespace culvert::admin {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// A blocking client; every read gives up after five seconds.
class Client {
 public:
  explicit Client(const net::SocketAddress& server) {
    sockaddr_storage storage{};
    const int family = server.ip.is_v4() ? AF_INET : AF_INET6;
    const socklen_t length = server.to_sockaddr(family, storage);
    fd_ = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const timeval patience{5, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&storage), length) == 0;
  }
  ~Client() { ::close(fd_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  [[nodiscard]] bool connected() const { return connected_; }
  void send(std::string_view text) const {
    EXPECT_EQ(::send(fd_, text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }
  void half_close() const { ::shutdown(fd_, SHUT_WR); }
  // Until `enough` bytes are there whose text satisfies it, or the end.
  template <class Enough>
  std::string read(Enough enough) const {
    std::string all;
    std::array<char, 4096> chunk{};
    while (!enough(all)) {
      const ssize_t n = ::recv(fd_, chunk.data(), chunk.size(), 0);
      if (n <= 0) {
        timed_out_ = n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
        break;
      }
      all.append(chunk.data(), static_cast<size_t>(n));
    }
    return all;
  }
  std::string read_to_end() const {
    std::string all = read([](const std::string&) { return false; });
    EXPECT_FALSE(timed_out_) << "the server did not close the connection";
    return all;
  }
  std::string read_until(std::string_view suffix) const {
    return read([&](const std::string& all) { return all.ends_with(suffix); });
  }

 private:
  int fd_ = -1;
  bool connected_ = false;
  mutable bool timed_out_ = false;
};

class HttpServerTest : public ::testing::Test {
 protected:
  HttpServerTest() {
    site_->on("/hello", [](const Request& request) {
      return Response::text("hello " + request.method + " " + request.query + "\n");
    });
    site_->on("/long", [](const Request&) {
      return Response{200, "text/plain", std::string(100'000, 'x'), true};
    });
    site_->on("/short", [](const Request&) {
      return Response{200, "text/plain", std::string(31, 'x'), true};
    });
    site_->on("/fails",
              [](const Request&) -> Result<Response> { return invalid("nothing there"); });
  }
  ~HttpServerTest() override {
    if (server_) server_->stop(1s);
  }
  net::SocketAddress serve(HttpServer::Options options = {}) {
    server_ = std::make_unique<HttpServer>(options);
    auto bound = server_->listen({net::IpAddress::loopback_v4(), 0}, site_);
    EXPECT_TRUE(bound) << bound.error().message();
    server_->start();
    return *bound;
  }

  std::shared_ptr<Site> site_ = std::make_shared<Site>();
  std::unique_ptr<HttpServer> server_;
};

constexpr std::string_view kGet = "GET /hello?a=b HTTP/1.1\r\nHost: x\r\n\r\n";

TEST_F(HttpServerTest, AnswersLikeIstiosServers) {
  const Client client(serve());
  client.send("GET /hello?a=b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(
      client.read_to_end(),
      AllOf(StartsWith("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n"
                       "content-length: 14\r\ndate: "),
            HasSubstr(" GMT\r\n"), Not(HasSubstr("vary")), EndsWith("\r\n\r\nhello GET a=b\n")));
}

TEST_F(HttpServerTest, KeepsConnectionsOpenAndTakesPipelinedRequests) {
  const Client client(serve());
  client.send(kGet);
  EXPECT_THAT(client.read_until("a=b\n"), StartsWith("HTTP/1.1 200 OK"));
  client.send(
      "POST /hello?1 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET /nosuch HTTP/1.1\r\n"
      "Host: x\r\n\r\nGET /hello?last HTTP/1.1\r\nHost: x\r\n\r\n");
  const std::string answers = client.read_until("last\n");
  EXPECT_THAT(answers, HasSubstr("hello POST 1\n"));
  EXPECT_THAT(answers, HasSubstr("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n"));
}

TEST_F(HttpServerTest, OldClientsGetOneAnswer) {
  const Client client(serve());
  client.send("GET /hello HTTP/1.0\r\n\r\n");
  EXPECT_THAT(client.read_to_end(), AllOf(StartsWith("HTTP/1.0 200 OK"), EndsWith("hello GET \n")));
}

TEST_F(HttpServerTest, AHalfClosedClientStillGetsItsAnswer) {
  const Client client(serve());
  client.send(kGet);
  client.half_close();
  EXPECT_THAT(client.read_to_end(), EndsWith("hello GET a=b\n"));
}

TEST_F(HttpServerTest, HeadHasALengthAndNoBody) {
  const Client client(serve());
  client.send("HEAD /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(client.read_to_end(),
              AllOf(HasSubstr("content-length: 12\r\n"), EndsWith("\r\n\r\n")));
}

TEST_F(HttpServerTest, HandlerErrorsAre500WithTheirText) {
  const Client client(serve());
  client.send("GET /fails HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(client.read_to_end(),
              AllOf(StartsWith("HTTP/1.1 500 Internal Server Error"), EndsWith("nothing there\n")));
}

TEST_F(HttpServerTest, TheAbsoluteFormIsUnderstood) {
  const Client client(serve());
  client.send("GET http://x/hello?q HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(client.read_to_end(), EndsWith("hello GET q\n"));
}

TEST_F(HttpServerTest, CompressesWhenAskedAndWorthIt) {
  const auto address = serve();
  const auto get = [&](const std::string& path, const std::string& accept) {
    const Client client(address);
    client.send("GET " + path + " HTTP/1.1\r\nHost: x\r\n" + accept + "Connection: close\r\n\r\n");
    return client.read_to_end();
  };
  const std::string zipped = get("/long", "Accept-Encoding: gzip\r\n");
  EXPECT_THAT(zipped, AllOf(HasSubstr("content-encoding: gzip\r\n"),
                            HasSubstr("vary: accept-encoding\r\n")));
  EXPECT_LT(zipped.size(), 5000U);
  const std::string plain = get("/long", "");
  EXPECT_THAT(plain, AllOf(Not(HasSubstr("content-encoding")), HasSubstr("vary: accept-encoding")));
  EXPECT_GT(plain.size(), 100'000U);
  EXPECT_THAT(get("/short", "Accept-Encoding: gzip\r\n"), Not(HasSubstr("content-encoding")));
  EXPECT_THAT(get("/hello", "Accept-Encoding: gzip\r\n"), Not(HasSubstr("content-encoding")));
}

TEST_F(HttpServerTest, BytesThatAreNoRequestAre400) {
  const Client client(serve());
  client.send("\x16\x03\x01 this is not HTTP\r\n\r\n");
  EXPECT_THAT(client.read_until("\r\n\r\n"), StartsWith("HTTP/1.1 400 Bad Request\r\n"));
}

TEST_F(HttpServerTest, TheHeadHasALimit) {
  const auto address = serve();
  const std::string start = "GET /hello HTTP/1.1\r\nHost: x\r\nX: ";
  {
    const Client client(address);
    client.send(start + std::string(8192 - start.size() - 4, 'x') + "\r\n\r\n");
    EXPECT_THAT(client.read_until("GET \n"), StartsWith("HTTP/1.1 200"));
  }
  const Client client(address);
  client.send(start + std::string(8192, 'x') + "\r\n\r\n");
  EXPECT_THAT(client.read_until("\r\n\r\n"), StartsWith("HTTP/1.1 431 "));
}

TEST_F(HttpServerTest, TheBodyHasALimit) {
  HttpServer::Options options;
  options.max_body = 10;
  const auto address = serve(options);
  {
    const Client client(address);
    client.send("POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n0123456789");
    EXPECT_THAT(client.read_until("POST \n"), StartsWith("HTTP/1.1 200"));
  }
  const Client client(address);
  client.send("POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n01234567890");
  EXPECT_THAT(client.read_until("\r\n\r\n"), StartsWith("HTTP/1.1 413 "));
}

TEST_F(HttpServerTest, ASlowHeadIsCutOff) {
  HttpServer::Options options;
  options.head_timeout = 30ms;
  const auto address = serve(options);
  const Client silent(address);
  const Client slow(address);
  slow.send("GET /hello HTTP/1.1\r\nHo");
  EXPECT_EQ(slow.read_to_end(), "");
  EXPECT_EQ(silent.read_to_end(), "");
}

TEST_F(HttpServerTest, IdleConnectionsEnd) {
  HttpServer::Options options;
  options.idle_timeout = 30ms;
  const Client client(serve(options));
  client.send(kGet);
  EXPECT_THAT(client.read_to_end(), EndsWith("hello GET a=b\n"));
}

TEST_F(HttpServerTest, AtTheLimitTheLongestIdleConnectionMakesRoom) {
  HttpServer::Options options;
  options.max_connections = 2;
  const auto address = serve(options);
  const Client first(address), second(address);
  for (const Client* client : {&first, &second}) {
    client->send(kGet);
    client->read_until("a=b\n");
  }
  const Client third(address);
  third.send(kGet);
  EXPECT_THAT(third.read_until("a=b\n"), StartsWith("HTTP/1.1 200"));
  EXPECT_EQ(first.read_to_end(), "");
  second.send(kGet);
  EXPECT_THAT(second.read_until("a=b\n"), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServerTest, AtTheLimitWithoutAnIdleConnectionTheNewOneIsClosed) {
  HttpServer::Options options;
  options.max_connections = 1;
  const auto address = serve(options);
  const Client first(address);
  // In one piece, so that the server holds the beginning of the second request when it answers the
  // first.
  first.send(std::string(kGet) + "GET /hello HTT");
  first.read_until("a=b\n");
  const Client second(address);
  EXPECT_EQ(second.read_to_end(), "");
  first.send("P/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(first.read_until("GET \n"), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServerTest, ATakenPortIsAnError) {
  const auto address = serve();
  HttpServer other;
  const auto bound = other.listen(address, site_);
  ASSERT_FALSE(bound);
  EXPECT_EQ(bound.error().code, std::errc::address_in_use);
  EXPECT_THAT(bound.error().message(), HasSubstr("cannot listen on 127.0.0.1:"));
}

TEST_F(HttpServerTest, TheWildcardTakesBothFamilies) {
  server_ = std::make_unique<HttpServer>();
  auto bound = server_->listen({net::IpAddress::any_v6(), 0}, site_);
  if (!bound) GTEST_SKIP() << "no IPv6 here: " << bound.error().message();
  server_->start();
  const Client v4({net::IpAddress::loopback_v4(), bound->port});
  v4.send(kGet);
  EXPECT_THAT(v4.read_until("a=b\n"), StartsWith("HTTP/1.1 200"));
  const Client v6({net::IpAddress::loopback_v6(), bound->port});
  if (!v6.connected()) return;  // ::1 may be off while [::] can be bound
  v6.send(kGet);
  EXPECT_THAT(v6.read_until("a=b\n"), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServerTest, TakesOverAListeningSocket) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in local{};
  local.sin_family = AF_INET;
  local.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&local), sizeof local), 0);
  ASSERT_EQ(::listen(fd, 8), 0);
  server_ = std::make_unique<HttpServer>();
  const auto bound = server_->adopt(fd, site_);
  ASSERT_TRUE(bound);
  const Client client(*bound);  // before start(): waits in the backlog
  client.send(kGet);
  server_->start();
  EXPECT_THAT(client.read_until("a=b\n"), StartsWith("HTTP/1.1 200"));
  EXPECT_FALSE(server_->adopt(-1, site_));
}

TEST_F(HttpServerTest, StoppingFinishesTheRequestInFlightAndClosesTheRest) {
  std::promise<void> entered, leave;
  std::shared_future<void> may_leave = leave.get_future().share();
  site_->on("/wait", [&](const Request&) {
    entered.set_value();
    may_leave.wait_for(5s);
    return Response::text("finished\n");
  });
  const auto address = serve();
  const Client idle(address);
  idle.send(kGet);
  idle.read_until("a=b\n");
  const Client busy(address);
  busy.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
  entered.get_future().wait_for(5s);
  auto stopped = std::async(std::launch::async, [&] { server_->stop(5s); });
  leave.set_value();
  EXPECT_THAT(busy.read_to_end(), EndsWith("finished\n"));
  EXPECT_EQ(idle.read_to_end(), "");
  ASSERT_EQ(stopped.wait_for(5s), std::future_status::ready);
  EXPECT_FALSE(Client(address).connected());
}

TEST_F(HttpServerTest, StoppingDoesNotWaitLongerThanItsGrace) {
  const auto address = serve();
  const Client slow(address);
  slow.send(kGet);
  slow.read_until("a=b\n");
  slow.send("GET /hello HTTP/1.1\r\n");  // never finished
  const auto begin = std::chrono::steady_clock::now();
  server_->stop(20ms);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 1500ms);
  server_->stop(0ms);  // a second time does nothing
}

TEST_F(HttpServerTest, AServerThatNeverStartedEnds) {
  HttpServer server;
  EXPECT_TRUE(server.listen({net::IpAddress::loopback_v4(), 0}, site_));
}

}  // namespace
}  // namespace culvert::admin
