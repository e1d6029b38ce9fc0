#pragma once

#include "common/http1/parser.h"
#include "common/net/byte_stream.h"
#include "common/net/event.h"
#include "waypoint/codec/exchange.h"
#include "waypoint/codec/http1_body.h"
#include "waypoint/codec/http1_input.h"
#include "waypoint/codec/http1_output.h"

#include <cstdint>
#include <memory>
#include <string>

namespace culvert::waypoint {

// What the requests of one connection have in common.
struct Http1ServerIo {
  Http1ServerIo(net::Reactor& reactor, std::unique_ptr<net::ByteStream> from,
                http1::RequestParserOptions options)
      : stream(std::move(from)),
        changed(reactor),
        input(reactor, *stream, changed),
        output(*stream, changed),
        parser(std::move(options)) {}

  std::unique_ptr<net::ByteStream> stream;
  net::Event changed;  // woken by everything that happens to the connection
  Http1Input input;
  Http1Output output;
  http1::RequestParser parser;
  bool draining = false;  // no further requests
};

// One request whose head the parser has just given, and its answer. Worker thread.
class Http1ServerExchange final : public ServerExchange, private BodyReader {
 public:
  // `io` outlives it. `head_bytes`: what the head took on the wire.
  Http1ServerExchange(Http1ServerIo& io, uint64_t head_bytes);
  Http1ServerExchange(const Http1ServerExchange&) = delete;
  Http1ServerExchange& operator=(const Http1ServerExchange&) = delete;

  [[nodiscard]] http::RequestHead& request() override { return request_; }
  [[nodiscard]] BodySize request_size() const override { return request_size_; }
  [[nodiscard]] BodyReader& body() override { return *this; }
  [[nodiscard]] const std::string& upgrade() const override { return upgrade_; }
  [[nodiscard]] bool expects_continue() const override { return expects_continue_; }
  net::Task<Result<>> send_continue(Time deadline) override;

  net::Task<Result<>> respond(const http::ResponseHead& head, BodySize size,
                              Time deadline) override;
  net::Task<Result<>> write(Bytes data, Time deadline) override;
  net::Task<Result<>> finish(const http::Headers& trailers, Time deadline) override;
  void reset() override;

  [[nodiscard]] bool responded() const override { return responded_; }
  [[nodiscard]] Counts counts() const override;

  // For the connection. The answer is on its way, to its end.
  [[nodiscard]] bool complete() const { return complete_ && !reset_; }
  // The connection ends with this exchange.
  [[nodiscard]] bool closes() const { return close_; }
  // Upgraded: the client's end of input is part of the protocol then.
  [[nodiscard]] bool tunnel() const { return tunnel_; }
  // The request's body, of which whoever answered may have left a part.
  [[nodiscard]] Http1Body& request_body() { return body_; }

 private:
  net::Task<Result<BodyPiece>> read(Time deadline) override;
  net::Task<Result<BodyPiece>> read_decided(Time deadline);
  [[nodiscard]] bool must_close() const;
  Result<> write_head(const http::ResponseHead& head, BodySize size);

  Http1ServerIo& io_;
  http::RequestHead request_;
  BodySize request_size_;
  std::string upgrade_;
  const http::Version version_;
  const bool is_head_, is_connect_, expects_continue_;
  Http1Body body_;
  const uint64_t head_bytes_, sent_before_, body_sent_before_;
  bool continued_ = false;  // 100 was sent
  bool responded_ = false;
  bool decided_ = false;  // on an upgrade
  bool complete_ = false, close_ = false, tunnel_ = false, reset_ = false;
};

}  // namespace culvert::waypoint
