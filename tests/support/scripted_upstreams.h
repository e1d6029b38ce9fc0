#pragma once

#include "common/net/byte_stream.h"
#include "common/net/event.h"
#include "waypoint/upstream/connector.h"

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

// Endpoints and clients of the waypoint's logic that do what a test wrote down, without sockets.
// Everything lives on the reactor's thread.
namespace culvert::test {

// What an endpoint does with one try.
struct Script {
  // Where it stops until Upstreams::release(), or for ever.
  enum class Hold : uint8_t { kNothing, kConnect, kWrites, kResponse, kBody };
  Hold hold = Hold::kNothing;
  std::optional<Error> connect_error = std::nullopt;
  std::optional<Error> response_error = std::nullopt;  // instead of a head
  std::optional<Error> body_error = std::nullopt;      // after `body`
  bool early = false;                                  // answers before it has the whole request
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::vector<std::string> body = {};
  std::vector<std::pair<std::string, std::string>> trailers = {};
  bool trailers_only = false;
};

// What an endpoint saw of one try.
struct Try {
  std::string address;
  bool http2 = false;
  http::RequestHead head;
  bool head_sent = false;
  waypoint::BodySize size;
  std::string upgrade;
  std::string body;
  bool finished = false;
  http::Headers trailers;
  bool ended = false;  // its exchange was destroyed
  bool reset = false;
};
using TryPtr = std::shared_ptr<Try>;

// An in-memory stream: the test is the other end.
struct StreamEnd {
  explicit StreamEnd(net::Reactor& reactor) : changed(reactor) {}
  void say(std::string text) {
    input.push_back(std::move(text));
    changed.wake_all();
  }
  void end() {
    input_ended = true;
    changed.wake_all();
  }
  void fail() {
    failed = true;
    changed.wake_all();
  }
  void block(bool on) {
    blocked = on;
    changed.wake_all();
  }
  net::Event changed;
  std::deque<std::string> input;
  bool input_ended = false, failed = false, blocked = false;
  bool takes_no_more = false;  // writing fails; what it said can be read
  std::string output;
  bool output_ended = false, reset = false, destroyed = false;
};
using StreamEndPtr = std::shared_ptr<StreamEnd>;
[[nodiscard]] std::unique_ptr<net::ByteStream> make_stream(StreamEndPtr end);

class ScriptedUpstreams final : public waypoint::Upstreams {
 public:
  explicit ScriptedUpstreams(net::Reactor& reactor) : reactor_(reactor), changed_(reactor) {}

  // The next try does this; without any it does `otherwise`.
  std::deque<Script> scripts;
  Script otherwise;
  std::map<std::string, Script> by_address;  // an endpoint of its own: always this
  std::vector<TryPtr> tries;                 // in order of open()
  std::vector<StreamEndPtr> raws;
  // Of open_raw().
  std::optional<Error> raw_error;
  bool raw_hold = false;
  std::map<std::string, uint32_t> busy;  // active() by address

  // Everything that stands at a Hold goes on.
  void release() {
    ++released_;
    changed_.wake_all();
  }
  [[nodiscard]] size_t running() const { return running_; }

  net::Task<Result<Exchange>> open(waypoint::UpstreamPtr upstream,
                                   const waypoint::Endpoint& endpoint, bool http2,
                                   Time deadline) override;
  net::Task<Result<Raw>> open_raw(waypoint::UpstreamPtr upstream,
                                  const waypoint::Endpoint& endpoint, Time deadline) override;
  [[nodiscard]] std::vector<uint32_t> active(const waypoint::Upstream& upstream) const override;

 private:
  class Exchange1;
  net::Task<Result<>> hold(bool applies, Time deadline);
  net::Reactor& reactor_;
  net::Event changed_;
  uint64_t released_ = 0;
  size_t running_ = 0;
};

// A client with one request.
class ScriptedClient final : public waypoint::ServerExchange, private waypoint::BodyReader {
 public:
  ScriptedClient(net::Reactor& reactor, http::RequestHead head)
      : head_(std::move(head)), changed_(reactor) {}

  // ---- the test's side
  // A body is to come: set before the request is served.
  void will_send(waypoint::BodySize::Kind kind = waypoint::BodySize::Kind::kUnknown,
                 uint64_t length = 0) {
    size_ = {kind, length};
  }
  void say(std::string text) {
    input_.push_back({std::move(text), false});
    changed_.wake_all();
  }
  void end(http::Headers with = {}) {
    end_trailers_ = std::move(with);
    input_.push_back({"", true});
    changed_.wake_all();
  }
  void fail_input(Error error) {
    input_error_ = std::move(error);
    changed_.wake_all();
  }
  // Writes wait until it is false again.
  void block(bool on) {
    blocked_ = on;
    changed_.wake_all();
  }
  std::optional<Error> write_error;
  std::string offers;  // upgrade()
  bool waits_for_continue = false;

  // What it got.
  int continues = 0;
  std::optional<http::ResponseHead> response;
  waypoint::BodySize response_size;
  std::string received;
  bool finished = false;
  http::Headers trailers;
  bool was_reset = false;
  int reads = 0;

  // ---- the proxy's side
  [[nodiscard]] http::RequestHead& request() override { return head_; }
  [[nodiscard]] waypoint::BodySize request_size() const override { return size_; }
  [[nodiscard]] waypoint::BodyReader& body() override { return *this; }
  [[nodiscard]] const std::string& upgrade() const override { return offers; }
  [[nodiscard]] bool expects_continue() const override { return waits_for_continue; }
  net::Task<Result<>> send_continue(Time deadline) override;
  net::Task<Result<>> respond(const http::ResponseHead& head, waypoint::BodySize size,
                              Time deadline) override;
  net::Task<Result<>> write(Bytes data, Time deadline) override;
  net::Task<Result<>> finish(const http::Headers& with, Time deadline) override;
  void reset() override { was_reset = true; }
  [[nodiscard]] bool responded() const override { return response.has_value(); }
  [[nodiscard]] Counts counts() const override { return counts_; }

 private:
  struct Piece {
    std::string text;
    bool end;
  };
  net::Task<Result<waypoint::BodyPiece>> read(Time deadline) override;
  net::Task<Result<>> ready_to_write(Time deadline);

  http::RequestHead head_;
  waypoint::BodySize size_;
  std::deque<Piece> input_;
  http::Headers end_trailers_;
  std::optional<Error> input_error_;
  // Made anew for each read, so that a sanitizer sees who uses data after the next read.
  std::unique_ptr<std::vector<uint8_t>> current_;
  bool blocked_ = false;
  Counts counts_{100, 0, 0, 0};
  net::Event changed_;
};

}  // namespace culvert::test
