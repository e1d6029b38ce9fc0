#include "tests/unit/common/tls/engine_fixture.h"

#include <gtest/gtest.h>

#include <random>

// What happens after the handshake.
namespace culvert::tls {
namespace {

class DataTest : public EngineTest {
 protected:
  DataTest() { w_.run(); }
  void SetUp() override { ASSERT_TRUE(w_.client.done && w_.server.done); }

  Wire w_ = wire();
};

std::string noise(size_t size, uint32_t seed) {
  std::mt19937 random(seed);
  std::string text(size, '\0');
  for (char& c : text) c = static_cast<char>(random());
  return text;
}

TEST_P(DataTest, BothDirections) {
  w_.client.send("question");
  w_.server.send("answer");
  w_.run();
  EXPECT_EQ(w_.server.got.text, "question");
  EXPECT_EQ(w_.client.got.text, "answer");
}

TEST_P(DataTest, RecordsHoldAtMost16KiB) {
  w_.client.send(std::string(40000, 'x'));
  const auto wire = take(w_.client.out);
  // 16384 + 16384 + 7232 bytes, each with a header, a content type and a tag.
  EXPECT_EQ(wire.size(), 40000 + 3 * (5 + 1 + 16));
  EXPECT_EQ(wire[3] << 8 | wire[4], 16384 + 17);
  w_.server.feed(wire, SIZE_MAX);
  EXPECT_EQ(w_.server.got.text, std::string(40000, 'x'));
  EXPECT_EQ(w_.server.got.calls, 3);
}

TEST_P(DataTest, SealingNothingSendsNothing) {
  w_.client.send("");
  EXPECT_TRUE(w_.client.out.empty());
}

TEST_P(DataTest, LargeTransfersWithRandomSplits) {
  std::mt19937 random(7);
  const std::string to_server = noise(3'000'000, 1), to_client = noise(2'000'000, 2);
  size_t up = 0, down = 0;
  for (int turns = 0; up < to_server.size() || down < to_client.size(); ++turns) {
    ASSERT_LT(turns, 10000);
    const size_t n = std::min<size_t>(random() % 50000, to_server.size() - up);
    const size_t m = std::min<size_t>(random() % 50000, to_client.size() - down);
    w_.client.send(std::string_view(to_server).substr(up, n));
    w_.server.send(std::string_view(to_client).substr(down, m));
    up += n;
    down += m;
    w_.run(1 + random() % 20000);
    ASSERT_FALSE(w_.client.error || w_.server.error);
  }
  EXPECT_TRUE(w_.server.got.text == to_server);
  EXPECT_TRUE(w_.client.got.text == to_client);
}

TEST_P(DataTest, ARecordByteByByte) {
  const std::string text = noise(16384, 3);
  w_.client.send(text);
  auto wire = take(w_.client.out);
  const uint8_t last = wire.back();
  wire.pop_back();
  w_.server.feed(wire, 1);
  EXPECT_EQ(w_.server.got.calls, 0);
  w_.server.feed({last}, 1);
  EXPECT_TRUE(w_.server.got.text == text);
  EXPECT_EQ(w_.server.got.calls, 1);
}

TEST_P(DataTest, ATruncatedStreamGivesWhatWasWhole) {
  w_.client.send("whole");
  w_.client.send("cut");
  auto wire = take(w_.client.out);
  wire.pop_back();
  w_.server.feed(wire, SIZE_MAX);
  EXPECT_EQ(w_.server.got.text, "whole");
  // Neither an end nor an error: whoever sees the socket close without close_notify knows it was
  // cut.
  EXPECT_TRUE(w_.server.open);
  EXPECT_FALSE(w_.server.error);
}

TEST_P(DataTest, ATamperedRecordFailsAndTheAlertIsInOut) {
  for (const size_t at : {size_t{5}, size_t{12}}) {
    w_ = wire();
    w_.run();
    w_.client.send("payload");
    auto wire = take(w_.client.out);
    wire[at] ^= 1;
    w_.server.feed(wire, SIZE_MAX);
    ASSERT_TRUE(w_.server.error);
    EXPECT_EQ(w_.server.error->code, code(Errc::kRecord));
    EXPECT_EQ(w_.server.error->message(),
              GetParam() == RecordLayer::kOwn
                  ? "tls record error: bad record mac, the peer sent a record that does not decrypt"
                  : "tls record error: BAD_DECRYPT, DECRYPTION_FAILED_OR_BAD_RECORD_MAC");
    EXPECT_EQ(w_.server.got.text, "");
    w_.run();
    ASSERT_TRUE(w_.client.error);
    EXPECT_EQ(w_.client.error->code, code(Errc::kAlert));
    EXPECT_EQ(w_.client.error->message(), "tls alert from the peer: bad record mac");
  }
}

TEST_P(DataTest, AnOversizedRecordFails) {
  // A header that announces 20480 bytes; RFC 8446 section 5.2 allows 2^14 + 256. It does not wait
  // for them.
  w_.server.feed({0x17, 0x03, 0x03, 0x50, 0x00, 0, 0, 0}, SIZE_MAX);
  ASSERT_TRUE(w_.server.error);
  EXPECT_EQ(w_.server.error->code, code(Errc::kRecord));
}

TEST_P(DataTest, AReplayedRecordFails) {
  w_.client.send("once");
  const auto wire = take(w_.client.out);
  w_.server.feed(wire, SIZE_MAX);
  w_.server.feed(wire, SIZE_MAX);
  EXPECT_EQ(w_.server.got.text, "once");
  EXPECT_TRUE(w_.server.error);
}

TEST_P(DataTest, AfterAnErrorNothingWorks) {
  w_.server.feed({0x17, 0x03, 0x03, 0, 1, 0}, SIZE_MAX);
  ASSERT_TRUE(w_.server.error);
  w_.server.error.reset();
  w_.client.send("more");
  w_.server.feed(take(w_.client.out), SIZE_MAX);
  EXPECT_TRUE(w_.server.error);
  EXPECT_EQ(w_.server.got.text, "");
}

TEST_P(DataTest, CloseNotifyEndsOneDirection) {
  w_.client.send("last words");
  w_.client.engine->close_notify(w_.client.out);
  w_.run();
  EXPECT_EQ(w_.server.got.text, "last words");
  EXPECT_FALSE(w_.server.open);
  EXPECT_FALSE(w_.server.error);
  // The other direction goes on.
  w_.server.send("reply");
  w_.server.engine->close_notify(w_.server.out);
  w_.run();
  EXPECT_EQ(w_.client.got.text, "reply");
  EXPECT_FALSE(w_.client.open);
  EXPECT_FALSE(w_.client.error);
}

TEST_P(DataTest, CloseNotifyIsSentOnce) {
  w_.server.engine->close_notify(w_.server.out);
  EXPECT_FALSE(w_.server.out.empty());
  take(w_.server.out);
  w_.server.engine->close_notify(w_.server.out);
  EXPECT_TRUE(w_.server.out.empty());
}

TEST_P(DataTest, NothingIsSealedAfterCloseNotify) {
  w_.client.engine->close_notify(w_.client.out);
  take(w_.client.out);
  const auto sealed = seal(*w_.client.engine, "too late", w_.client.out);
  ASSERT_FALSE(sealed);
  EXPECT_EQ(sealed.error().code, code(Errc::kRecord));
  EXPECT_TRUE(w_.client.out.empty());
}

TEST_P(DataTest, NothingIsReadAfterThePeersCloseNotify) {
  w_.client.engine->close_notify(w_.client.out);
  w_.server.feed(take(w_.client.out), SIZE_MAX);
  ASSERT_FALSE(w_.server.open);
  w_.server.feed({1, 2, 3}, SIZE_MAX);
  EXPECT_FALSE(w_.server.open);
  EXPECT_FALSE(w_.server.error);
}

TEST_P(DataTest, TheSinksErrorStopsOpen) {
  struct Full final : PlaintextSink {
    Result<> on_plaintext(MutableBytes) override {
      ++calls;
      return Error(culvert::Errc::kLimit, "enough");
    }
    int calls = 0;
  } sink;
  w_.client.send("one");
  w_.client.send("two");
  auto wire = take(w_.client.out);
  const auto opened = w_.server.engine->open(wire, sink, w_.server.out);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, make_error_code(culvert::Errc::kLimit));
  EXPECT_EQ(sink.calls, 1);
}

TEST_P(DataTest, AllPlaintextIsThereAtTheEnd) {
  struct Late final : PlaintextSink {
    Result<> on_plaintext(MutableBytes plaintext) override {
      pieces.push_back(plaintext);
      return {};
    }
    void on_open_done() override {
      ++ends;
      for (const MutableBytes piece : pieces) text += as_text(piece);
      pieces.clear();
    }
    std::vector<MutableBytes> pieces;
    std::string text;
    int ends = 0;
  } late;
  w_.client.send(std::string(40'000, 'a') + "b");
  const auto wire = take(w_.client.out);
  // Cut within the second record.
  std::vector<uint8_t> first(wire.begin(), wire.begin() + 20'000);
  std::vector<uint8_t> rest(wire.begin() + 20'000, wire.end());
  ASSERT_TRUE(w_.server.engine->open(first, late, w_.server.out));
  ASSERT_TRUE(w_.server.engine->open(rest, late, w_.server.out));
  EXPECT_EQ(late.ends, 2);
  EXPECT_EQ(late.text, std::string(40'000, 'a') + "b");

  w_.client.send("good");
  w_.client.send("bad");
  auto broken = take(w_.client.out);
  broken.back() ^= 1;
  late.text.clear();
  ASSERT_FALSE(w_.server.engine->open(broken, late, w_.server.out));
  EXPECT_EQ(late.ends, 3);
  EXPECT_EQ(late.text, "good");
}

TEST_P(DataTest, ASinkMaySealOnTheSameEngine) {
  struct Echo final : PlaintextSink {
    Result<> on_plaintext(MutableBytes plaintext) override {
      return seal(*engine, as_text(plaintext), *out);
    }
    Engine* engine = nullptr;
    ByteQueue* out = nullptr;
  } echo;
  echo.engine = w_.server.engine.get();
  ByteQueue replies;
  echo.out = &replies;
  w_.client.send("one");
  w_.client.send("two");
  auto wire = take(w_.client.out);
  ASSERT_TRUE(w_.server.engine->open(wire, echo, w_.server.out));
  EXPECT_TRUE(w_.server.out.empty());
  w_.client.feed(take(replies), SIZE_MAX);
  EXPECT_EQ(w_.client.got.text, "onetwo");
}

TEST_P(DataTest, AnAlertAfterASinkSealedGoesWhereOpenWasTold) {
  struct Echo final : PlaintextSink {
    Result<> on_plaintext(MutableBytes plaintext) override {
      return seal(*engine, as_text(plaintext), out);
    }
    Engine* engine = nullptr;
    ByteQueue out;
  } echo;
  echo.engine = w_.server.engine.get();
  w_.client.send("one");
  w_.client.send("two");
  auto wire = take(w_.client.out);
  wire.back() ^= 1;
  ASSERT_FALSE(w_.server.engine->open(wire, echo, w_.server.out));
  EXPECT_FALSE(w_.server.out.empty());
  w_.client.feed(take(echo.out), SIZE_MAX);
  EXPECT_EQ(w_.client.got.text, "one");
  w_.client.feed(take(w_.server.out), SIZE_MAX);
  ASSERT_TRUE(w_.client.error);
  EXPECT_EQ(w_.client.error->code, code(Errc::kAlert));
}

TEST_P(DataTest, TheSinksErrorLeavesWritingOpen) {
  struct Full final : PlaintextSink {
    Result<> on_plaintext(MutableBytes) override { return Error(culvert::Errc::kLimit); }
  } sink;
  w_.client.send("too much");
  auto wire = take(w_.client.out);
  ASSERT_FALSE(w_.server.engine->open(wire, sink, w_.server.out));
  EXPECT_TRUE(w_.server.out.empty());
  w_.server.send("why");
  w_.server.engine->close_notify(w_.server.out);
  w_.run();
  EXPECT_EQ(w_.client.got.text, "why");
  EXPECT_FALSE(w_.client.open);
}

TEST_P(DataTest, NothingIsSealedAfterAnErrorOfThePeer) {
  w_.server.feed({0x17, 0x03, 0x03, 0x50, 0x00}, SIZE_MAX);
  ASSERT_TRUE(w_.server.error);
  EXPECT_FALSE(seal(*w_.server.engine, "more", w_.server.out));
  // The other side is told, and does not go on either.
  w_.client.feed(take(w_.server.out), SIZE_MAX);
  ASSERT_TRUE(w_.client.error);
  EXPECT_EQ(w_.client.error->message(), "tls alert from the peer: record overflow");
  EXPECT_FALSE(seal(*w_.client.engine, "more", w_.client.out));
  w_.client.engine->close_notify(w_.client.out);
  w_.server.engine->close_notify(w_.server.out);
  EXPECT_TRUE(w_.client.out.empty() && w_.server.out.empty());
}

TEST_P(DataTest, WhatIsKeptMayBeTakenBack) {
  w_.client.send("one");
  const size_t first = w_.client.out.size();
  w_.client.send("two");
  auto wire = take(w_.client.out);
  w_.server.data({wire.data(), first + 7});
  EXPECT_EQ(w_.server.got.text, "one");
  std::vector<uint8_t> room(Engine::kMaxRecord + wire.size());
  const size_t kept = w_.server.engine->take_partial(room);
  EXPECT_EQ(kept, GetParam() == RecordLayer::kOwn ? 7U : 0U);
  std::copy(wire.begin() + static_cast<ptrdiff_t>(first) + 7, wire.end(),
            room.begin() + static_cast<ptrdiff_t>(kept));
  w_.server.data({room.data(), kept + wire.size() - first - 7});
  EXPECT_EQ(w_.server.got.text, "onetwo");
  EXPECT_EQ(w_.server.engine->take_partial(room), 0U);
}

TEST_P(DataTest, KeysAreUpdatedInTime) {
  Wire w = wire({.records_per_key = 3});
  w.run();
  std::string sent;
  size_t updates = 0;
  for (int i = 0; i < 20; ++i) {
    w.client.send("x");
    w.server.send("y");
    sent += "x";
    // A KeyUpdate has 5 bytes of content where the data has one.
    if (w.client.out.size() == (22 + 5) + (22 + 1)) ++updates;
    w.run();
    ASSERT_FALSE(w.client.error || w.server.error);
  }
  EXPECT_EQ(w.server.got.text, sent);
  EXPECT_EQ(w.client.got.text.size(), 20U);
  EXPECT_EQ(updates, 6U);  // after 3 records each
}

TEST_P(DataTest, ABatchOfManyRecordsIsOneSend) {
  RecordBatch batch;
  std::string all;
  for (size_t i = 0; i < RecordBatch::kMaxRecords; ++i) {
    // The rest of each record is too small for the next piece, so each has its own.
    const std::string piece = noise(100 + i, static_cast<uint32_t>(i));
    const MutableBytes space = batch.prepare(RecordBatch::kPlain);
    const MutableBytes small = space.empty() ? batch.prepare(piece.size()) : space;
    ASSERT_GE(small.size(), piece.size()) << i;
    std::copy(piece.begin(), piece.end(), small.begin());
    batch.commit(piece.size());
    all += piece;
  }
  const size_t records = batch.records().size();
  EXPECT_GT(records, 10U);
  const auto sealed = w_.client.engine->seal(batch, w_.client.out);
  ASSERT_TRUE(sealed);
  EXPECT_EQ(sealed->size(), all.size() + records * 22);
  EXPECT_TRUE(w_.client.out.empty());
  w_.server.feed({sealed->begin(), sealed->end()}, SIZE_MAX);
  EXPECT_EQ(w_.server.got.calls, static_cast<int>(records));
  EXPECT_TRUE(w_.server.got.text == all);
}

// Double HBONE: the plaintext of one connection is the ciphertext of another one in the same
// context.
TEST_P(DataTest, TlsInsideTls) {
  Wire inner = wire();
  inner.server_context = std::move(w_.server_context);
  inner.server.engine = Engine::server(*inner.server_context, server_credential());
  inner.run();
  ASSERT_TRUE(inner.server.done);
  struct Unwrap final : PlaintextSink {
    Result<> on_plaintext(MutableBytes plaintext) override {
      side->step(plaintext);
      return {};
    }
    Side* side = nullptr;
  } unwrap;
  unwrap.side = &inner.server;
  inner.client.send("wrapped twice");
  w_.client.send(as_text(take(inner.client.out)));
  auto wire = take(w_.client.out);
  ASSERT_TRUE(w_.server.engine->open(wire, unwrap, w_.server.out));
  EXPECT_EQ(inner.server.got.text, "wrapped twice");
}

CULVERT_WITH_BOTH_RECORD_LAYERS(DataTest);

}  // namespace
}  // namespace culvert::tls
