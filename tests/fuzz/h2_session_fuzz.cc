#include "common/base/check.h"
#include "common/h2/session.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <string>

// Input after the preface, as a server or a client. Whatever comes: no callback after on_closed, no
// more data than windows allow, every stream ends, and pieces make no difference.
namespace {

using namespace culvert;
using namespace culvert::h2;

struct Stream final : StreamHandler {
  Stream(std::string& all, StreamId stream) : log(all), id(stream) {}
  void note(const std::string& what) {
    CULVERT_CHECK(!closed);
    log += "|" + std::to_string(id) + " " + what;
  }
  void on_head(Head head, bool end) override {
    CULVERT_CHECK(!head.fields.empty());
    note("head" + std::to_string(head.fields.size()) + (end ? " end" : ""));
  }
  void on_data(Bytes data) override {
    CULVERT_CHECK(!closed && !ended);
    received += data.size();
    unread += data.size();
    CULVERT_CHECK(unread <= 4U << 20);
    if (id % 4 != 1) {
      session->consume(id, unread);
      unread = 0;
    }
  }
  void on_trailers(Head) override { note("trailers"); }
  void on_end() override {
    CULVERT_CHECK(!ended);
    ended = true;
    note("end " + std::to_string(received));
  }
  void on_closed(ErrorCode) override {
    note("closed");
    closed = true;
  }
  Produced produce(MutableBytes to) override {
    const size_t n = std::min<size_t>(to.size(), left);
    std::fill_n(to.begin(), n, uint8_t{'x'});
    left -= n;
    return {.bytes = n, .end = left == 0};
  }
  std::string& log;
  Session* session = nullptr;
  StreamId id;
  size_t received = 0, unread = 0, left = 20'000;
  bool ended = false, closed = false;
};

struct Side final : SessionHandler {
  Side(Role role, const Settings& settings) : session(role, settings, *this) {}
  StreamHandler* on_stream(StreamId id) override {
    if (id % 16 == 15) return nullptr;
    auto& stream = streams[id] = std::make_unique<Stream>(log, id);
    stream->session = &session;
    return stream.get();
  }
  void on_goaway(ErrorCode, StreamId) override { log += "|goaway"; }
  void on_ping_ack() override { log += "|pong"; }
  void on_settings() override { log += "|settings"; }
  std::string log;
  std::map<StreamId, std::unique_ptr<Stream>> streams;
  Session session;
};

struct Outcome {
  std::string log;
  bool may_end_early = false;
};

Outcome run(Role role, Bytes input, size_t piece) {
  Settings settings;
  if (role == Role::kServer) settings.max_concurrent_streams = 5;
  Side side(role, settings);
  if (role == Role::kClient) {
    const Field head[] = {{":method", "CONNECT"}, {":authority", "a:1"}};
    for (StreamId id = 1; id < 6; id += 2) {
      Stream* stream = static_cast<Stream*>(side.on_stream(id));
      CULVERT_CHECK(side.session.open(head, false, *stream).value() == id);
    }
  } else {
    CULVERT_CHECK(side.session.feed(as_bytes("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")));
  }
  ByteQueue out;
  static_cast<void>(side.session.drain(out, 1 << 20));
  Outcome outcome;
  while (!input.empty()) {
    const Bytes part = input.first(std::min(piece, input.size()));
    input = input.subspan(part.size());
    const auto fed = side.session.feed(part);
    if (fed) continue;
    outcome.may_end_early = fed.error().message().find("CONTINUATION") != std::string::npos;
    break;
  }
  outcome.log = side.log;  // what we send later depends on when we are asked
  outcome.may_end_early |= outcome.log.find("|goaway") != std::string::npos;
  const Field answer[] = {{":status", "200"}};
  if (role == Role::kServer)
    for (auto& [id, stream] : side.streams)
      if (!stream->closed) side.session.respond(id, answer, id % 8 == 3);
  static_cast<void>(side.session.drain(out, 1 << 20));
  side.session.fail(ErrorCode::kInternalError);
  for (auto& [id, stream] : side.streams) CULVERT_CHECK(stream->closed);
  CULVERT_CHECK(side.session.streams() == 0);
  return outcome;
}

// What nghttp2 does depend on, so that a log may end sooner, but never say anything else: after
// the peer's GOAWAY, once no stream is left, it reads the rest of a call's input but no further
// call's; and of its limit of CONTINUATION frames each call takes a part that brings a piece of
// such a frame's header.
bool agree(const Outcome& a, const Outcome& b) {
  const Outcome& shorter = a.log.size() < b.log.size() ? a : b;
  const Outcome& longer = &shorter == &a ? b : a;
  return a.log == b.log || (shorter.may_end_early && longer.log.starts_with(shorter.log));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const Role role = (data[0] & 1) == 0 ? Role::kServer : Role::kClient;
  const Bytes input(data + 2, size - 2);
  const Outcome whole = run(role, input, input.size());
  const Outcome pieces = run(role, input, 1 + data[1] % 64);
  if (!agree(whole, pieces)) {
    std::fprintf(stderr, "whole: %s\npieces: %s\n", whole.log.c_str(), pieces.log.c_str());
    CULVERT_CHECK(false);
  }
  return 0;
}
