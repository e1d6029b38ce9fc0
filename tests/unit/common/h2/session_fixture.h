#pragma once

#include "common/h2/errors.h"
#include "common/h2/session.h"
#include "tests/unit/common/h2/raw_frames.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace culvert::h2 {

inline const std::vector<Field> kConnect{{":method", "CONNECT"}, {":authority", "10.0.0.1:80"}};
inline const std::vector<Field> kOk{{":status", "200"}};
inline const std::vector<Field> kUnauthorized{{":status", "401"}};
inline const std::vector<Field> kTooLarge{{":status", "431"}};

// A stream that notes what it is told and sends what it is given.
struct TestStream final : StreamHandler {
  void on_head(Head received, bool end) override {
    head = std::move(received);
    log += end ? "head-end " : "head ";
  }
  void on_data(Bytes data) override {
    input += as_text(data);
    if (session != nullptr && consume) session->consume(id, data.size());
  }
  void on_trailers(Head received) override {
    trailers = std::move(received);
    log += "trailers ";
  }
  void on_end() override { log += "end "; }
  void on_closed(ErrorCode code) override {
    closed = code;
    log += "closed:" + std::string(to_string(code));
  }
  bool on_head_too_large() override {
    log += "too-large ";
    if (!answers_too_large) return false;
    session->respond(id, kTooLarge, true);
    return true;
  }
  Produced produce(MutableBytes to) override {
    ++asked;
    const std::string_view rest = std::string_view(output).substr(sent);
    const size_t n = std::min(to.size(), rest.size());
    std::copy_n(rest.begin(), n, to.begin());
    sent += n;
    if (left() == 0) {
      output.clear();
      sent = 0;
    }
    const bool last = finish && output.empty();
    if (last && !send_trailers.empty()) session->submit_trailers(id, send_trailers);
    return {.bytes = n, .end = last, .trailers = last && !send_trailers.empty()};
  }

  [[nodiscard]] size_t left() const { return output.size() - sent; }

  Session* session = nullptr;
  StreamId id = 0;
  Head head, trailers;
  std::string input, output, log;
  std::vector<Field> send_trailers;
  bool consume = true, finish = false, answers_too_large = false;
  int asked = 0;
  size_t sent = 0;  // of output
  std::optional<ErrorCode> closed;
};

struct Side final : SessionHandler {
  explicit Side(Role role, const Settings& settings) : session(role, settings, *this) {}
  StreamHandler* on_stream(StreamId id) override {
    if (refuse) return nullptr;
    auto& stream = streams[id];
    stream = std::make_unique<TestStream>();
    stream->session = &session;
    stream->id = id;
    stream->answers_too_large = answers_too_large;
    if (detach_at_once) session.detach(id);
    return stream.get();
  }
  void on_goaway(ErrorCode code, StreamId last) override { goaways.emplace_back(code, last); }
  void on_ping_ack() override { ++pongs; }
  void on_shutdown_noticed() override { ++noticed; }
  void on_settings() override { ++settings_seen; }

  TestStream& open(std::span<const Field> fields = kConnect, bool end = false) {
    auto stream = std::make_unique<TestStream>();
    stream->session = &session;
    const StreamId id = session.open(fields, end, *stream).value();
    stream->id = id;
    auto& kept = streams[id];
    kept = std::move(stream);
    return *kept;
  }
  TestStream& at(StreamId id) { return *streams.at(id); }
  std::string drain() {
    ByteQueue out;
    drained = session.drain(out, 1 << 20);
    return std::string(as_text(Bytes(out.readable())));
  }

  std::map<StreamId, std::unique_ptr<TestStream>> streams;  // outlive the session's use of them
  Session session;
  std::vector<std::pair<ErrorCode, StreamId>> goaways;
  Result<> drained;
  int pongs = 0, noticed = 0, settings_seen = 0;
  bool refuse = false, detach_at_once = false, answers_too_large = false;
};

inline Settings server_settings(uint32_t streams = 200) {
  Settings settings;
  settings.max_header_list = 65536;
  settings.max_concurrent_streams = streams;
  return settings;
}

// A server whose client is written by hand.
class RawClient : public testing::Test {
 protected:
  explicit RawClient(uint32_t streams = 200) : server(Role::kServer, server_settings(streams)) {
    EXPECT_TRUE(feed(kClientPreface + frame(kSettings, 0, 0, "")));
    greeting = server.drain();
    EXPECT_TRUE(feed(frame(kSettings, 1, 0, "")));
  }
  Result<> feed(std::string_view bytes) { return server.session.feed(as_bytes(bytes)); }
  std::vector<Frame> drain() { return parse(server.drain()); }
  Side server;
  std::string greeting;
};

// Both ends, and the wire between them in pieces of `piece` bytes.
class PairTest : public testing::Test {
 protected:
  void exchange(size_t piece = SIZE_MAX) {
    for (int i = 0; i < 1000; ++i) {
      const std::string up = client.drain(), down = server.drain();
      if (up.empty() && down.empty()) return;
      feed(server.session, up, piece);
      feed(client.session, down, piece);
    }
    FAIL() << "the sides do not come to rest";
  }
  static void feed(Session& session, std::string_view bytes, size_t piece) {
    while (!bytes.empty()) {
      const auto part = bytes.substr(0, piece);
      ASSERT_TRUE(session.feed(as_bytes(part)));
      bytes.remove_prefix(part.size());
    }
  }
  // A stream answered with 200, from the client's side.
  TestStream& connected() {
    TestStream& stream = client.open();
    exchange();
    server.session.respond(stream.id, kOk, false);
    exchange();
    return stream;
  }
  Side client{Role::kClient, {}};
  Side server{Role::kServer, server_settings()};
};

}  // namespace culvert::h2
