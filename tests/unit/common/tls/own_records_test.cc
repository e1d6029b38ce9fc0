#include "common/tls/own_records.h"

#include "tests/unit/common/tls/own_records_fixture.h"
#include "tests/unit/common/tls/rfc8448.h"

#include <gtest/gtest.h>

#include <random>

// Records as such, data and alerts; handshake messages are in own_records_handshake_test.cc.
namespace culvert::tls {
namespace {

using namespace std::string_literals;

constexpr size_t kMaxContent = 16384;

TEST_F(OwnRecordsTest, TheServersPartOfRfc8448) {
  const auto server = rfc8448::bytes(rfc8448::kServerSecret);
  const auto client = rfc8448::bytes(rfc8448::kClientSecret);
  OwnRecords ours(Role::kClient, Secrets{*find_suite(rfc8448::kSuite), {server}, {client}}, {},
                  context_.impl());
  auto wire = join({rfc8448::bytes(rfc8448::kServerTicketRecord),
                    rfc8448::bytes(rfc8448::kServerDataRecord),
                    rfc8448::bytes(rfc8448::kServerCloseRecord)});
  Collector got;
  ByteQueue out;
  const auto opened = ours.open(wire, got, out);
  ASSERT_TRUE(opened);
  EXPECT_FALSE(*opened);
  EXPECT_EQ(got.text, as_text(rfc8448::payload()));
  RecordBatch batch;
  ASSERT_TRUE(batch.append(rfc8448::payload()));
  const auto sealed = ours.seal(batch, out);
  ASSERT_TRUE(sealed);
  EXPECT_EQ(Octets(sealed->begin(), sealed->end()), rfc8448::bytes(rfc8448::kClientDataRecord));
  EXPECT_TRUE(out.empty());
  ours.close_notify(out);
  EXPECT_EQ(take(out), rfc8448::bytes(rfc8448::kClientCloseRecord));
}

TEST_F(OwnRecordsTest, ManyRecordsAreOpenedWhereTheyLie) {
  struct Where final : PlaintextSink {
    Result<> on_plaintext(MutableBytes plaintext) override {
      at.push_back(plaintext.data());
      return {};
    }
    std::vector<const uint8_t*> at;
  } where;
  auto wire = join({peer_->data("one"), peer_->data("two", 100), peer_->data("three")});
  ASSERT_TRUE(ours_->open(wire, where, out_));
  const uint8_t* start = wire.data() + kRecordHeader;
  EXPECT_EQ(where.at, (std::vector<const uint8_t*>{start, start + 25, start + 25 + 125}));
  EXPECT_TRUE(context_.impl().spare.empty());  // no buffer was needed
}

TEST_F(OwnRecordsTest, RecordsThatAreNotEncrypted) {
  for (const int type : {0, 20, 21, 22, 24, 128, 255}) {
    connect();
    // Also the change_cipher_spec of the middlebox compatibility mode: it belongs before Finished.
    expect_fault({static_cast<uint8_t>(type), 3, 3, 0, 1, 1}, SSL_AD_UNEXPECTED_MESSAGE);
  }
}

TEST_F(OwnRecordsTest, TheVersionOfARecordIsIgnoredButAuthenticated) {
  auto record = peer_->data("x");
  record[2] = 1;
  expect_fault(record, SSL_AD_BAD_RECORD_MAC);

  // A peer who says so itself: sealed by hand, with the first server record's key of RFC 8448.
  const auto secret = rfc8448::bytes(rfc8448::kServerSecret);
  const auto key = rfc8448::bytes(rfc8448::kServerKey), iv = rfc8448::bytes(rfc8448::kServerIv);
  OwnRecords ours(Role::kClient, Secrets{*find_suite(rfc8448::kSuite), {secret}, {secret}}, {},
                  context_.impl());
  const Octets header{23, 3, 1, 0, 19}, inner{'h', 'i', 23};
  Octets strange = header;
  strange.resize(header.size() + inner.size() + kRecordTag);
  bssl::ScopedEVP_AEAD_CTX aead;
  size_t size = 0;
  ASSERT_TRUE(
      EVP_AEAD_CTX_init(aead.get(), EVP_aead_aes_128_gcm(), key.data(), key.size(), 16, nullptr));
  ASSERT_TRUE(EVP_AEAD_CTX_seal(aead.get(), strange.data() + 5, &size, 19, iv.data(), iv.size(),
                                inner.data(), inner.size(), header.data(), header.size()));
  ASSERT_TRUE(ours.open(strange, got_, out_));
  EXPECT_EQ(got_.text, "hi");
}

TEST_F(OwnRecordsTest, AnAuthenticRecordWithNothingInIt) {
  const auto secret = rfc8448::bytes(rfc8448::kServerSecret);
  const auto key = rfc8448::bytes(rfc8448::kServerKey), iv = rfc8448::bytes(rfc8448::kServerIv);
  OwnRecords ours(Role::kClient, Secrets{*find_suite(rfc8448::kSuite), {secret}, {secret}}, {},
                  context_.impl());
  Octets record{23, 3, 3, 0, 16};
  const Octets header = record;
  record.resize(header.size() + kRecordTag);
  bssl::ScopedEVP_AEAD_CTX aead;
  size_t size = 0;
  ASSERT_TRUE(
      EVP_AEAD_CTX_init(aead.get(), EVP_aead_aes_128_gcm(), key.data(), key.size(), 16, nullptr));
  ASSERT_TRUE(EVP_AEAD_CTX_seal(aead.get(), record.data() + 5, &size, 16, iv.data(), iv.size(),
                                nullptr, 0, header.data(), header.size()));
  const auto opened = ours.open(record, got_, out_);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().message(),
            "tls record error: unexpected_message, the peer sent a record without a content type");
}

TEST_F(OwnRecordsTest, TooLongIsSaidByTheHeaderAlready) {
  expect_fault({23, 3, 3, 0x41, 0x01}, SSL_AD_RECORD_OVERFLOW);  // 2^14 + 257
  connect();
  expect_fault({23, 3, 3, 0xff, 0xff}, SSL_AD_RECORD_OVERFLOW);
  connect();
  const auto opened = open({23, 3, 3, 0x41, 0x00});  // 2^14 + 256: may still come to something
  ASSERT_TRUE(opened);
  EXPECT_TRUE(*opened);
  // Also when the header comes in two pieces.
  connect();
  ASSERT_TRUE(open({23, 3, 3, 0x41}));
  expect_fault({0x01}, SSL_AD_RECORD_OVERFLOW);
}

TEST_F(OwnRecordsTest, AsMuchPlaintextAsIsAllowedAndNoMore) {
  const std::string most(kMaxContent, 'm');
  expect_data(peer_->data(most), most);
  expect_data(peer_->data("little", kMaxContent - 6), "little");
  expect_data(peer_->data("", kMaxContent), "");
  expect_fault(peer_->data(most, 1), SSL_AD_RECORD_OVERFLOW);
  connect();
  expect_fault(peer_->data(most + "x"), SSL_AD_RECORD_OVERFLOW);
  connect();
  expect_fault(peer_->data("", kMaxContent + 1), SSL_AD_RECORD_OVERFLOW);
  connect();
  // The largest there can be on the wire.
  expect_fault(peer_->data(std::string(kMaxContent + 239, 'x')), SSL_AD_RECORD_OVERFLOW);
}

TEST_F(OwnRecordsTest, RecordsTooShortForATag) {
  for (uint8_t size = 0; size < 16; ++size) {
    connect();
    Octets record{23, 3, 3, 0, size};
    record.resize(record.size() + size);
    expect_fault(record, SSL_AD_BAD_RECORD_MAC);
  }
}

TEST_F(OwnRecordsTest, EveryBitIsAuthenticated) {
  const size_t size = peer_->data("some text", 3).size();
  for (size_t bit = 0; bit < size * 8; ++bit) {
    connect();
    auto record = peer_->data("some text", 3);
    record[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    const auto opened = open(record);
    // A length that says more just waits.
    if (opened) {
      EXPECT_TRUE(bit / 8 == 3 || bit / 8 == 4) << bit;
    } else {
      EXPECT_EQ(opened.error().code, code(Errc::kRecord));
      EXPECT_FALSE(out_.empty());
    }
    EXPECT_EQ(got_.text, "") << bit;
  }
}

TEST_F(OwnRecordsTest, NoContentType) {
  for (const size_t zeros : {1, 2, 100, 16385}) {
    connect();
    expect_fault(peer_->raw(Octets(zeros)), SSL_AD_UNEXPECTED_MESSAGE);
  }
}

TEST_F(OwnRecordsTest, UnknownContentTypes) {
  for (int type = 1; type < 256; ++type) {
    if (type >= 21 && type <= 23) continue;
    connect();
    expect_fault(peer_->record(static_cast<ContentType>(type), {1}), SSL_AD_UNEXPECTED_MESSAGE);
  }
}

TEST_F(OwnRecordsTest, PaddingIsStripped) {
  for (const size_t padding : {0, 1, 15, 16, 255, 16000}) {
    expect_data(peer_->data("a\0\0"s, padding), "a\0\0"s);
  }
}

TEST_F(OwnRecordsTest, EmptyRecordsAreToleratedUpToALimit) {
  Octets wire;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < OwnRecords::kMaxIdle; ++i) wire = join({wire, peer_->data("", i % 3)});
    wire = join({wire, peer_->data("x")});
  }
  expect_data(wire, "xxx");
  for (int i = 0; i < OwnRecords::kMaxIdle; ++i) expect_data(peer_->data(""), "");
  expect_fault(peer_->data(""), SSL_AD_UNEXPECTED_MESSAGE);
}

TEST_F(OwnRecordsTest, CloseNotifyEndsAndWhatFollowsIsIgnored) {
  for (const uint8_t level : {0, 1, 2, 255}) {
    connect();
    const auto opened =
        open(join({peer_->data("last"), peer_->alert(level, 0), {1, 2, 3}, peer_->data("x")}));
    ASSERT_TRUE(opened);
    EXPECT_FALSE(*opened);
    EXPECT_EQ(got_.text, "last");
    const auto again = open({23, 3, 3, 255, 255});
    ASSERT_TRUE(again);
    EXPECT_FALSE(*again);
    // Our direction goes on.
    ASSERT_TRUE(seal("reply"));
    ours_->close_notify(out_);
    EXPECT_EQ(said(), "data:reply alert:1,0");
  }
}

TEST_F(OwnRecordsTest, OurCloseLeavesReadingOpenAndIsOurLastWord) {
  ours_->close_notify(out_);
  EXPECT_EQ(said(), "alert:1,0");
  EXPECT_FALSE(seal("x"));
  expect_data(peer_->data("still here"), "still here");
  expect_data(join({peer_->key_update(SSL_KEY_UPDATE_REQUESTED), peer_->data("y")}), "y");
  EXPECT_FALSE(open({22, 3, 3, 0, 0}));
  EXPECT_TRUE(out_.empty());
}

TEST_F(OwnRecordsTest, UserCanceledIsIgnoredUpToALimit) {
  expect_data(join({peer_->alert(1, 90), peer_->data("x"), peer_->alert(2, 90)}), "x");
  for (int i = 1; i < OwnRecords::kMaxIdle; ++i) expect_data(peer_->alert(1, 90), "");
  expect_fault(peer_->alert(1, 90), SSL_AD_UNEXPECTED_MESSAGE);
}

TEST_F(OwnRecordsTest, AllOtherAlertsAreFatalWhateverTheirLevel) {
  for (int description = 1; description < 256; ++description) {
    if (description == 90) continue;
    connect();
    const auto opened =
        open(join({peer_->data("x"),
                   peer_->alert(description % 2 == 0 ? 1 : 2, static_cast<uint8_t>(description))}));
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, code(Errc::kAlert));
    EXPECT_EQ(opened.error().context, SSL_alert_desc_string_long(description));
    EXPECT_EQ(got_.text, "x");
    EXPECT_TRUE(out_.empty());  // nobody reads an answer
    expect_dead();
  }
}

TEST_F(OwnRecordsTest, AlertsOfWrongLengths) {
  expect_fault(peer_->record(ContentType::kAlert, {}), SSL_AD_UNEXPECTED_MESSAGE);
  connect();
  expect_fault(peer_->record(ContentType::kAlert, {2}), SSL_AD_DECODE_ERROR);
  connect();
  expect_fault(peer_->record(ContentType::kAlert, {1, 0, 0}), SSL_AD_DECODE_ERROR);
  connect();
  expect_fault(peer_->record(ContentType::kAlert, {1, 0, 1, 0}), SSL_AD_DECODE_ERROR);
}

TEST_F(OwnRecordsTest, ThePlaceOfAnAlertIsItsPlaceInTheStream) {
  // What went before the bad record is delivered.
  auto bad = peer_->data("bad");
  const auto first = peer_->data("good");
  EXPECT_FALSE(open(join({first})));  // the second of the sequence
  connect();
  auto good = peer_->data("good");
  bad = peer_->data("bad");
  bad.back() ^= 1;
  expect_fault(join({good, bad}), SSL_AD_BAD_RECORD_MAC);
  EXPECT_EQ(got_.text, "good");
}

TEST_F(OwnRecordsTest, WhatCameBehindTheHandshakeIsOpenedFirst) {
  // Two connections with the same secrets, so that the early bytes can be made before.
  const auto whole = peer_->data("early"), cut = peer_->data("cut in two"),
             late = peer_->data("late");
  const Octets front(cut.begin(), cut.begin() + 9), back(cut.begin() + 9, cut.end());
  connect(Role::kServer, join({whole, front}));
  expect_data({}, "early");
  expect_data(join({back, late}), "cut in twolate");
  // Without the call that the contract asks for.
  connect(Role::kServer, join({whole, front}));
  expect_data(join({back, late}), "earlycut in twolate");
  // An end within.
  connect();
  const auto close = peer_->alert(1, 0);
  connect(Role::kServer, close);
  const auto opened = open({1, 2, 3});
  ASSERT_TRUE(opened);
  EXPECT_FALSE(*opened);
}

// A stream cut in two at every byte, with and without the part that is kept being taken back.
TEST_F(OwnRecordsTest, EveryCut) {
  std::string text;
  const auto make = [&] {
    text = "first" + std::string(300, 'm') + "after the update";
    return join({peer_->data("first"), peer_->data(""), peer_->handshake(ticket(40)),
                 peer_->data(std::string(300, 'm'), 20), peer_->key_update(0),
                 peer_->data("after the update"), peer_->alert(1, 0)});
  };
  const size_t size = make().size();
  Octets room(Engine::kMaxRecord + size);
  for (size_t cut = 0; cut <= size; ++cut) {
    for (const bool take : {false, true}) {
      connect();
      const auto wire = make();
      const Octets front(wire.begin(), wire.begin() + static_cast<ptrdiff_t>(cut));
      const Octets back(wire.begin() + static_cast<ptrdiff_t>(cut), wire.end());
      auto opened = open(front);
      ASSERT_TRUE(opened);
      EXPECT_EQ(*opened, cut < size);
      const size_t kept = take ? ours_->take_partial(room) : 0;
      std::copy(back.begin(), back.end(), room.begin() + static_cast<ptrdiff_t>(kept));
      opened = ours_->open({room.data(), kept + back.size()}, got_, out_);
      ASSERT_TRUE(opened);
      EXPECT_FALSE(*opened);
      EXPECT_EQ(got_.text, text) << cut;
      EXPECT_TRUE(out_.empty());
    }
  }
}

TEST_F(OwnRecordsTest, RandomPiecesOfALongStream) {
  std::mt19937 random(5);
  std::string text;
  Octets wire;
  for (int i = 0; i < 200; ++i) {
    const std::string piece(random() % (i % 10 == 0 ? 16385 : 300), static_cast<char>(i));
    const size_t padding = random() % 3 == 0 ? random() % (16385 - piece.size()) : 0;
    text += piece;
    wire = join({wire, peer_->data(piece, padding)});
    if (i % 50 == 7) wire = join({wire, peer_->key_update(i == 57)});
  }
  Octets room(Engine::kMaxRecord + 60000);
  for (size_t at = 0; at < wire.size();) {
    const size_t n =
        std::min<size_t>(wire.size() - at, random() % (random() % 2 == 0 ? 60000 : 30));
    const size_t kept = random() % 2 == 0 ? ours_->take_partial(room) : 0;
    std::copy_n(wire.begin() + static_cast<ptrdiff_t>(at), n,
                room.begin() + static_cast<ptrdiff_t>(kept));
    at += n;
    ASSERT_TRUE(ours_->open({room.data(), kept + n}, got_, out_));
  }
  EXPECT_TRUE(got_.text == text);
}

TEST_F(OwnRecordsTest, AtMostOneRecordIsKeptAndOnlyAsLongAsItIsNotWhole) {
  const auto& spare = context_.impl().spare;
  Octets burst;
  for (int i = 0; i < 20; ++i) burst = join({burst, peer_->data(std::string(kMaxContent, 'b'))});
  const uint8_t last = burst.back();
  burst.pop_back();
  ASSERT_TRUE(open(burst));
  EXPECT_EQ(got_.text.size(), 19 * kMaxContent);
  EXPECT_EQ(spare.size(), 0U);  // the one buffer is in use
  ASSERT_TRUE(open({last}));
  EXPECT_EQ(got_.text.size(), 20 * kMaxContent);
  EXPECT_EQ(spare.size(), 1U);
  // The same buffer serves the next one.
  const uint8_t* const buffer = spare[0].get();
  const auto record = peer_->data("x");
  ASSERT_TRUE(open({record.begin(), record.begin() + 10}));
  EXPECT_EQ(spare.size(), 0U);
  Octets room(Engine::kMaxRecord);
  EXPECT_EQ(ours_->take_partial(room), 10U);
  ASSERT_EQ(spare.size(), 1U);
  EXPECT_EQ(spare[0].get(), buffer);
  EXPECT_EQ(ours_->take_partial(room), 0U);
  // Nor after the end.
  ASSERT_TRUE(ours_->open({room.data(), 10}, got_, out_));
  EXPECT_EQ(spare.size(), 0U);
  auto rest = Octets(record.begin() + 10, record.end());
  rest.back() ^= 1;
  EXPECT_FALSE(open(rest));
  EXPECT_EQ(spare.size(), 1U);
}

// Whoever reads may look at all of it until on_open_done(), whatever else the worker does
// meanwhile.
TEST_F(OwnRecordsTest, PlaintextStaysWhereItIsUntilTheEnd) {
  struct Rereader final : PlaintextSink {
    Result<> on_plaintext(MutableBytes plaintext) override {
      got.emplace_back(plaintext, std::string(as_text(plaintext)));
      reread();
      return {};
    }
    void on_open_done() override { reread(); }
    void reread() {
      // As an engine inside of this one would.
      std::vector<RecordBuffer> buffers;
      for (int i = 0; i < 5; ++i) {
        buffers.push_back(context->impl().take_buffer());
        std::fill_n(buffers.back().get(), kRecordBufferSize, uint8_t{0xee});
      }
      for (auto& buffer : buffers) context->impl().give_buffer(std::move(buffer));
      for (const auto& [bytes, text] : got) EXPECT_EQ(as_text(bytes), text);
    }
    Context* context = nullptr;
    std::vector<std::pair<MutableBytes, std::string>> got;
  } sink;
  sink.context = &context_;
  // Three buffers: what came with the handshake, a record in two pieces, the rest.
  const auto one = peer_->data("one"), two = peer_->data("two"), three = peer_->data("three"),
             four = peer_->data("four");
  connect(Role::kClient, join({one, {two.begin(), two.begin() + 10}}));
  auto rest = join({{two.begin() + 10, two.end()}, three, {four.begin(), four.begin() + 12}});
  ASSERT_TRUE(ours_->open(rest, sink, out_));
  EXPECT_EQ(sink.got.size(), 3U);
  sink.got.clear();
  auto last = join({{four.begin() + 12, four.end()}});
  ASSERT_TRUE(ours_->open(last, sink, out_));
  EXPECT_EQ(sink.got.size(), 1U);
}

TEST_F(OwnRecordsTest, SealingNothingSendsNothing) {
  RecordBatch batch;
  const auto sealed = ours_->seal(batch, out_);
  ASSERT_TRUE(sealed);
  EXPECT_TRUE(sealed->empty());
  EXPECT_TRUE(out_.empty());
}

TEST_F(OwnRecordsTest, ABatchIsSealedWhereItLies) {
  RecordBatch batch;
  ASSERT_TRUE(batch.append(as_bytes(std::string(20000, 'x'))));
  const auto sealed = ours_->seal(batch, out_);
  ASSERT_TRUE(sealed);
  EXPECT_EQ(sealed->data(), batch.memory());
  EXPECT_EQ(sealed->size(), 20000U + 2 * 22);
  EXPECT_EQ((*sealed)[3] << 8 | (*sealed)[4], 16384 + 17);
  EXPECT_EQ(peer_->read({sealed->begin(), sealed->end()}),
            "data:" + std::string(16384, 'x') + " data:" + std::string(3616, 'x'));
}

}  // namespace
}  // namespace culvert::tls
