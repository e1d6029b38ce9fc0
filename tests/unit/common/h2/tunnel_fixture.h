#pragma once

#include "common/h2/errors.h"
#include "common/h2/tunnel_session.h"
#include "tests/unit/common/h2/raw_frames.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace culvert::h2 {

inline const std::vector<Field> kTunnelConnect{{":method", "CONNECT"},
                                               {":authority", "10.0.0.1:80"}};
inline const std::vector<Field> kTunnelOk{{":status", "200"}};
inline const std::vector<Field> kTunnelRefusal{{":status", "401"}};

// A stream that notes what it is told and sends what it is given.
struct TestTunnel final : TunnelStream {
  void on_head(Head received, bool end) override {
    head = std::move(received);
    log += end ? "head-end " : "head ";
    tell("head");
  }
  void on_data(std::span<const iovec> pieces) override {
    ASSERT_FALSE(pieces.empty());
    EXPECT_LE(pieces.size(), 64U);
    size_t n = 0;
    for (const iovec& piece : pieces) {
      EXPECT_GT(piece.iov_len, 0U);
      input.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
      n += piece.iov_len;
      places.push_back(piece);
    }
    calls.push_back(pieces.size());
    if (consume) session->consume(*this, n);
    tell("data");
  }
  void on_end() override {
    log += "end ";
    tell("end");
  }
  void on_closed(ErrorCode code) override {
    EXPECT_FALSE(closed);
    closed = code;
    log += "closed:" + std::string(to_string(code));
    tell("closed");
  }
  Produced produce(std::span<const iovec> to) override {
    ++asked;
    size_t room = 0, total = 0;
    for (const iovec& part : to) {
      EXPECT_GT(part.iov_len, 0U);
      room += part.iov_len;
    }
    most_room = std::max(most_room, room);
    const size_t limit = std::min(room, at_a_time);
    for (const iovec& part : to) {
      const size_t n = std::min({part.iov_len, left(), limit - total});
      std::copy_n(output.data() + sent, n, static_cast<char*>(part.iov_base));
      sent += n;
      total += n;
    }
    const bool empty = left() == 0;
    if (empty) {
      output.clear();
      sent = 0;
    }
    const Produced produced{
        .bytes = total, .end = finish && empty, .again = !empty && total < room};
    tell("produce");
    return produced;
  }
  [[nodiscard]] size_t left() const { return output.size() - sent; }
  // A copy, since the call may destroy this.
  void tell(std::string_view where) const {
    if (const auto call = hook) call(where);
  }

  TunnelSession* session = nullptr;
  StreamId id = 0;
  Head head;
  std::string input, output, log;
  std::vector<size_t> calls;  // of on_data: how many pieces
  std::vector<iovec> places;  // where they lay
  bool consume = true, finish = false;
  size_t at_a_time = SIZE_MAX;  // more than this it gives only when asked again
  int asked = 0;
  size_t most_room = 0, sent = 0;
  std::optional<ErrorCode> closed;
  std::function<void(std::string_view where)> hook;  // called last; may destroy this
};

struct TunnelSide final : TunnelHandler {
  explicit TunnelSide(Role role, const TunnelSettings& settings)
      : session(role, settings, memory, *this) {}

  bool on_stream(StreamId id) override {
    EXPECT_FALSE(streams.contains(id));
    if (refuse) return false;
    TestTunnel& stream = make(id);
    session.accept(id, stream);
    if (on_accepted) on_accepted(stream);
    return true;
  }
  void on_goaway(ErrorCode code, StreamId last) override { goaways.emplace_back(code, last); }
  void on_ping_ack() override { ++pongs; }
  void on_shutdown_noticed() override { ++noticed; }

  TestTunnel& make(StreamId id) {
    auto& stream = streams[id];
    stream = std::make_unique<TestTunnel>();
    stream->session = &session;
    stream->id = id;
    return *stream;
  }
  // Client. Ids are given in the order of calls, to requests that are held back as well.
  TestTunnel& open(std::span<const Field> fields = kTunnelConnect) {
    TestTunnel& stream = make(next_id);
    next_id += 2;
    EXPECT_TRUE(session.open(fields, stream));
    return stream;
  }
  TestTunnel& at(StreamId id) { return *streams.at(id); }
  void respond(StreamId id, std::span<const Field> fields = kTunnelOk, bool end = false) {
    session.respond(at(id), fields, end);
  }
  // Gives `bytes` and then the rest of what was gathered. In memory of their own, which is gone
  // afterwards.
  Result<> feed(std::string_view bytes) {
    std::vector<uint8_t> copy(bytes.begin(), bytes.end());
    const Result<> result = session.feed(copy);
    session.end_of_read();
    return result;
  }
  // What one batch takes, and its records. `used`: bytes of it that are somebody else's already.
  std::string fill_once(size_t used = 0) {
    batch.clear();
    while (batch.plain_bytes() < used) {
      const MutableBytes space = batch.prepare(1);
      const size_t n = std::min(space.size(), used - batch.plain_bytes());
      std::fill_n(space.begin(), n, uint8_t{0});
      batch.commit(n);
    }
    session.fill(batch);
    std::string out;
    for (const auto& record : batch.records())
      out.append(
          reinterpret_cast<const char*>(batch.memory() + record.begin + tls::RecordBatch::kHeader),
          record.plain);
    return out.substr(used);
  }
  std::string drain() {
    std::string out;
    for (int i = 0; session.wants_write(); ++i) {
      if (i == 100'000) {
        ADD_FAILURE() << "wants to write for ever";
        break;
      }
      out += fill_once();
    }
    return out;
  }

  std::map<StreamId, std::unique_ptr<TestTunnel>> streams;  // outlive the session's use of them
  tls::RecordBatch batch;
  MemoryAccount memory{"the process", uint64_t{1} << 20};
  TunnelSession session;
  std::vector<std::pair<ErrorCode, StreamId>> goaways;
  std::function<void(TestTunnel&)> on_accepted;
  StreamId next_id = 1;
  int pongs = 0, noticed = 0;
  bool refuse = false;
};

inline TunnelSettings tunnel_settings(uint32_t streams = 200) {
  TunnelSettings settings;
  settings.max_concurrent_streams = streams;
  return settings;
}

// Payload bytes of DATA in `frames`, of one stream or of all.
inline std::string data_in(const std::vector<Frame>& frames, StreamId id = 0) {
  std::string out;
  for (const Frame& f : frames)
    if (f.type == kData && (id == 0 || f.id == id)) out += f.payload;
  return out;
}
inline size_t count_of(const std::vector<Frame>& frames, uint8_t type, StreamId id = -1) {
  return static_cast<size_t>(std::ranges::count_if(
      frames, [&](const Frame& f) { return f.type == type && (id < 0 || f.id == id); }));
}
// What WINDOW_UPDATE in `frames` gives to a stream, or to the connection (0).
inline uint64_t window_in(const std::vector<Frame>& frames, StreamId id) {
  uint64_t sum = 0;
  for (const Frame& f : frames)
    if (f.type == kWindow && f.id == id) sum += be(f.payload);
  return sum;
}
inline std::string setting(uint16_t id, uint32_t value) { return be(id, 2) + be(value, 4); }
inline std::string window_update(StreamId id, uint32_t n) {
  return frame(kWindow, 0, id, be(n, 4));
}
inline bool fails_with(const Result<>& result, Errc expected) {
  return !result && result.error().code == make_error_code(expected);
}

// A server whose client is written by hand.
class TunnelRawClient : public testing::Test {
 protected:
  explicit TunnelRawClient(const TunnelSettings& settings = tunnel_settings())
      : server(Role::kServer, settings) {
    EXPECT_TRUE(feed(kClientPreface + frame(kSettings, 0, 0, "")));
    greeting = drain();
    EXPECT_TRUE(feed(frame(kSettings, 1, 0, "")));
  }
  Result<> feed(std::string_view bytes) { return server.feed(bytes); }
  std::vector<Frame> drain() { return parse(server.drain()); }
  // A request, answered.
  TestTunnel& tunnel(StreamId id) {
    EXPECT_TRUE(feed(frame(kHeaders, 4, id, kConnectBlock)));
    server.respond(id);
    drain();
    return server.at(id);
  }
  // All the window a peer can give.
  void open_windows() {
    EXPECT_TRUE(feed(frame(kSettings, 0, 0, setting(4, 0x7fffffff)) +
                     window_update(0, 0x7fffffff - 65535)));
    drain();
  }
  TunnelSide server;
  std::vector<Frame> greeting;
};

// A client whose server is written by hand.
class TunnelRawServer : public testing::Test {
 protected:
  TunnelRawServer() { hello = client.drain(); }
  Result<> feed(std::string_view bytes) { return client.feed(bytes); }
  std::vector<Frame> drain() { return parse(client.drain()); }
  void greet(std::string_view settings = "") {
    ASSERT_TRUE(feed(frame(kSettings, 0, 0, settings) + frame(kSettings, 1, 0, "")));
    drain();
  }
  // A request that the server has accepted.
  TestTunnel& tunnel() {
    TestTunnel& stream = client.open();
    drain();
    EXPECT_TRUE(feed(frame(kHeaders, 4, stream.id, block({{":status", "200"}}))));
    return stream;
  }
  TunnelSide client{Role::kClient, {}};
  std::string hello;
};

// Both ends, and the wire between them in pieces of `piece` bytes.
class TunnelPair : public testing::Test {
 protected:
  void exchange(size_t piece = SIZE_MAX) {
    for (int i = 0; i < 20'000; ++i) {
      const std::string up = client.session.wants_write() ? client.fill_once() : "";
      const std::string down = server.session.wants_write() ? server.fill_once() : "";
      if (up.empty() && down.empty() && !client.session.wants_write() &&
          !server.session.wants_write())
        return;
      deliver(server, up, piece);
      deliver(client, down, piece);
    }
    FAIL() << "the sides do not come to rest";
  }
  static void deliver(TunnelSide& side, std::string_view bytes, size_t piece) {
    while (!bytes.empty()) {
      const auto part = bytes.substr(0, piece);
      ASSERT_TRUE(side.feed(part));
      bytes.remove_prefix(part.size());
    }
  }
  // A stream answered with 200, from the client's side.
  TestTunnel& connected() {
    TestTunnel& stream = client.open();
    exchange();
    server.respond(stream.id);
    exchange();
    return stream;
  }
  void send(TunnelSide& side, StreamId id, std::string_view bytes, bool finish = false) {
    side.at(id).output += bytes;
    side.at(id).finish = finish;
    side.session.resume(side.at(id));
  }
  TunnelSide client{Role::kClient, {}};
  TunnelSide server{Role::kServer, tunnel_settings()};
};

}  // namespace culvert::h2
