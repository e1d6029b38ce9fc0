#include "common/net/scope.h"
#include "waypoint/codec/http1_server_exchange.h"
#include "waypoint/codec/server.h"

#include <optional>
#include <string>

namespace culvert::waypoint {
namespace {

// What is still read of a request after its answer, so that the connection can go on, or at the
// end, so that the client can read the answer: a stream closed with unread input is reset. Envoy
// waits as long (delayed_close_timeout).
constexpr uint64_t kMaxDrained = 256 * 1024;
constexpr std::chrono::seconds kDrainTime{1};

http1::RequestParserOptions parser_options(const ServerCodecOptions& options) {
  http1::RequestParserOptions parser;
  parser.limits.max_header_bytes = options.max_header_bytes;
  parser.limits.max_headers = options.max_header_fields;
  // Envoy's limit covers the request line: long URLs that work there have to work here.
  parser.limits.max_start_line = options.max_header_bytes;
  return parser;
}

Time after(std::chrono::milliseconds duration) {
  return duration.count() > 0 ? Clock::now() + duration : kNever;
}

// A URL that is too long is a head that is too large, as in Envoy, which has one limit for both.
int refusal_of(const Error& error) {
  constexpr int kUriTooLong = 414, kHeadTooLarge = 431;
  const int status = http1::http_status(error.code);
  return status == kUriTooLong ? kHeadTooLarge : status;
}

class Http1Server final : public ServerConnection {
 public:
  Http1Server(net::Reactor& reactor, const ServerCodecOptions& options,
              std::unique_ptr<net::ByteStream> stream, ServeRequest serve)
      : reactor_(reactor),
        options_(options),
        serve_(std::move(serve)),
        io_(reactor, std::move(stream), parser_options(options)) {}

  net::Task<> run() override;
  void drain() override {
    io_.draining = true;
    io_.changed.wake_all();
  }

 private:
  enum class Head : uint8_t { kRequest, kNone, kRefused };

  net::Task<> serve_requests();
  net::Task<Head> next_head();
  net::Task<bool> answer();
  net::Task<> call_serve();
  net::Task<bool> finish_request();
  net::Task<> refuse();
  net::Task<> close();
  net::Task<> shut_down();
  Head refused(int status) {
    status_ = status;
    return Head::kRefused;
  }
  [[nodiscard]] bool client_gone() const;

  net::Reactor& reactor_;
  const ServerCodecOptions options_;
  const ServeRequest serve_;
  Http1ServerIo io_;
  uint64_t head_bytes_ = 0;
  int status_ = 0;  // why the head was refused
  std::optional<Http1ServerExchange> exchange_;
  bool served_ = false;
  bool shut_ = false;         // our output has ended
  bool cannot_shut_ = false;  // and never will: the stream has failed
};

net::Task<> Http1Server::run() {
  struct Guard {
    Http1Server& server;
    ~Guard() {
      if (!server.shut_ || !server.io_.input.eof()) server.io_.stream->reset();
    }
  } const guard{*this};
  io_.input.start();
  co_await serve_requests();
}

net::Task<> Http1Server::serve_requests() {
  for (;;) {
    const Head head = co_await next_head();
    if (head == Head::kRefused) co_await refuse();
    if (head != Head::kRequest) break;
    exchange_.emplace(io_, head_bytes_);
    if (!co_await answer()) co_return;
    if (exchange_->closes() || !co_await finish_request()) break;
    exchange_.reset();
    io_.parser.next_message();
    io_.output.rest();
  }
  co_await close();
}

net::Task<Http1Server::Head> Http1Server::next_head() {
  Time deadline = after(options_.idle_timeout);
  bool started = false;
  head_bytes_ = 0;
  for (;;) {
    const auto step = io_.parser.feed(io_.input.readable());
    if (!step) co_return refused(refusal_of(step.error()));
    head_bytes_ += step->consumed;
    io_.input.consume(step->consumed);
    if (step->event == http1::Event::kHead) break;
    if (io_.input.ended()) co_return Head::kNone;
    if (!started && io_.parser.started()) {
      started = true;
      deadline = after(options_.header_timeout);
    }
    if (!started && io_.draining) co_return Head::kNone;
    constexpr int kRequestTimeout = 408;
    if (Clock::now() >= deadline) co_return started ? refused(kRequestTimeout) : Head::kNone;
    co_await io_.changed.wait(deadline);
  }
  // As in Envoy: without an authority there is nothing to route by. HTTP/1.1 never gets here
  // without.
  constexpr int kBadRequest = 400;
  if (io_.parser.head().authority.empty()) co_return refused(kBadRequest);
  co_return Head::kRequest;
}

bool Http1Server::client_gone() const {
  if (exchange_->complete()) return false;
  return io_.input.error().has_value() || (io_.input.eof() && !exchange_->tunnel());
}

// False: the connection is of no use any more.
net::Task<bool> Http1Server::answer() {
  net::Scope serving(reactor_);
  served_ = false;
  serving.spawn(call_serve());
  while (!served_ && !client_gone()) co_await io_.changed.wait();
  serving.cancel();
  co_return exchange_->complete();
}

net::Task<> Http1Server::call_serve() {
  struct Notify {
    Http1Server& server;
    ~Notify() {
      server.served_ = true;
      server.io_.changed.wake_all();
    }
  } const notify{*this};
  co_await serve_(*exchange_);
}

// What is left of the request's body. False: too much, or it does not come.
net::Task<bool> Http1Server::finish_request() {
  Http1Body& body = exchange_->request_body();
  const Time deadline = Clock::now() + kDrainTime;
  const uint64_t most = body.wire_received() + kMaxDrained;
  while (!body.complete()) {
    const auto piece = co_await body.read(deadline);
    if (!piece || body.wire_received() > most) co_return false;
  }
  body.release();
  co_return true;
}

net::Task<> Http1Server::refuse() {
  const std::string text(http::status_text(status_));
  http::ResponseHead head;
  head.status = status_;
  if (!head.headers.add("content-type", "text/plain")) co_return;
  http1::ResponseOptions options;
  options.framing = http1::Framing::of_length(text.size());
  options.close = true;
  ByteQueue& queue = io_.output.queue();
  auto writer = http1::write_response_head(head, options, queue);
  if (!writer || !writer->write(as_bytes(text), queue)) co_return;
  // Nobody is there to be told if it fails.
  (void)co_await io_.output.flush(Clock::now() + kDrainTime);
}

// Ends our output and waits for the client's end, within bounds.
net::Task<> Http1Server::close() {
  if (exchange_) exchange_->request_body().release();
  const Time deadline = Clock::now() + kDrainTime;
  net::Scope closing(reactor_);
  closing.spawn(shut_down());
  for (uint64_t drained = 0; drained <= kMaxDrained && Clock::now() < deadline;) {
    const size_t n = io_.input.readable().size();
    drained += n;
    io_.input.consume(n);
    if (io_.input.error() || cannot_shut_ || (io_.input.eof() && shut_)) break;
    co_await io_.changed.wait(deadline);
  }
}

net::Task<> Http1Server::shut_down() {
  bool done = io_.output.shut();
  if (!done && !io_.output.broken()) done = (co_await io_.stream->shutdown_write()).has_value();
  shut_ = done;
  cannot_shut_ = !done;
  io_.changed.wake_all();
}

}  // namespace

std::unique_ptr<ServerConnection> make_http1_server(net::Reactor& reactor,
                                                    ServerCodecOptions options,
                                                    std::unique_ptr<net::ByteStream> stream,
                                                    ServeRequest serve) {
  return std::make_unique<Http1Server>(reactor, options, std::move(stream), std::move(serve));
}

}  // namespace culvert::waypoint
