#pragma once

#include "common/admin/http.h"
#include "common/base/result.h"
#include "common/net/address.h"

#include <chrono>
#include <cstddef>
#include <memory>

namespace culvert::admin {

// An HTTP/1.1 server for people, kubelet and Prometheus: several listeners, each with its own Site,
// all on one thread of its own. Order of calls: listen() or adopt() any number of times, start(),
// stop(). Connections that come between listen() and start() wait in the backlog. Handlers run on
// the server's thread.
//
// Limits: a request head of 8 KiB within 2 s, a body of 64 KiB (it is read and dropped), 64
// connections a listener (the one that has been idle longest makes room; if none is idle the new
// one is closed). A client may close its sending side and still gets its answer.
class HttpServer {
 public:
  struct Options {
    std::chrono::milliseconds head_timeout{2'000};
    std::chrono::milliseconds idle_timeout{60'000};  // between requests on one connection
    size_t max_head = 8 * 1024;
    size_t max_body = 64 * 1024;
    size_t max_connections = 64;
  };
  HttpServer();
  explicit HttpServer(Options options);
  ~HttpServer();  // stop(0)
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // Binds without SO_REUSEPORT, so that a second process (or a port clash) is an error here. "[::]"
  // takes IPv4 too. Returns the address bound, with the real port for port 0.
  Result<net::SocketAddress> listen(const net::SocketAddress& address,
                                    std::shared_ptr<const Site> site);
  // Takes ownership of a socket that is listening already.
  Result<net::SocketAddress> adopt(int fd, std::shared_ptr<const Site> site);
  void start();

  // Closes the listeners and idle connections, finishes requests in flight for at most `grace`,
  // then closes the rest and joins the thread. Not from a handler. May be called twice.
  void stop(std::chrono::milliseconds grace);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace culvert::admin
