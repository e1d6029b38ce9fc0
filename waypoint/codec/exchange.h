#pragma once

#include "common/base/bytes.h"
#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/http/message.h"
#include "common/net/task.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <system_error>

// One HTTP request and its answer, whatever version of HTTP carries it: what the proxy logic sees
// of a client (ServerExchange) and of an endpoint (ClientExchange). The codecs behind it are
// http1_server, http1_client, http2_server and http2_client.
//
// All of it lives on one worker's thread. One read and one write may be pending at a time.
// `deadline`: the call fails with culvert::Errc::kTimedOut; the exchange can then only be reset.
namespace culvert::waypoint {

// How a message's body will come.
struct BodySize {
  enum class Kind : uint8_t {
    kNone,     // there is none, not even an empty one
    kLength,   // exactly `length` bytes
    kUnknown,  // as many as come: chunked, END_STREAM or, for old clients, until the connection
               // closes
    kTunnel,   // after an upgrade: opaque bytes in both directions
  };
  Kind kind = Kind::kNone;
  uint64_t length = 0;
};

struct BodyPiece {
  Bytes data;              // valid until the next read
  bool end = false;        // nothing follows; the last piece may carry data too
  http::Headers trailers;  // with `end`
};

class BodyReader {
 public:
  virtual ~BodyReader() = default;
  // The next piece: data, or the end, or both. Flow control follows the reader: what is not read is
  // not received. Not to be called after the end. Errors: ExchangeErrc, culvert::Errc::kTimedOut.
  virtual net::Task<Result<BodyPiece>> read(Time deadline) = 0;
};

class ServerExchange {
 public:
  virtual ~ServerExchange() = default;

  // The head is the proxy's to change. Hop-by-hop fields are gone, cookie crumbs joined,
  // `authority` valid.
  [[nodiscard]] virtual http::RequestHead& request() = 0;
  [[nodiscard]] virtual BodySize request_size() const = 0;
  [[nodiscard]] virtual BodyReader& body() = 0;
  // The protocol the client offers to switch to ("websocket"), in lower case; empty: none. Extended
  // CONNECT (RFC 8441) appears the same way, with method GET.
  [[nodiscard]] virtual const std::string& upgrade() const = 0;
  // The client waits for "100 Continue" before it sends its body.
  [[nodiscard]] virtual bool expects_continue() const = 0;
  virtual net::Task<Result<>> send_continue(Time deadline) = 0;

  // The answer: respond once, then write any number of times, then finish, which kNone makes
  // superfluous. With status 101 and kTunnel the bytes after it are the upgraded protocol's, in
  // both directions (HTTP/2: 200).
  virtual net::Task<Result<>> respond(const http::ResponseHead& head, BodySize size,
                                      Time deadline) = 0;
  virtual net::Task<Result<>> write(Bytes data, Time deadline) = 0;
  virtual net::Task<Result<>> finish(const http::Headers& trailers, Time deadline) = 0;
  // Ends it abnormally: HTTP/2 resets the stream, HTTP/1 closes the connection.
  virtual void reset() = 0;

  [[nodiscard]] virtual bool responded() const = 0;
  // Wire bytes so far, heads included, for the size histograms; body bytes, for the access log.
  struct Counts {
    uint64_t wire_received = 0, wire_sent = 0;
    uint64_t body_received = 0, body_sent = 0;
  };
  [[nodiscard]] virtual Counts counts() const = 0;
};

class ClientExchange {
 public:
  virtual ~ClientExchange() = default;

  // The request: send once, then write, then finish. With `upgrade` the endpoint may answer 101.
  virtual net::Task<Result<>> send(const http::RequestHead& head, BodySize size,
                                   const std::string& upgrade, Time deadline) = 0;
  virtual net::Task<Result<>> write(Bytes data, Time deadline) = 0;
  virtual net::Task<Result<>> finish(const http::Headers& trailers, Time deadline) = 0;

  // The final response head (1xx other than 101 are skipped); may come before the request was sent
  // whole, and may be waited for while another task writes.
  virtual net::Task<Result<http::ResponseHead>> response(Time deadline) = 0;
  // Valid after response().
  [[nodiscard]] virtual BodySize response_size() const = 0;
  [[nodiscard]] virtual BodyReader& body() = 0;
  // A gRPC answer without a body: its status stands in the head.
  [[nodiscard]] virtual bool trailers_only() const = 0;
  // Ends it; the connection is not used again unless the exchange was complete (HTTP/1) or is
  // HTTP/2.
  virtual void reset() = 0;
};

enum class ExchangeErrc {
  kPeerReset = 1,   // the other side ended the exchange without completing it
  kConnectionLost,  // the connection ended under it
  kRefused,         // the endpoint did not process the request: safe to send again
  kBadMessage,      // what came is not valid HTTP
  kTooLarge,        // over a limit
  kConnectFailed,   // no connection to the endpoint: <why>
  kOverflow,        // our own limits of connections, requests or waiting requests
};
std::error_code make_error_code(ExchangeErrc value);

}  // namespace culvert::waypoint

template <>
struct std::is_error_code_enum<culvert::waypoint::ExchangeErrc> : std::true_type {};
