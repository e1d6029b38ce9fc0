#pragma once

#include "common/base/result.h"

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// Requests and answers of the admin, stats and readiness servers, without sockets: handlers are
// plain functions that a test can call.
namespace culvert::admin {

struct Request {
  std::string method = "GET";
  std::string path = "/";                                    // without query, not decoded
  std::string query;                                         // after '?', not decoded
  std::vector<std::pair<std::string, std::string>> headers;  // as received, in order
  bool from_loopback = false;  // the client is on this machine, or in this pod

  // All values of a header, name compared without case.
  [[nodiscard]] std::vector<std::string_view> header(std::string_view name) const;
  // Decoded query parameters (percent and '+'); of repeated keys the last wins. "reset" alone has
  // value "".
  [[nodiscard]] std::map<std::string, std::string> parameters() const;
};

struct Response {
  unsigned status = 200;
  std::string content_type = "text/plain";
  std::string body;
  bool compressible = false;  // by Accept-Encoding, with a Vary header

  static Response text(std::string body, unsigned status = 200) {
    return {status, "text/plain", std::move(body)};
  }
  static Response empty(unsigned status) { return {status, "", ""}; }
};

// Called on the admin thread, which serves all ports: it must not wait for long. An error becomes a
// 500 with its text.
using Handler = std::function<Result<Response>(const Request&)>;

// The paths of one port.
class Site {
 public:
  // `method` empty: any method. With a method, others get 405 without a body.
  void on(std::string path, Handler handler, std::string method = {});
  // 404 without a body for unknown paths. What a handler throws is answered like an error.
  [[nodiscard]] Response answer(const Request& request) const;

 private:
  struct Route {
    std::string method;
    Handler handler;
  };
  std::map<std::string, Route, std::less<>> routes_;
};

}  // namespace culvert::admin
