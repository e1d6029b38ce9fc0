#include "tests/support/scripted_upstreams.h"

#include "common/base/check.h"

#include <algorithm>
#include <cstring>

namespace culvert::test {

using waypoint::BodyPiece;
using waypoint::BodyReader;
using waypoint::BodySize;
using waypoint::ClientExchange;

namespace {

class Stream final : public net::ByteStream {
 public:
  explicit Stream(StreamEndPtr end) : end_(std::move(end)) {}
  ~Stream() override { end_->destroyed = true; }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  net::Task<Result<size_t>> read(MutableBytes to, Time deadline) override {
    while (true) {
      if (end_->failed || end_->reset) co_return Error(Errc::kClosed, "stream failed");
      if (!end_->input.empty()) break;
      if (end_->input_ended) co_return size_t{0};
      if (!co_await end_->changed.wait(deadline)) co_return Error(Errc::kTimedOut);
    }
    std::string& front = end_->input.front();
    const size_t size = std::min(front.size(), to.size());
    std::memcpy(to.data(), front.data(), size);
    front.erase(0, size);
    if (front.empty()) end_->input.pop_front();
    co_return size;
  }
  net::Task<Result<>> write(Bytes from, Time deadline) override {
    while (end_->blocked && !end_->failed && !end_->reset) {
      if (!co_await end_->changed.wait(deadline)) co_return Error(Errc::kTimedOut);
    }
    if (end_->failed || end_->reset || end_->takes_no_more)
      co_return Error(Errc::kClosed, "stream failed");
    CULVERT_CHECK(!end_->output_ended);
    end_->output += as_text(from);
    co_return Result<>();
  }
  net::Task<Result<>> shutdown_write() override {
    end_->output_ended = true;
    co_return Result<>();
  }
  void reset() override {
    end_->reset = true;
    end_->changed.wake_all();
  }

 private:
  StreamEndPtr end_;
};

http::Headers make_headers(const std::vector<std::pair<std::string, std::string>>& list) {
  http::Headers out;
  for (const auto& [name, value] : list) out.add(name, value).value();
  return out;
}

}  // namespace

std::unique_ptr<net::ByteStream> make_stream(StreamEndPtr end) {
  return std::make_unique<Stream>(std::move(end));
}

class ScriptedUpstreams::Exchange1 final : public ClientExchange, private BodyReader {
 public:
  Exchange1(ScriptedUpstreams& owner, Script script, TryPtr seen)
      : owner_(owner), script_(std::move(script)), seen_(std::move(seen)) {
    ++owner_.running_;
  }
  ~Exchange1() override {
    seen_->ended = true;
    --owner_.running_;
  }
  Exchange1(const Exchange1&) = delete;
  Exchange1& operator=(const Exchange1&) = delete;

  net::Task<Result<>> send(const http::RequestHead& head, BodySize size, const std::string& upgrade,
                           Time) override {
    seen_->head = head;
    seen_->head_sent = true;
    seen_->size = size;
    seen_->upgrade = upgrade;
    if (size.kind == BodySize::Kind::kNone) request_whole();
    co_return Result<>();
  }
  net::Task<Result<>> write(Bytes data, Time deadline) override {
    if (auto held = co_await owner_.hold(script_.hold == Script::Hold::kWrites, deadline); !held)
      co_return held.error();
    seen_->body += as_text(data);
    co_return Result<>();
  }
  net::Task<Result<>> finish(const http::Headers& trailers, Time) override {
    seen_->trailers = trailers;
    request_whole();
    co_return Result<>();
  }
  net::Task<Result<http::ResponseHead>> response(Time deadline) override {
    if (auto held = co_await owner_.hold(script_.hold == Script::Hold::kResponse, deadline); !held)
      co_return held.error();
    while (!script_.early && script_.status != 101 && !seen_->finished) {
      if (!co_await owner_.changed_.wait(deadline)) co_return Error(Errc::kTimedOut);
    }
    if (script_.response_error) co_return *script_.response_error;
    http::ResponseHead head;
    head.status = script_.status;
    head.headers = make_headers(script_.headers);
    co_return head;
  }
  [[nodiscard]] BodySize response_size() const override {
    if (script_.status == 101) return {BodySize::Kind::kTunnel, 0};
    const bool none = script_.trailers_only || seen_->head.method == "HEAD";
    if (none || (script_.body.empty() && !script_.body_error && script_.trailers.empty() &&
                 script_.hold != Script::Hold::kBody)) {
      return {BodySize::Kind::kNone, 0};
    }
    return {BodySize::Kind::kUnknown, 0};
  }
  [[nodiscard]] BodyReader& body() override { return *this; }
  [[nodiscard]] bool trailers_only() const override { return script_.trailers_only; }
  void reset() override { seen_->reset = true; }

 private:
  net::Task<Result<BodyPiece>> read(Time deadline) override {
    CULVERT_CHECK(!ended_);
    current_.reset();
    if (next_ < script_.body.size()) {
      const Bytes bytes = as_bytes(script_.body[next_++]);
      current_ = std::make_unique<std::vector<uint8_t>>(bytes.begin(), bytes.end());
      BodyPiece piece;
      piece.data = *current_;
      co_return piece;
    }
    if (auto held = co_await owner_.hold(script_.hold == Script::Hold::kBody, deadline); !held)
      co_return held.error();
    if (script_.body_error) co_return *script_.body_error;
    ended_ = true;
    BodyPiece piece;
    piece.end = true;
    piece.trailers = make_headers(script_.trailers);
    co_return piece;
  }
  void request_whole() {
    seen_->finished = true;
    owner_.changed_.wake_all();
  }

  ScriptedUpstreams& owner_;
  Script script_;
  TryPtr seen_;
  size_t next_ = 0;
  bool ended_ = false;
  std::unique_ptr<std::vector<uint8_t>> current_;
};

net::Task<Result<>> ScriptedUpstreams::hold(bool applies, Time deadline) {
  const uint64_t before = released_;
  while (applies && released_ == before) {
    if (!co_await changed_.wait(deadline)) co_return Error(Errc::kTimedOut);
  }
  co_return Result<>();
}

net::Task<Result<waypoint::Upstreams::Exchange>> ScriptedUpstreams::open(
    waypoint::UpstreamPtr upstream, const waypoint::Endpoint& endpoint, bool http2, Time deadline) {
  CULVERT_CHECK(upstream != nullptr);
  Script script = otherwise;
  const auto own = by_address.find(endpoint.address.to_string());
  if (own != by_address.end()) {
    script = own->second;
  } else if (!scripts.empty()) {
    script = scripts.front();
    scripts.pop_front();
  }
  auto seen = std::make_shared<Try>();
  seen->address = endpoint.address.to_string();
  seen->http2 = http2;
  tries.push_back(seen);
  if (auto held = co_await hold(script.hold == Script::Hold::kConnect, deadline); !held)
    co_return held.error();
  if (script.connect_error) co_return *script.connect_error;
  Exchange out;
  out.exchange = std::make_unique<Exchange1>(*this, std::move(script), seen);
  out.upstream_host = seen->address;
  out.local_address = "10.244.1.30:40000";
  co_return out;
}

net::Task<Result<waypoint::Upstreams::Raw>> ScriptedUpstreams::open_raw(
    waypoint::UpstreamPtr upstream, const waypoint::Endpoint& endpoint, Time deadline) {
  CULVERT_CHECK(upstream != nullptr);
  const std::string address = endpoint.address.to_string();
  if (auto held = co_await hold(raw_hold, deadline); !held) co_return held.error();
  if (raw_error) co_return *raw_error;
  raws.push_back(std::make_shared<StreamEnd>(reactor_));
  Raw out;
  out.stream = make_stream(raws.back());
  out.upstream_host = address;
  out.local_address = "10.244.1.30:40000";
  co_return out;
}

std::vector<uint32_t> ScriptedUpstreams::active(const waypoint::Upstream& upstream) const {
  std::vector<uint32_t> out;
  for (const waypoint::Endpoint& endpoint : upstream.endpoints) {
    const auto found = busy.find(endpoint.address.to_string());
    out.push_back(found == busy.end() ? 0 : found->second);
  }
  return out;
}

net::Task<Result<>> ScriptedClient::ready_to_write(Time deadline) {
  while (blocked_) {
    if (!co_await changed_.wait(deadline)) co_return Error(Errc::kTimedOut);
  }
  if (write_error) co_return *write_error;
  co_return Result<>();
}

net::Task<Result<>> ScriptedClient::send_continue(Time) {
  ++continues;
  co_return Result<>();
}

net::Task<Result<>> ScriptedClient::respond(const http::ResponseHead& head, BodySize size,
                                            Time deadline) {
  CULVERT_CHECK(!response && !was_reset);
  // From the call on: nothing may be answered instead.
  response = head;
  response_size = size;
  if (auto ready = co_await ready_to_write(deadline); !ready) co_return ready.error();
  counts_.wire_sent += 50;
  finished = size.kind == BodySize::Kind::kNone;
  co_return Result<>();
}

net::Task<Result<>> ScriptedClient::write(Bytes data, Time deadline) {
  CULVERT_CHECK(response && !finished);
  if (auto ready = co_await ready_to_write(deadline); !ready) co_return ready.error();
  received += as_text(data);
  counts_.body_sent += data.size();
  counts_.wire_sent += data.size();
  co_return Result<>();
}

net::Task<Result<>> ScriptedClient::finish(const http::Headers& with, Time deadline) {
  CULVERT_CHECK(response && (!finished || response_size.kind == BodySize::Kind::kNone));
  if (auto ready = co_await ready_to_write(deadline); !ready) co_return ready.error();
  trailers = with;
  finished = true;
  co_return Result<>();
}

net::Task<Result<BodyPiece>> ScriptedClient::read(Time deadline) {
  ++reads;
  current_.reset();
  while (input_.empty()) {
    if (input_error_) co_return *input_error_;
    if (!co_await changed_.wait(deadline)) co_return Error(Errc::kTimedOut);
  }
  Piece piece = std::move(input_.front());
  input_.pop_front();
  BodyPiece out;
  out.end = piece.end;
  if (piece.end) out.trailers = end_trailers_;
  const Bytes bytes = as_bytes(piece.text);
  current_ = std::make_unique<std::vector<uint8_t>>(bytes.begin(), bytes.end());
  out.data = *current_;
  counts_.body_received += bytes.size();
  counts_.wire_received += bytes.size();
  co_return out;
}

}  // namespace culvert::test
