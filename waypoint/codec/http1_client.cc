#include "waypoint/codec/http1_client.h"

#include "common/base/check.h"
#include "common/http/hop_by_hop.h"
#include "common/http1/parser.h"
#include "common/http1/serializer.h"
#include "waypoint/codec/http1_body.h"
#include "waypoint/codec/http1_errors.h"
#include "waypoint/codec/http1_input.h"
#include "waypoint/codec/http1_output.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

namespace culvert::waypoint {
namespace {

http1::Limits parser_limits(const ClientCodecOptions& options) {
  http1::Limits limits;
  limits.max_header_bytes = options.max_header_bytes;
  limits.max_headers = options.max_header_fields;
  return limits;
}

// RFC 9110 section 9.2.2.
bool is_idempotent(std::string_view method) {
  constexpr std::array<std::string_view, 6> kMethods = {"GET", "HEAD",  "OPTIONS",
                                                        "PUT", "TRACE", "DELETE"};
  return std::ranges::find(kMethods, method) != kMethods.end();
}

struct Connection {
  Connection(net::Reactor& reactor, std::unique_ptr<net::ByteStream> to,
             const ClientCodecOptions& options)
      : stream(std::move(to)),
        limits(parser_limits(options)),
        changed(reactor),
        input(reactor, *stream, changed),
        output(*stream, changed) {
    input.start();
  }
  ~Connection() {
    if (!output.shut() || !input.eof()) stream->reset();
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  std::unique_ptr<net::ByteStream> stream;
  const http1::Limits limits;
  net::Event changed;
  Http1Input input;
  Http1Output output;
  std::optional<http1::ResponseParser> parser;
  uint64_t started = 0;
  bool busy = false;  // an exchange is running
  bool dead = false;  // the last one left it unusable
};

class Exchange final : public ClientExchange, private BodyReader {
 public:
  explicit Exchange(Connection& connection)
      : connection_(connection), reused_(++connection.started > 1) {
    connection.busy = true;
  }
  ~Exchange() override { end(); }
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  net::Task<Result<>> send(const http::RequestHead& head, BodySize size, const std::string& upgrade,
                           Time deadline) override;
  net::Task<Result<>> write(Bytes data, Time deadline) override;
  net::Task<Result<>> finish(const http::Headers& trailers, Time deadline) override;
  net::Task<Result<http::ResponseHead>> response(Time deadline) override;
  [[nodiscard]] BodySize response_size() const override { return response_size_; }
  [[nodiscard]] BodyReader& body() override { return *this; }
  [[nodiscard]] bool trailers_only() const override { return trailers_only_; }
  void reset() override { end(); }

 private:
  net::Task<Result<BodyPiece>> read(Time deadline) override {
    CULVERT_CHECK(body_.has_value());
    return body_->read(deadline);
  }
  Result<> write_head(const http::RequestHead& head, BodySize size, const std::string& upgrade);
  http::ResponseHead take_head();
  [[nodiscard]] Error lost(const Error& cause) const;
  [[nodiscard]] bool reusable() const;
  void end();

  Connection& connection_;
  const bool reused_;  // the connection served before
  BodySize size_;
  uint64_t written_ = 0;
  bool begun_ = false;         // send() was called: the connection is ours
  bool asked_ = false;         // the head is on its way
  bool request_done_ = false;  // and the rest of the request
  bool idempotent_ = false, is_connect_ = false, ended_ = false, trailers_only_ = false;
  BodySize response_size_;
  std::optional<Http1Body> body_;  // since the response's head
};

// How the end of the connection looks to one who has no answer yet.
Error Exchange::lost(const Error& cause) const {
  if (cause.code == culvert::Errc::kTimedOut) return cause;
  const bool unanswered = asked_ && !body_ && !connection_.parser->started();
  const bool refused = reused_ && idempotent_ && request_done_ && unanswered;
  return {refused ? ExchangeErrc::kRefused : ExchangeErrc::kConnectionLost, cause.message()};
}

Result<> Exchange::write_head(const http::RequestHead& head, BodySize size,
                              const std::string& upgrade) {
  http1::WriteOptions options;
  options.framing = framing_of(size);
  options.upgrade = upgrade;
  const auto writer = http1::write_request_head(head, options, connection_.output.queue());
  if (!writer) return bad_message(writer.error());
  connection_.output.begin(*writer);
  return {};
}

net::Task<Result<>> Exchange::send(const http::RequestHead& head, BodySize size,
                                   const std::string& upgrade, Time deadline) {
  CULVERT_CHECK(!begun_ && !ended_);
  Connection& c = connection_;
  // Closed, or spoken to, since it was chosen. Nothing was sent, so that any request may go
  // elsewhere.
  if (c.input.ended() || !c.input.readable().empty()) {
    begun_ = true;
    co_return Error(reused_ ? ExchangeErrc::kRefused : ExchangeErrc::kConnectionLost,
                    "ended before the request");
  }
  if (auto good = write_head(head, size, upgrade); !good) co_return good;
  const http1::Exchange exchange{.head_request = head.method == "HEAD",
                                 .connect_request = head.is_connect(),
                                 .upgrade_requested = !upgrade.empty()};
  if (c.parser) {
    c.parser->next_message(exchange);
  } else {
    c.parser.emplace(exchange, c.limits);
  }
  begun_ = asked_ = true;
  size_ = size;
  is_connect_ = head.is_connect();
  idempotent_ = is_idempotent(head.method);
  request_done_ = size.kind == BodySize::Kind::kNone;
  const auto sent = co_await c.output.flush(deadline);
  if (!sent) co_return lost(sent.error());
  co_return Result<>{};
}

net::Task<Result<>> Exchange::write(Bytes data, Time deadline) {
  CULVERT_CHECK(begun_);
  auto done = co_await connection_.output.write(data, deadline);
  if (!done) co_return done;
  written_ += data.size();
  if (size_.kind == BodySize::Kind::kLength && written_ == size_.length) request_done_ = true;
  co_return done;
}

net::Task<Result<>> Exchange::finish(const http::Headers& trailers, Time deadline) {
  CULVERT_CHECK(begun_);
  auto done = co_await connection_.output.finish(trailers, deadline);
  if (done) request_done_ = true;
  co_return done;
}

net::Task<Result<http::ResponseHead>> Exchange::response(Time deadline) {
  CULVERT_CHECK(!body_);
  if (!asked_) co_return Error(ExchangeErrc::kConnectionLost, "nothing was asked");
  Http1Input& input = connection_.input;
  for (;;) {
    const auto step = connection_.parser->feed(input.readable());
    if (!step) co_return bad_message(step.error());
    input.consume(step->consumed);
    if (step->event == http1::Event::kHead) co_return take_head();
    if (step->event == http1::Event::kInformational) continue;
    if (input.error()) co_return lost(*input.error());
    if (input.eof()) co_return lost(Error(culvert::Errc::kClosed));
    if (!co_await input.more(deadline)) co_return Error(culvert::Errc::kTimedOut);
  }
}

http::ResponseHead Exchange::take_head() {
  http1::ResponseParser& parser = *connection_.parser;
  const http1::Framing& framing = parser.framing();
  body_.emplace(parser, connection_.input);
  response_size_ = body_size(framing);
  if (framing.kind == http1::Framing::Kind::kTunnel) {
    body_->begin_tunnel();
    connection_.output.begin(http1::BodyWriter(framing));
  }
  http::ResponseHead head = std::move(parser.head());
  http::remove_hop_by_hop(head.headers, false);
  trailers_only_ = body_->complete() && head.headers.contains("grpc-status");
  return head;
}

bool Exchange::reusable() const {
  const bool complete = request_done_ && body_ && body_->complete();
  return complete && connection_.parser->keep_alive() && !is_connect_ &&
         !connection_.output.broken();
}

void Exchange::end() {
  if (ended_) return;
  ended_ = true;
  connection_.busy = false;
  if (body_) body_->release();
  connection_.output.rest();
  if (!begun_ || reusable()) return;
  connection_.dead = true;
  // An exchange that is complete needs no reset: its owner closes the connection.
  if (!request_done_ || !body_ || !body_->complete()) connection_.stream->reset();
}

}  // namespace

struct Http1Client::State {
  Connection connection;
};

Http1Client::Http1Client(net::Reactor& reactor, std::unique_ptr<net::ByteStream> stream,
                         ClientCodecOptions options)
    : state_(new State{.connection{reactor, std::move(stream), options}}) {}

Http1Client::~Http1Client() = default;

bool Http1Client::usable() const {
  const Connection& c = state_->connection;
  return !c.busy && !c.dead && !c.input.ended() && c.input.readable().empty();
}

uint64_t Http1Client::started() const { return state_->connection.started; }

std::unique_ptr<ClientExchange> Http1Client::start() {
  CULVERT_CHECK(usable());
  return std::make_unique<Exchange>(state_->connection);
}

}  // namespace culvert::waypoint
