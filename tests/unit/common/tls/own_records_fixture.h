#pragma once

#include "common/tls/context_impl.h"
#include "common/tls/own_records.h"
#include "common/tls/traffic_keys.h"
#include "tests/unit/common/tls/engine_fixture.h"

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace culvert::tls {

using Octets = std::vector<uint8_t>;

inline Octets join(std::initializer_list<Octets> parts) {
  Octets all;
  for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

// A handshake message.
inline Octets message(uint8_t type, size_t length, uint8_t fill = 0x11) {
  Octets made{type, static_cast<uint8_t>(length >> 16), static_cast<uint8_t>(length >> 8),
              static_cast<uint8_t>(length)};
  made.resize(made.size() + length, fill);
  return made;
}
inline Octets ticket(size_t length) { return message(SSL3_MT_NEW_SESSION_TICKET, length); }
inline Octets key_update(uint8_t request) { return message(SSL3_MT_KEY_UPDATE, 1, request); }

// A peer with the keys in its hand, who seals whatever it likes.
class Forger {
 public:
  Forger(const Suite& suite, Bytes write, Bytes read)
      : writer_(suite, {write}), reader_(suite, {read}) {}

  Octets record(ContentType type, const Octets& content, size_t padding = 0) {
    Octets inner = content;
    inner.push_back(static_cast<uint8_t>(type));
    inner.resize(inner.size() + padding);
    return raw(inner);
  }
  Octets data(std::string_view text, size_t padding = 0) {
    return record(ContentType::kApplicationData, {text.begin(), text.end()}, padding);
  }
  Octets handshake(const Octets& content) { return record(ContentType::kHandshake, content); }
  Octets alert(uint8_t level, uint8_t description) {
    return record(ContentType::kAlert, {level, description});
  }
  // `inner` as it is, but for empty.
  Octets raw(const Octets& inner) {
    Octets made(kRecordHeader + inner.size() + kRecordTag);
    std::copy(inner.begin(), inner.end(), made.begin() + kRecordHeader);
    writer_.seal(made, static_cast<ContentType>(inner.back()));
    return made;
  }
  Octets key_update(uint8_t request) {
    Octets made = handshake(tls::key_update(request));
    writer_.update();
    return made;
  }
  void update_writer() { writer_.update(); }

  // What we said to it: "data:…" with the text, "alert:<level>,<description>", "handshake:<type>",
  // one after the other. Follows our KeyUpdates.
  std::string read(Octets bytes) {
    std::string said;
    size_t at = 0;
    while (at < bytes.size()) {
      const size_t size = kRecordHeader + (size_t{bytes[at + 3]} << 8 | bytes[at + 4]);
      const auto inner = reader_.open(MutableBytes(bytes).subspan(at, size));
      at += size;
      if (!inner) return said + "?";
      const MutableBytes content = inner->first(inner->size() - 1);
      if (!said.empty()) said += ' ';
      switch (static_cast<ContentType>(inner->back())) {
        case ContentType::kApplicationData:
          said += "data:" + std::string(as_text(content));
          break;
        case ContentType::kAlert:
          said += "alert:" + std::to_string(content[0]) + "," + std::to_string(content[1]);
          break;
        default:
          said += "handshake:" + std::to_string(content[0]);
          if (content[0] == SSL3_MT_KEY_UPDATE) reader_.update();
      }
    }
    return said;
  }

 private:
  TrafficKeys writer_, reader_;
};

// Our record layer with a Forger on the other side.
class OwnRecordsTest : public ::testing::Test {
 protected:
  // A new connection.
  void connect(Role role = Role::kClient, const Octets& early = {}) {
    const Suite suite = *find_suite(SSL_CIPHER_AES_256_GCM_SHA384);
    const Octets read(48, 1), write(48, 2);
    ByteQueue queue;
    queue.append(early);
    ours_ = std::make_unique<OwnRecords>(role, Secrets{suite, {read}, {write}}, std::move(queue),
                                         context_.impl());
    peer_.emplace(suite, read, write);
    got_ = {};
    out_.clear();
  }
  OwnRecordsTest() { connect(); }

  Result<bool> open(Octets bytes) { return ours_->open(bytes, got_, out_); }
  // Into out_.
  Result<> seal(std::string_view text) {
    RecordBatch batch;
    EXPECT_TRUE(batch.append(as_bytes(text)));
    const auto sealed = ours_->seal(batch, out_);
    if (!sealed) return sealed.error();
    out_.append(*sealed);
    return {};
  }
  std::string said() { return peer_->read(take(out_)); }

  // `bytes` make us send this alert, and that is the end of it.
  void expect_fault(const Octets& bytes, uint8_t alert) {
    const auto opened = open(bytes);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, code(Errc::kRecord));
    EXPECT_EQ(opened.error().context.find(SSL_alert_desc_string_long(alert)), 0U)
        << opened.error().context;
    EXPECT_EQ(said(), "alert:2," + std::to_string(alert));
    expect_dead();
  }
  void expect_dead() {
    const std::string before = got_.text;
    EXPECT_FALSE(open(peer_->data("more")));
    EXPECT_FALSE(open({}));
    EXPECT_EQ(got_.text, before);
    EXPECT_FALSE(seal("more"));
    ours_->close_notify(out_);
    EXPECT_TRUE(out_.empty());
    Octets room(Engine::kMaxRecord);
    EXPECT_EQ(ours_->take_partial(room), 0U);
  }
  void expect_data(const Octets& bytes, std::string_view text) {
    const auto opened = open(bytes);
    ASSERT_TRUE(opened) << opened.error().message();
    EXPECT_TRUE(*opened);
    EXPECT_EQ(got_.text, text);
    got_ = {};
  }

  Context context_{Options{.records_per_key = 1000}};
  std::unique_ptr<OwnRecords> ours_;
  std::optional<Forger> peer_;
  Collector got_;
  ByteQueue out_;
};

}  // namespace culvert::tls
