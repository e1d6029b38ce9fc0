#include "common/base/check.h"
#include "common/tls/context_impl.h"
#include "common/tls/engine.h"
#include "common/tls/own_records.h"
#include "common/tls/post_handshake.h"
#include "common/tls/traffic_keys.h"

#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

// A peer of our record layer whose bytes the fuzzer chooses: as they come (records' headers), or
// sealed with the right keys first (what is inside them). Whatever comes: pieces make no
// difference, no plaintext that was not sent, at most one alert, and nothing works after it.
namespace {

using namespace culvert;
using namespace culvert::tls;

const Suite& suite() {
  static const Suite found = *find_suite(SSL_CIPHER_AES_128_GCM_SHA256);
  return found;
}
constexpr std::array<uint8_t, 32> kReadSecret{1}, kWriteSecret{2};

struct Wire {
  std::vector<uint8_t> bytes;
  std::string plaintext;  // all of it, had nothing been wrong
};

// Input: [kind][size][bytes] …, each a record. kind: bits 0-1 the content type, or one of the
// fuzzer's; bits 2-3 padding; bit 4 tampered with; bit 5 the size times 64.
Wire seal(Role role, Bytes input) {
  Wire wire;
  TrafficKeys keys(suite(), {kReadSecret});
  PostHandshake messages(role);
  while (input.size() >= 2) {
    const uint8_t kind = input[0];
    const size_t size = size_t{input[1]} * ((kind & 32) != 0 ? 64 : 1);
    input = input.subspan(2);
    const Bytes given = input.first(std::min(size, input.size()));
    input = input.subspan(given.size());
    std::vector<uint8_t> inner(given.begin(), given.end());
    inner.resize(size, 'x');
    if ((kind & 3) != 0) {
      inner.push_back(static_cast<uint8_t>(20 + (kind & 3)));
      constexpr size_t kPadding[] = {0, 1, 100, 16385};
      const size_t padded = std::min(inner.size() + kPadding[kind >> 2 & 3], size_t{16386});
      inner.resize(std::max(inner.size(), padded));
    } else {
      inner.push_back(0);
    }
    // What the receiver will find in it.
    size_t end = inner.size();
    while (end > 0 && inner[end - 1] == 0) --end;
    const auto type = static_cast<ContentType>(end > 0 ? inner[end - 1] : 0);
    const Bytes content = Bytes(inner).first(end > 0 ? end - 1 : 0);
    if (type == ContentType::kApplicationData) wire.plaintext.append(as_text(content));
    std::vector<uint8_t> record(kRecordHeader + inner.size() + kRecordTag);
    std::copy(inner.begin(), inner.end(), record.begin() + kRecordHeader);
    keys.seal(record, static_cast<ContentType>(inner.back()));
    if ((kind & 16) != 0) record[record.size() / 2] ^= 1;
    wire.bytes.insert(wire.bytes.end(), record.begin(), record.end());
    if (type == ContentType::kHandshake) {
      const auto found = messages.feed(content);
      if (found && *found != PostHandshake::Found::kNothing) keys.update();
    }
  }
  return wire;
}

struct Log final : PlaintextSink {
  Result<> on_plaintext(MutableBytes plaintext) override {
    CULVERT_CHECK(!plaintext.empty() && plaintext.size() <= kMaxPlaintext);
    plaintexts.append(as_text(plaintext));
    std::fill(plaintext.begin(), plaintext.end(), uint8_t{0});
    return {};
  }
  bool operator==(const Log& other) const {
    return plaintexts == other.plaintexts && end == other.end;
  }
  std::string plaintexts;
  std::string end;  // how it ended, with the alert that was sent
};

std::string alert_in(const ByteQueue& out, TrafficKeys& keys) {
  const Bytes readable = out.readable();
  std::vector<uint8_t> record(readable.begin(), readable.end());
  CULVERT_CHECK(record.size() == kRecordHeader + 3 + kRecordTag);
  const auto inner = keys.open(record);
  CULVERT_CHECK(inner && (*inner)[0] == SSL3_AL_FATAL && (*inner)[2] == 21);
  return "told " + std::to_string((*inner)[1]);
}

Log run(Role role, std::vector<uint8_t> wire, size_t piece, bool take_back) {
  static Context context{Options{}};
  OwnRecords records(role, Secrets{suite(), {kReadSecret}, {kWriteSecret}}, {}, context.impl());
  std::vector<uint8_t> room(Engine::kMaxRecord + piece);
  Log log;
  ByteQueue out;
  for (size_t at = 0; at < wire.size() && log.end.empty(); at += piece) {
    const size_t kept = take_back ? records.take_partial(room) : 0;
    const size_t n = std::min(piece, wire.size() - at);
    std::copy_n(wire.begin() + static_cast<ptrdiff_t>(at), n,
                room.begin() + static_cast<ptrdiff_t>(kept));
    const auto opened = records.open({room.data(), kept + n}, log, out);
    if (!opened) log.end = opened.error().message();
    if (opened && !*opened) log.end = "closed";
  }
  if (!out.empty()) {
    CULVERT_CHECK(!log.end.empty());
    TrafficKeys keys(suite(), {kWriteSecret});
    log.end += alert_in(out, keys);
  }
  out.clear();
  RecordBatch batch;
  CULVERT_CHECK(batch.append(as_bytes("x")));
  const bool failed = !log.end.empty() && log.end != "closed";
  CULVERT_CHECK(records.seal(batch, out).has_value() != failed);
  if (failed) CULVERT_CHECK(out.empty() && !records.open({}, log, out));
  CULVERT_CHECK(context.impl().spare.size() <= Context::Impl::kMaxSpare);
  return log;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const Role role = (data[0] & 1) == 0 ? Role::kServer : Role::kClient;
  const bool sealed = (data[0] & 2) != 0;
  const bool take_back = (data[0] & 4) != 0;
  const size_t piece = (size_t{data[1]} + 1) * ((data[0] & 8) != 0 ? 100 : 1);
  const Bytes input(data + 2, size - 2);
  const Wire wire = sealed ? seal(role, input) : Wire{{input.begin(), input.end()}, {}};
  const Log whole = run(role, wire.bytes, wire.bytes.size() + 1, false);
  const Log pieces = run(role, wire.bytes, piece, take_back);
  if (!(whole == pieces)) {
    std::fprintf(stderr, "whole: %s\npieces: %s\n", whole.end.c_str(), pieces.end.c_str());
    CULVERT_CHECK(false);
  }
  CULVERT_CHECK(wire.plaintext.starts_with(whole.plaintexts));
  return 0;
}
