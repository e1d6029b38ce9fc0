#include "common/base/check.h"
#include "common/h2/tunnel_session.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

// Input after the preface, as a server or a client. Whatever comes: no callback after on_closed, no
// more data than windows allow, every stream ends, what goes out is whole frames, an idle session
// holds nothing, and pieces make no difference. Streams read, do not read, detach, reset and die in
// their callbacks, by their ids.
namespace {

using namespace culvert;
using namespace culvert::h2;

struct Side;
struct Stream final : TunnelStream {
  Stream(Side& owner, StreamId stream) : side(owner), id(stream) {}
  void note(const std::string& what);
  void on_head(Head head, bool end) override;
  void on_data(std::span<const iovec> pieces) override;
  void on_end() override;
  void on_closed(ErrorCode code) override;
  Produced produce(std::span<const iovec> to) override;
  Side& side;
  StreamId id;
  size_t received = 0, unread = 0, left = 20'000, given = 0;
  bool ended = false, closed = false;
};

struct Side final : TunnelHandler {
  Side(Role role, const TunnelSettings& settings) : session(role, settings, memory, *this) {}
  bool on_stream(StreamId id) override {
    if (id % 16 == 15) return false;
    session.accept(id, make(id));
    if (id % 16 == 13) kill(id);
    return true;
  }
  void on_goaway(ErrorCode, StreamId) override { log += "|goaway"; }
  void on_ping_ack() override { log += "|pong"; }
  void on_shutdown_noticed() override { log += "|noticed"; }
  Stream& make(StreamId id) {
    auto& stream = streams[id] = std::make_unique<Stream>(*this, id);
    return *stream;
  }
  void kill(StreamId id) {
    const auto at = streams.find(id);
    if (at == streams.end()) return;
    session.detach(*at->second);
    streams.erase(at);
  }
  void fill() {
    for (int i = 0; session.wants_write(); ++i) {
      CULVERT_CHECK(i < 10'000);
      batch.clear();
      session.fill(batch);
      for (const auto& record : batch.records()) {
        const uint8_t* plain = batch.memory() + record.begin + tls::RecordBatch::kHeader;
        sent.insert(sent.end(), plain, plain + record.plain);
      }
    }
  }
  std::string log;
  std::map<StreamId, std::unique_ptr<Stream>> streams;
  std::vector<uint8_t> sent;
  tls::RecordBatch batch;
  MemoryAccount memory{"the process", uint64_t{1} << 20};
  TunnelSession session;
};

void Stream::note(const std::string& what) {
  CULVERT_CHECK(!closed);
  side.log += "|" + std::to_string(id) + " " + what;
}
void Stream::on_head(Head head, bool end) {
  CULVERT_CHECK(!head.fields.empty());
  note("head" + std::to_string(head.fields.size()) + (end ? " end" : ""));
}
void Stream::on_data(std::span<const iovec> pieces) {
  CULVERT_CHECK(!closed && !ended && !pieces.empty() && pieces.size() <= 64);
  size_t n = 0;
  for (const iovec& piece : pieces) {
    CULVERT_CHECK(piece.iov_len > 0);
    const std::string copy(static_cast<const char*>(piece.iov_base), piece.iov_len);
    n += copy.size();
  }
  received += n;
  unread += n;
  CULVERT_CHECK(unread <= kDefaultWindow);  // more than the settings', and it never grows unread
  if (id % 4 != 1) side.session.consume(*this, std::exchange(unread, 0));
}
void Stream::on_end() {
  CULVERT_CHECK(!ended);
  ended = true;
  note("end " + std::to_string(received));
  if (id % 32 == 9) return side.kill(id);
  if (id % 32 == 11) side.session.reset(*this, ErrorCode::kCancel);
}
void Stream::on_closed(ErrorCode) {
  note("closed");
  closed = true;
  if (id % 32 == 7) side.kill(id - 2);
  if (id % 32 == 17) side.kill(id);
}
TunnelStream::Produced Stream::produce(std::span<const iovec> to) {
  CULVERT_CHECK(!closed && !to.empty());
  size_t total = 0;
  for (const iovec& part : to) {
    CULVERT_CHECK(part.iov_len > 0);
    const size_t n = std::min(part.iov_len, left);
    std::memset(part.iov_base, 'x', n);
    left -= n;
    total += n;
  }
  given += total;
  if (id % 32 == 19) {
    side.kill(id);
    return {.bytes = total};
  }
  return {.bytes = total, .end = left == 0 && total > 0};
}

// What was sent is frames, of no stream more than windows allowed.
void check_frames(Bytes sent, bool preface) {
  if (preface) sent = sent.subspan(kPreface.size());
  while (!sent.empty()) {
    CULVERT_CHECK(sent.size() >= kFrameHeaderSize);
    const FrameHeader header = FrameHeader::parse(sent.data());
    CULVERT_CHECK(sent.size() >= kFrameHeaderSize + header.length);
    CULVERT_CHECK(header.type <= FrameType::kContinuation);
    CULVERT_CHECK(header.type != FrameType::kData || header.stream > 0);
    sent = sent.subspan(kFrameHeaderSize + header.length);
  }
}

void finish(Side& side, Role role) {
  side.session.end_of_read();
  const Field answer[] = {{":status", "200"}};
  for (auto& [id, stream] : side.streams) {
    if (stream->closed) continue;
    if (role == Role::kServer) side.session.respond(*stream, answer, id % 8 == 3);
  }
  std::vector<StreamId> open;
  for (auto& [id, stream] : side.streams)
    if (!stream->closed) open.push_back(id);
  for (const StreamId id : open)
    if (const auto at = side.streams.find(id); at != side.streams.end() && !at->second->closed)
      side.session.resume(*at->second);
  side.fill();
  CULVERT_CHECK(side.session.held_bytes() <= 2 * (FrameReader::kMaxControl + 65536) * 2);
  side.session.fail(ErrorCode::kInternalError);
  for (auto& [id, stream] : side.streams) CULVERT_CHECK(stream->closed);
  CULVERT_CHECK(side.session.streams() == 0);
  check_frames(side.sent, role == Role::kClient);
}

std::string run(Role role, Bytes input, size_t piece) {
  TunnelSettings settings;
  settings.initial_window = 40'000;
  settings.max_window = 1 << 20;
  if (role == Role::kServer) settings.max_concurrent_streams = 5;
  Side side(role, settings);
  if (role == Role::kClient) {
    const Field head[] = {{":method", "CONNECT"}, {":authority", "a:1"}};
    for (StreamId id = 1; id < 10; id += 2) CULVERT_CHECK(side.session.open(head, side.make(id)));
  } else {
    std::string preface(kPreface);
    CULVERT_CHECK(side.session.feed({reinterpret_cast<uint8_t*>(preface.data()), preface.size()}));
    side.session.end_of_read();
  }
  side.fill();
  bool fed = true;
  while (fed && !input.empty()) {
    const Bytes part = input.first(std::min(piece, input.size()));
    input = input.subspan(part.size());
    std::vector<uint8_t> copy(part.begin(), part.end());
    fed = side.session.feed(copy).has_value();
    side.session.end_of_read();
  }
  std::string log = side.log;  // what we send later depends on when we are asked
  finish(side, role);
  return log;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const Role role = (data[0] & 1) == 0 ? Role::kServer : Role::kClient;
  const Bytes input(data + 2, size - 2);
  const std::string whole = run(role, input, input.size());
  const std::string pieces = run(role, input, 1 + data[1] % 64);
  if (whole != pieces) {
    std::fprintf(stderr, "whole: %s\npieces: %s\n", whole.c_str(), pieces.c_str());
    CULVERT_CHECK(false);
  }
  return 0;
}
