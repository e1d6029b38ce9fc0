#include "common/base/check.h"
#include "waypoint/codec/http2_head.h"
#include "waypoint/codec/http2_stream.h"
#include "waypoint/codec/server.h"

#include <algorithm>
#include <string>
#include <unordered_map>
#include <vector>

namespace culvert::waypoint {
namespace {

constexpr std::string_view kKey = "sec-websocket-key";
constexpr std::string_view kAccept = "sec-websocket-accept";

class Http2Server;

class ServerStream final : public ServerExchange, public Http2Stream {
 public:
  ServerStream(Http2Server& server, Http2Transport& transport, h2::StreamId id);

  // Begins to serve, once the head is here.
  void start(const ServeRequest& serve);
  // Nobody will miss it: it is over, and its task as well or of no use any more.
  [[nodiscard]] bool reapable() const { return closed() && (tasks_.empty() || !output_ended()); }
  using Http2Stream::closed;

  http::RequestHead& request() override { return request_.head; }
  BodySize request_size() const override { return request_.size; }
  BodyReader& body() override { return *this; }
  const std::string& upgrade() const override { return request_.upgrade; }
  bool expects_continue() const override;
  net::Task<Result<>> send_continue(Time deadline) override;
  net::Task<Result<>> respond(const http::ResponseHead& head, BodySize size,
                              Time deadline) override;
  net::Task<Result<>> write(Bytes data, Time deadline) override {
    return write_body(data, deadline);
  }
  net::Task<Result<>> finish(const http::Headers& trailers, Time deadline) override {
    return finish_body(trailers, deadline);
  }
  void reset() override { cancel(h2::ErrorCode::kInternalError); }
  bool responded() const override { return responded_; }
  Counts counts() const override { return counts_; }

 private:
  void on_head(h2::Head head, bool end) override;
  bool on_head_too_large() override;
  void on_over() override;
  void refuse(std::string_view status);
  net::Task<> serve_to_end(const ServeRequest& serve);
  void task_ended();

  Http2Server& server_;
  Http2Request request_;
  bool responded_ = false;
  bool made_key_ = false;  // the client sent no Sec-WebSocket-Key
  net::Scope tasks_;       // last: the task that serves uses everything above
};

class Http2Server final : public ServerConnection,
                          private h2::SessionHandler,
                          private net::TurnHook,
                          private net::TimerEntry {
 public:
  Http2Server(net::Reactor& reactor, ServerCodecOptions options,
              std::unique_ptr<net::ByteStream> stream, ServeRequest serve);

  net::Task<> run() override;
  void drain() override;

  // From a stream.
  void head_received() { head_since_ = kNever; }
  void ready(h2::StreamId id) { ready_.push_back(id); }
  void reap_later(h2::StreamId id) {
    over_.push_back(id);
    transport_.reactor().at_turn_end(*this);
  }
  [[nodiscard]] HeadLimits limits() const {
    return {options_.max_header_bytes, options_.max_header_fields};
  }

 private:
  h2::StreamHandler* on_stream(h2::StreamId id) override;
  void on_goaway(h2::ErrorCode /*code*/, h2::StreamId /*last*/) override {}
  void on_ping_ack() override {}
  void on_shutdown_noticed() override;
  void on_settings() override {}
  void on_turn() override;
  void on_timer() override;
  void after_input();
  void arm();
  [[nodiscard]] Time idle_deadline() const;
  [[nodiscard]] Time head_deadline() const;

  ServerCodecOptions options_;
  ServeRequest serve_;
  bool draining_ = false;            // the client has been told
  bool closing_ = false;             // and knows: no stream is taken any more
  Time idle_since_;                  // while there is no stream
  Time head_since_ = kNever;         // a head is on its way; HTTP/2 has one at a time
  std::vector<h2::StreamId> ready_;  // heads that came with what is being read
  std::vector<h2::StreamId> over_;   // streams to look at, at the turn's end
  net::Event emptied_;
  Http2Transport transport_;
  std::unordered_map<h2::StreamId, std::unique_ptr<ServerStream>> streams_;  // after transport_
};

// ---- one request

ServerStream::ServerStream(Http2Server& server, Http2Transport& transport, h2::StreamId id)
    : Http2Stream(transport), server_(server), tasks_(transport.reactor()) {
  attach(id);
}

void ServerStream::on_head(h2::Head head, bool end) {
  server_.head_received();
  counts_.wire_received += wire_size(head);
  auto parsed = parse_http2_request(head, end, server_.limits());
  if (!parsed) {
    if (parsed.error().code == ExchangeErrc::kBadMessage)
      return cancel(h2::ErrorCode::kProtocolError);
    return refuse(parsed.error().code == ExchangeErrc::kTooLarge ? "431" : "400");
  }
  request_ = std::move(*parsed);
  if (request_.upgrade == "websocket" && !request_.head.headers.contains(kKey)) {
    // RFC 8441 section 5: HTTP/2 does without the key, but an endpoint of HTTP/1 wants one. A head
    // that has no room for it fails there.
    made_key_ = request_.head.headers.add(kKey, make_websocket_key()).has_value();
  }
  server_.ready(id());
}

bool ServerStream::on_head_too_large() {
  server_.head_received();
  refuse("431");
  return true;
}

// An answer without a handler: what else comes of the request is dropped.
void ServerStream::refuse(std::string_view status) {
  fail(Error(ExchangeErrc::kBadMessage));
  responded_ = true;
  end_output();
  const h2::Field fields[] = {{":status", status}};
  transport().session().respond(id(), fields, true);
}

void ServerStream::start(const ServeRequest& serve) {
  if (!closed() && !failure()) tasks_.spawn(serve_to_end(serve));
}

net::Task<> ServerStream::serve_to_end(const ServeRequest& serve) {
  // Also when the task throws.
  struct Guard {
    ServerStream& stream;
    ~Guard() { stream.task_ended(); }
  } const guard{*this};
  co_await serve(*this);
}

void ServerStream::task_ended() {
  if (!output_ended()) {
    cancel(h2::ErrorCode::kInternalError);
  } else if (!input_ended() && ended_by_data()) {
    // RFC 9113 section 8.1: the answer is complete without the rest of the request. The session
    // sees to it where HEADERS ended the answer.
    cancel(h2::ErrorCode::kNoError);
  }
  server_.reap_later(id());
}

void ServerStream::on_over() { server_.reap_later(id()); }

bool ServerStream::expects_continue() const {
  const auto expect = request_.head.headers.get("expect");
  return expect && http::iequals(*expect, "100-continue");
}

net::Task<Result<>> ServerStream::send_continue(Time /*deadline*/) {
  if (failure()) co_return *failure();
  // A client that began to send does not wait any more.
  if (closed() || responded_ || input_ended()) co_return Result<>{};
  const h2::Field fields[] = {{":status", "100"}};
  counts_.wire_sent += wire_size(fields);
  transport().session().respond_informational(id(), fields);
  transport().flush();
  co_return Result<>{};
}

net::Task<Result<>> ServerStream::respond(const http::ResponseHead& head, BodySize size,
                                          Time /*deadline*/) {
  CULVERT_CHECK(!responded_);
  if (failure()) co_return *failure();
  if (closed()) co_return Error(ExchangeErrc::kConnectionLost);
  responded_ = true;
  const bool tunnel = head.status == 101 && !upgrade().empty();
  // 101 does not exist here (RFC 9113 section 8.6). To extended CONNECT a 2xx says that the tunnel
  // stands (RFC 8441 section 5), which an endpoint that answers an upgrade with an ordinary 2xx did
  // not mean.
  const bool misread =
      !tunnel && (head.status == 101 || (!upgrade().empty() && head.status / 100 == 2));
  const std::string status = tunnel ? "200" : misread ? "502" : std::to_string(head.status);
  std::vector<h2::Field> fields{{":status", status}};
  append_fields(fields, head.headers, tunnel ? FieldSet::kTunnelResponse : FieldSet::kResponse);
  if (made_key_)
    std::erase_if(fields, [](const h2::Field& field) { return field.name == kAccept; });
  counts_.wire_sent += wire_size(fields);
  const bool end = size.kind == BodySize::Kind::kNone;
  if (end) end_output();
  transport().session().respond(id(), fields, end);
  transport().flush();
  co_return Result<>{};
}

// ---- the connection

h2::Settings server_settings(const ServerCodecOptions& options) {
  h2::Settings settings = http2_settings(options.max_header_bytes, options.max_header_fields);
  settings.max_concurrent_streams = options.max_streams;
  settings.extended_connect = true;
  return settings;
}

Http2Server::Http2Server(net::Reactor& reactor, ServerCodecOptions options,
                         std::unique_ptr<net::ByteStream> stream, ServeRequest serve)
    : options_(options),
      serve_(std::move(serve)),
      idle_since_(Clock::now()),
      emptied_(reactor),
      transport_(reactor, std::move(stream), h2::Role::kServer, server_settings(options), *this,
                 [this] { after_input(); }) {}

net::Task<> Http2Server::run() {
  // Destroyed while it waits: so are the tasks that serve.
  struct Guard {
    Http2Server& server;
    ~Guard() { server.streams_.clear(); }
  } const guard{*this};
  arm();
  co_await transport_.run();
  net::TimerEntry::disarm();
  // Whose answer was complete may still be writing its log; the rest is gone at the turn's end.
  while (!streams_.empty()) co_await emptied_.wait();
}

void Http2Server::drain() {
  if (draining_ || transport_.over()) return;
  draining_ = true;
  transport_.session().notify_shutdown();
  transport_.flush();
}

void Http2Server::on_shutdown_noticed() {
  if (!draining_ || closing_) return;
  closing_ = true;
  transport_.session().goaway(h2::ErrorCode::kNoError);
  transport_.flush();
}

h2::StreamHandler* Http2Server::on_stream(h2::StreamId id) {
  if (closing_) return nullptr;
  head_since_ = Clock::now();
  auto& stream = streams_[id];
  stream = std::make_unique<ServerStream>(*this, transport_, id);
  return stream.get();
}

// Tasks start here and not within the session's callback, which is no place for their code; and a
// request that was reset right behind its head is never served.
void Http2Server::after_input() {
  for (const h2::StreamId id : ready_) {
    if (const auto found = streams_.find(id); found != streams_.end()) found->second->start(serve_);
  }
  ready_.clear();
  arm();
}

// Between tasks, so that none destroys itself.
void Http2Server::on_turn() {
  std::vector<std::unique_ptr<ServerStream>> gone;
  for (const h2::StreamId id : std::exchange(over_, {})) {
    const auto found = streams_.find(id);
    if (found == streams_.end() || !found->second->reapable()) continue;
    gone.push_back(std::move(found->second));
    streams_.erase(found);
  }
  if (gone.empty()) return;
  gone.clear();
  if (!streams_.empty()) return;
  idle_since_ = Clock::now();
  emptied_.wake_all();
  arm();
}

// ---- time

Time Http2Server::idle_deadline() const {
  if (!streams_.empty() || options_.idle_timeout.count() <= 0 || closing_) return kNever;
  return idle_since_ + options_.idle_timeout;
}

Time Http2Server::head_deadline() const {
  if (head_since_ == kNever || options_.header_timeout.count() <= 0) return kNever;
  return head_since_ + options_.header_timeout;
}

// A timer that is too early only looks again.
void Http2Server::arm() {
  const Time next = std::min(idle_deadline(), head_deadline());
  if (next == kNever || transport_.over()) return;
  if (!net::TimerEntry::armed() || next < at()) transport_.reactor().arm(*this, next);
}

void Http2Server::on_timer() {
  const Time now = Clock::now();
  // The rest of a head that does not come stops every other stream as well.
  if (now >= head_deadline()) return transport_.end(h2::ErrorCode::kProtocolError);
  if (now >= idle_deadline()) return transport_.end(h2::ErrorCode::kNoError);
  arm();
}

}  // namespace

std::unique_ptr<ServerConnection> make_http2_server(net::Reactor& reactor,
                                                    ServerCodecOptions options,
                                                    std::unique_ptr<net::ByteStream> stream,
                                                    ServeRequest serve) {
  return std::make_unique<Http2Server>(reactor, options, std::move(stream), std::move(serve));
}

}  // namespace culvert::waypoint
