#include "waypoint/codec/http2_client.h"

#include "common/base/check.h"
#include "waypoint/codec/http2_head.h"
#include "waypoint/codec/http2_stream.h"

#include <boost/intrusive/list.hpp>

#include <string>
#include <vector>

namespace culvert::waypoint {
namespace {

// An exchange that counts as running: linked in its client.
class Running : public boost::intrusive::list_base_hook<> {
 public:
  // The client is gone.
  virtual void abandon() = 0;

 protected:
  ~Running() = default;
};

}  // namespace

struct Http2Client::State final : private h2::SessionHandler {
  State(net::Reactor& reactor, std::unique_ptr<net::ByteStream> stream, ClientCodecOptions limits);
  ~State();

  void add(Running& exchange) { running.push_back(exchange); }
  void remove(Running& exchange);
  net::Task<> run();
  [[nodiscard]] bool usable() const;

  h2::StreamHandler* on_stream(h2::StreamId /*id*/) override { return nullptr; }
  void on_goaway(h2::ErrorCode /*code*/, h2::StreamId /*last*/) override {}
  void on_ping_ack() override {}
  void on_settings() override {
    settings_received = true;
    settings_changed.wake_all();
  }

  ClientCodecOptions options;
  bool draining = false;
  bool settings_received = false;
  net::Event settings_changed;  // also when the connection is over
  boost::intrusive::list<Running> running;
  Http2Transport transport;
  net::Scope tasks;  // last: runs the transport
};

namespace {

class ClientStream final : public ClientExchange, public Http2Stream, private Running {
 public:
  explicit ClientStream(Http2Client::State& client)
      : Http2Stream(client.transport), client_(&client) {
    client.add(*this);
  }
  ~ClientStream() override;

  net::Task<Result<>> send(const http::RequestHead& head, BodySize size, const std::string& upgrade,
                           Time deadline) override;
  net::Task<Result<>> write(Bytes data, Time deadline) override {
    return write_body(data, deadline);
  }
  net::Task<Result<>> finish(const http::Headers& trailers, Time deadline) override {
    return finish_body(trailers, deadline);
  }
  net::Task<Result<http::ResponseHead>> response(Time deadline) override;
  BodySize response_size() const override { return size_; }
  BodyReader& body() override { return *this; }
  bool trailers_only() const override { return trailers_only_; }
  void reset() override { give_up(); }

 private:
  net::Task<Result<>> wait_for_settings(Time deadline);
  Result<> open(const http::RequestHead& head, BodySize size, const std::string& upgrade);
  void on_head(h2::Head head, bool end) override;
  bool on_head_too_large() override;
  void on_over() override { leave(); }
  void abandon() override;
  void give_up();
  void leave();

  Http2Client::State* client_;  // null once it does not count as running
  bool upgrade_ = false;
  bool trailers_only_ = false;
  std::optional<http::ResponseHead> head_;
  BodySize size_;
};

// ---- one request

ClientStream::~ClientStream() {
  give_up();
  leave();
}

void ClientStream::leave() {
  if (client_ != nullptr) std::exchange(client_, nullptr)->remove(*this);
}

void ClientStream::abandon() {
  lost(Error(ExchangeErrc::kConnectionLost));
  leave();
}

// RFC 9113 section 8.1: the answer may be complete before the request; the rest of that is not
// wanted.
void ClientStream::give_up() { cancel(h2::ErrorCode::kCancel); }

net::Task<Result<>> ClientStream::wait_for_settings(Time deadline) {
  while (!closed() && client_ != nullptr && !client_->settings_received) {
    if (failure()) co_return *failure();
    if (!co_await client_->settings_changed.wait(deadline))
      co_return Error(culvert::Errc::kTimedOut);
  }
  co_return Result<>{};
}

net::Task<Result<>> ClientStream::send(const http::RequestHead& head, BodySize size,
                                       const std::string& upgrade, Time deadline) {
  if (!upgrade.empty()) {
    if (auto known = co_await wait_for_settings(deadline); !known) co_return known.error();
  }
  if (failure() && failure()->code == culvert::Errc::kCancelled) co_return *failure();
  // Nothing was sent, so it can be sent elsewhere.
  if (closed() || client_ == nullptr || transport().over()) co_return Error(ExchangeErrc::kRefused);
  co_return open(head, size, upgrade);
}

Result<> ClientStream::open(const http::RequestHead& head, BodySize size,
                            const std::string& upgrade) {
  h2::Session& session = transport().session();
  upgrade_ = !upgrade.empty();
  if (upgrade_ && !session.peer_extended_connect())
    return Error(ExchangeErrc::kConnectFailed, "the endpoint takes no upgrades over HTTP/2");
  const std::string_view method = upgrade_ ? std::string_view("CONNECT") : head.method;
  std::vector<h2::Field> fields{{":method", method}};
  if (upgrade_) fields.push_back({":protocol", upgrade});
  const bool plain_connect = head.is_connect() && !upgrade_;
  if (!plain_connect) {
    // The bytes are in a tunnel, which is what makes them secure; the request itself is plain.
    fields.push_back({":scheme", "http"});
    fields.push_back({":path", head.path});
  }
  if (!head.authority.empty()) fields.push_back({":authority", head.authority});
  append_fields(fields, head.headers, upgrade_ ? FieldSet::kTunnelRequest : FieldSet::kRequest);
  const bool end = size.kind == BodySize::Kind::kNone && !upgrade_ && !plain_connect;
  auto id = session.open(fields, end, *this);
  if (!id) return Error(ExchangeErrc::kRefused, id.error().message());
  attach(*id);
  counts_.wire_sent += wire_size(fields);
  if (end) end_output();
  transport().flush();
  return {};
}

void ClientStream::on_head(h2::Head head, bool end) {
  counts_.wire_received += wire_size(head);
  const ClientCodecOptions& options = client_->options;
  auto parsed =
      parse_http2_response(head, end, {options.max_header_bytes, options.max_header_fields});
  if (!parsed) {
    fail(parsed.error());
    transport().session().reset(id(), h2::ErrorCode::kProtocolError);
    return wake();
  }
  head_ = std::move(parsed->head);
  size_ = parsed->size;
  trailers_only_ = end && head_->headers.contains("grpc-status");
  if (upgrade_ && head_->status / 100 == 2) {
    // RFC 8441 section 5: what 101 is in HTTP/1.
    head_->status = 101;
    size_ = {BodySize::Kind::kTunnel, 0};
  }
  wake();
}

bool ClientStream::on_head_too_large() {
  fail(Error(ExchangeErrc::kTooLarge, "response head"));
  wake();
  return false;
}

net::Task<Result<http::ResponseHead>> ClientStream::response(Time deadline) {
  while (!head_) {
    if (failure()) co_return *failure();
    if (!co_await changed_.wait(deadline)) co_return Error(culvert::Errc::kTimedOut);
  }
  co_return std::move(*head_);
}

}  // namespace

// ---- the connection

Http2Client::State::State(net::Reactor& reactor, std::unique_ptr<net::ByteStream> stream,
                          ClientCodecOptions limits)
    : options(limits),
      settings_changed(reactor),
      transport(reactor, std::move(stream), h2::Role::kClient,
                http2_settings(limits.max_header_bytes, limits.max_header_fields), *this, [] {}),
      tasks(reactor) {
  tasks.spawn(run());
}

// The session has told those it knows when the transport is over; here are those that were not
// sent.
net::Task<> Http2Client::State::run() {
  co_await transport.run();
  while (!running.empty()) running.front().abandon();
}

Http2Client::State::~State() {
  tasks.cancel();
  while (!running.empty()) running.front().abandon();
}

void Http2Client::State::remove(Running& exchange) {
  running.erase(running.iterator_to(exchange));
  settings_changed.wake_all();
  if (!draining || !running.empty() || transport.over()) return;
  transport.session().goaway(h2::ErrorCode::kNoError);
  transport.flush();
}

bool Http2Client::State::usable() const {
  return !draining && !transport.over() && transport.session().accepts_requests() &&
         running.size() < transport.session().peer_max_streams();
}

Http2Client::Http2Client(net::Reactor& reactor, std::unique_ptr<net::ByteStream> stream,
                         ClientCodecOptions options)
    : state_(std::make_unique<State>(reactor, std::move(stream), options)) {}
Http2Client::~Http2Client() = default;

bool Http2Client::usable() const { return state_->usable(); }
size_t Http2Client::running() const { return state_->running.size(); }
bool Http2Client::closed() const { return state_->transport.over(); }

std::unique_ptr<ClientExchange> Http2Client::start() {
  CULVERT_CHECK(usable());
  return std::make_unique<ClientStream>(*state_);
}

void Http2Client::drain() {
  if (state_->draining || state_->transport.over()) return;
  state_->draining = true;
  if (!state_->running.empty()) return;
  state_->transport.session().goaway(h2::ErrorCode::kNoError);
  state_->transport.flush();
}

}  // namespace culvert::waypoint
