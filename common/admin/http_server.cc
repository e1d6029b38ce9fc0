#include "common/admin/http_server.h"

#include "common/admin/compress.h"
#include "common/base/log.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <fmt/format.h>

#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <future>
#include <list>
#include <thread>

// One connection: wait for a first byte -> read the head -> read and drop the body -> ask the site
// -> write -> again, until the client or a limit ends it or the server stops.
namespace culvert::admin {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using Tcp = asio::ip::tcp;
using Task = asio::awaitable<void>;

constexpr auto use_result = asio::as_tuple(asio::use_awaitable);
const log::Target kLog{"admin"};

std::string http_date() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  std::array<char, 64> text{};
  const size_t length = std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &utc);
  return {text.data(), length};
}

// Over IPv6 too, and from IPv4 that arrives at a dual-stack socket.
bool from_loopback(const Tcp::socket& socket) {
  boost::system::error_code error;
  const auto address = socket.remote_endpoint(error).address();
  if (error) return false;
  if (address.is_v6() && address.to_v6().is_v4_mapped())
    return asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6()).is_loopback();
  return address.is_loopback();
}

Request to_request(const http::request<http::string_body>& message) {
  Request request;
  request.method = message.method_string();
  std::string_view target = message.target();
  // The absolute form, as a client that thinks we are a proxy sends it (RFC 9112 section 3.2.2).
  if (target.starts_with("http://")) {
    const size_t path = target.find('/', 7);
    target = path == std::string_view::npos ? "/" : target.substr(path);
  }
  target = target.substr(0, target.find('#'));
  const size_t question = std::min(target.find('?'), target.size());
  request.path = target.substr(0, question);
  if (question < target.size()) request.query = target.substr(question + 1);
  for (const auto& field : message) {
    request.headers.emplace_back(field.name_string(), field.value());
  }
  return request;
}

http::response<http::string_body> to_message(Response response, const Request& request,
                                             unsigned version) {
  http::response<http::string_body> message;
  message.version(version);
  message.result(response.status);
  if (!response.content_type.empty()) message.insert("content-type", response.content_type);
  if (response.compressible) {
    message.insert("vary", "accept-encoding");
    const Encoding encoding = response.body.size() < kMinCompressed
                                  ? Encoding::kIdentity
                                  : choose_encoding(request.header("accept-encoding"));
    if (encoding != Encoding::kIdentity) {
      if (auto smaller = compress(encoding, response.body)) {
        response.body = std::move(*smaller);
        message.insert("content-encoding", to_string(encoding));
      }
    }
  }
  message.insert("content-length", std::to_string(response.body.size()));
  message.insert("date", http_date());
  if (request.method != "HEAD") message.body() = std::move(response.body);
  return message;
}

// The status that tells a client what was wrong with its bytes; 0 if it is gone or too slow.
unsigned refusal(const beast::error_code& error) {
  if (error == http::error::header_limit || error == http::error::buffer_overflow) return 431;
  if (error == http::error::body_limit) return 413;
  const bool parse_error =
      error.category() == http::make_error_code(http::error::bad_target).category();
  if (!parse_error || error == http::error::end_of_stream ||
      error == http::error::partial_message) {
    return 0;
  }
  return 400;
}

}  // namespace

struct HttpServer::State {
  struct Listener {
    Tcp::acceptor acceptor;
    std::shared_ptr<const Site> site;
    size_t connections = 0;
  };
  struct Session {
    Session(Tcp::socket socket, Listener& from, size_t max_head)
        : stream(std::move(socket)), buffer(2 * max_head), listener(from) {}
    beast::tcp_stream stream;
    beast::flat_buffer buffer;
    Listener& listener;
    bool idle = true;  // no request has begun
  };

  explicit State(Options given) : options(given) {}

  Task accept_loop(Listener& listener);
  Task serve(Session& session);
  Task refuse(Session& session, unsigned status);
  void make_session(Listener& listener, Tcp::socket socket);
  void begin_stop();
  Result<net::SocketAddress> add(Tcp::acceptor acceptor, std::shared_ptr<const Site> site);

  const Options options;
  asio::io_context io{1};
  std::list<Listener> listeners;
  std::list<Session> sessions;  // oldest first
  bool stopping = false;
  std::promise<void> finished;
  std::future<void> when_finished = finished.get_future();
  std::thread thread;
};

HttpServer::HttpServer() : HttpServer(Options()) {}
HttpServer::HttpServer(Options options) : state_(std::make_unique<State>(options)) {}
HttpServer::~HttpServer() { stop(std::chrono::milliseconds(0)); }

Result<net::SocketAddress> HttpServer::listen(const net::SocketAddress& address,
                                              std::shared_ptr<const Site> site) {
  const auto failed = [&](const boost::system::error_code& error) {
    return system_error(error.value(), fmt::format("cannot listen on {}", address.to_string()));
  };
  const bool v4 = address.ip.is_v4();
  sockaddr_storage storage{};
  const socklen_t length = address.to_sockaddr(v4 ? AF_INET : AF_INET6, storage);
  Tcp::endpoint endpoint;
  endpoint.resize(length);
  std::memcpy(endpoint.data(), &storage, length);

  Tcp::acceptor acceptor(state_->io);
  boost::system::error_code error;
  if (acceptor.open(v4 ? Tcp::v4() : Tcp::v6(), error)) return failed(error);
  // Allows a restart while old connections are in TIME_WAIT; a second listener is still refused.
  acceptor.set_option(Tcp::acceptor::reuse_address(true), error);
  if (!v4) acceptor.set_option(asio::ip::v6_only(false), error);
  if (acceptor.bind(endpoint, error)) return failed(error);
  if (acceptor.listen(asio::socket_base::max_listen_connections, error)) return failed(error);
  return state_->add(std::move(acceptor), std::move(site));
}

Result<net::SocketAddress> HttpServer::adopt(int fd, std::shared_ptr<const Site> site) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &length) != 0) {
    Error error = system_error(errno, "cannot take over a listening socket");
    ::close(fd);
    return error;
  }
  Tcp::acceptor acceptor(state_->io);
  boost::system::error_code error;
  if (acceptor.assign(storage.ss_family == AF_INET ? Tcp::v4() : Tcp::v6(), fd, error)) {
    ::close(fd);
    return system_error(error.value(), "cannot take over a listening socket");
  }
  return state_->add(std::move(acceptor), std::move(site));
}

Result<net::SocketAddress> HttpServer::State::add(Tcp::acceptor acceptor,
                                                  std::shared_ptr<const Site> site) {
  boost::system::error_code error;
  const Tcp::endpoint bound = acceptor.local_endpoint(error);
  if (error) return system_error(error.value(), "cannot read the bound address");
  sockaddr_storage storage{};
  std::memcpy(&storage, bound.data(), bound.size());
  listeners.push_back({std::move(acceptor), std::move(site)});
  return net::SocketAddress::from(storage);
}

void HttpServer::start() {
  for (auto& listener : state_->listeners) {
    asio::co_spawn(state_->io, state_->accept_loop(listener), [](const std::exception_ptr&) {});
  }
  state_->thread = std::thread([state = state_.get()] {
    pthread_setname_np(pthread_self(), "admin");
    // Signals are for the main thread.
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
    state->io.run();
    state->finished.set_value();
  });
}

void HttpServer::stop(std::chrono::milliseconds grace) {
  State& state = *state_;
  if (!state.thread.joinable()) {
    state.listeners.clear();
    return;
  }
  asio::post(state.io, [&state] { state.begin_stop(); });
  if (state.when_finished.wait_for(grace) != std::future_status::ready) {
    asio::post(state.io, [&state] {
      for (auto& session : state.sessions) session.stream.close();
    });
  }
  state.thread.join();
}

void HttpServer::State::begin_stop() {
  stopping = true;
  boost::system::error_code ignored;
  for (Listener& listener : listeners) listener.acceptor.close(ignored);
  for (Session& session : sessions) {
    if (session.idle) session.stream.close();
  }
}

Task HttpServer::State::accept_loop(Listener& listener) {
  asio::steady_timer pause(io);
  while (!stopping) {
    auto [error, socket] = co_await listener.acceptor.async_accept(use_result);
    if (stopping) co_return;
    if (error) {
      // Out of descriptors, most likely: trying again at once would only burn the CPU.
      kLog.warn("cannot accept an HTTP connection: {}", error.message());
      pause.expires_after(std::chrono::milliseconds(100));
      co_await pause.async_wait(use_result);
      continue;
    }
    make_session(listener, std::move(socket));
  }
}

void HttpServer::State::make_session(Listener& listener, Tcp::socket socket) {
  if (listener.connections >= options.max_connections) {
    const auto idle = std::ranges::find_if(sessions, [&](const Session& session) {
      return &session.listener == &listener && session.idle;
    });
    if (idle == sessions.end()) return;  // closes the socket
    idle->idle = false;                  // already leaving: the next one takes another
    idle->stream.close();
  }
  boost::system::error_code ignored;
  socket.set_option(Tcp::no_delay(true), ignored);
  ++listener.connections;
  sessions.emplace_back(std::move(socket), listener, options.max_head);
  const auto place = std::prev(sessions.end());
  asio::co_spawn(io, serve(*place), [this, place](const std::exception_ptr& thrown) {
    if (thrown) kLog.error("an HTTP connection ended by an exception; it was closed");
    --place->listener.connections;
    sessions.erase(place);
  });
}

Task HttpServer::State::serve(Session& session) {
  beast::tcp_stream& stream = session.stream;
  for (bool first = true; !stopping; first = false) {
    if (session.buffer.size() == 0) {
      session.idle = true;
      stream.expires_after(first ? options.head_timeout : options.idle_timeout);
      auto [error, n] = co_await stream.async_read_some(session.buffer.prepare(2048), use_result);
      if (error) co_return;
      session.buffer.commit(n);
    }
    session.idle = false;
    stream.expires_after(options.head_timeout);
    http::request_parser<http::string_body> parser;
    parser.header_limit(static_cast<std::uint32_t>(options.max_head));
    parser.body_limit(options.max_body);
    auto [error, n] = co_await http::async_read(stream, session.buffer, parser, use_result);
    if (error) {
      if (const unsigned status = refusal(error); status != 0) co_await refuse(session, status);
      co_return;
    }
    const auto message = parser.release();
    Request request = to_request(message);
    request.from_loopback = from_loopback(stream.socket());
    auto answer = to_message(session.listener.site->answer(request), request, message.version());
    const bool keep_alive = message.keep_alive() && !stopping;
    answer.keep_alive(keep_alive);
    // A large answer to a slow reader; the reader is usually kubectl on the other side of an ocean.
    stream.expires_after(options.idle_timeout);
    http::response_serializer<http::string_body> serializer(answer);
    auto [write_error, written] = co_await http::async_write(stream, serializer, use_result);
    if (write_error || !keep_alive) break;
  }
  boost::system::error_code ignored;
  stream.socket().shutdown(Tcp::socket::shutdown_send, ignored);
}

// Answers bytes that are no request. What is still coming is read and dropped for a second, because
// closing with unread data resets the connection and the client would never see the answer.
Task HttpServer::State::refuse(Session& session, unsigned status) {
  beast::tcp_stream& stream = session.stream;
  stream.expires_after(std::chrono::seconds(1));
  auto answer = to_message(Response::empty(status), Request(), 11);
  answer.keep_alive(false);
  auto [error, written] = co_await http::async_write(stream, answer, use_result);
  if (error) co_return;
  boost::system::error_code ignored;
  stream.socket().shutdown(Tcp::socket::shutdown_send, ignored);
  std::array<char, 4096> dropped{};
  for (;;) {
    auto [read_error, n] = co_await stream.async_read_some(asio::buffer(dropped), use_result);
    if (read_error) co_return;
  }
}

}  // namespace culvert::admin
