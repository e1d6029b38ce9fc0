#include "tests/unit/common/tls/engine_fixture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

// What happens after the handshake.
namespace culvert::tls {
namespace {

using ::testing::HasSubstr;

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

TEST_F(DataTest, BothDirections) {
  w_.client.send("question");
  w_.server.send("answer");
  w_.run();
  EXPECT_EQ(w_.server.got.text, "question");
  EXPECT_EQ(w_.client.got.text, "answer");
}

TEST_F(DataTest, RecordsHoldAtMost16KiB) {
  w_.client.send(std::string(40000, 'x'));
  const auto wire = take(w_.client.out);
  // 16384 + 16384 + 7232 bytes, each with a header, a content type and a tag.
  EXPECT_EQ(wire.size(), 40000 + 3 * (5 + 1 + 16));
  EXPECT_EQ(wire[3] << 8 | wire[4], 16384 + 17);
  w_.server.feed(wire, SIZE_MAX);
  EXPECT_EQ(w_.server.got.text, std::string(40000, 'x'));
  EXPECT_EQ(w_.server.got.calls, 3);
}

TEST_F(DataTest, SealingNothingSendsNothing) {
  w_.client.send("");
  EXPECT_TRUE(w_.client.out.empty());
}

TEST_F(DataTest, LargeTransfersWithRandomSplits) {
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

TEST_F(DataTest, ARecordByteByByte) {
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

TEST_F(DataTest, ATruncatedStreamGivesWhatWasWhole) {
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

TEST_F(DataTest, ATamperedRecordFailsAndTheAlertIsInOut) {
  for (const size_t at : {size_t{5}, size_t{12}}) {
    w_ = wire();
    w_.run();
    w_.client.send("payload");
    auto wire = take(w_.client.out);
    wire[at] ^= 1;
    w_.server.feed(wire, SIZE_MAX);
    ASSERT_TRUE(w_.server.error);
    EXPECT_EQ(w_.server.error->code, code(Errc::kRecord));
    EXPECT_THAT(w_.server.error->message(), HasSubstr("DECRYPTION_FAILED_OR_BAD_RECORD_MAC"));
    EXPECT_EQ(w_.server.got.text, "");
    w_.run();
    ASSERT_TRUE(w_.client.error);
    EXPECT_EQ(w_.client.error->code, code(Errc::kAlert));
    EXPECT_EQ(w_.client.error->message(), "tls alert from the peer: bad record mac");
  }
}

TEST_F(DataTest, AnOversizedRecordFails) {
  // A header that announces 20480 bytes; RFC 8446 section 5.2 allows 2^14 + 256. It does not wait
  // for them.
  w_.server.feed({0x17, 0x03, 0x03, 0x50, 0x00, 0, 0, 0}, SIZE_MAX);
  ASSERT_TRUE(w_.server.error);
  EXPECT_EQ(w_.server.error->code, code(Errc::kRecord));
}

TEST_F(DataTest, AReplayedRecordFails) {
  w_.client.send("once");
  const auto wire = take(w_.client.out);
  w_.server.feed(wire, SIZE_MAX);
  w_.server.feed(wire, SIZE_MAX);
  EXPECT_EQ(w_.server.got.text, "once");
  EXPECT_TRUE(w_.server.error);
}

TEST_F(DataTest, AfterAnErrorNothingWorks) {
  w_.server.feed({0x17, 0x03, 0x03, 0, 1, 0}, SIZE_MAX);
  ASSERT_TRUE(w_.server.error);
  w_.server.error.reset();
  w_.client.send("more");
  w_.server.feed(take(w_.client.out), SIZE_MAX);
  EXPECT_TRUE(w_.server.error);
  EXPECT_EQ(w_.server.got.text, "");
}

TEST_F(DataTest, CloseNotifyEndsOneDirection) {
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

TEST_F(DataTest, CloseNotifyIsSentOnce) {
  w_.server.engine->close_notify(w_.server.out);
  EXPECT_FALSE(w_.server.out.empty());
  take(w_.server.out);
  w_.server.engine->close_notify(w_.server.out);
  EXPECT_TRUE(w_.server.out.empty());
}

TEST_F(DataTest, NothingIsSealedAfterCloseNotify) {
  w_.client.engine->close_notify(w_.client.out);
  take(w_.client.out);
  const auto sealed = w_.client.engine->seal(as_bytes("too late"), w_.client.out);
  ASSERT_FALSE(sealed);
  EXPECT_EQ(sealed.error().code, code(Errc::kRecord));
  EXPECT_TRUE(w_.client.out.empty());
}

TEST_F(DataTest, NothingIsReadAfterThePeersCloseNotify) {
  w_.client.engine->close_notify(w_.client.out);
  w_.server.feed(take(w_.client.out), SIZE_MAX);
  ASSERT_FALSE(w_.server.open);
  w_.server.feed({1, 2, 3}, SIZE_MAX);
  EXPECT_FALSE(w_.server.open);
  EXPECT_FALSE(w_.server.error);
}

TEST_F(DataTest, TheSinksErrorStopsOpen) {
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

TEST_F(DataTest, ASinkMaySealOnTheSameEngine) {
  struct Echo final : PlaintextSink {
    Result<> on_plaintext(MutableBytes plaintext) override { return engine->seal(plaintext, *out); }
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

TEST_F(DataTest, AnAlertAfterASinkSealedGoesWhereOpenWasTold) {
  struct Echo final : PlaintextSink {
    Result<> on_plaintext(MutableBytes plaintext) override { return engine->seal(plaintext, out); }
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

// Double HBONE: the plaintext of one connection is the ciphertext of another one in the same
// context.
TEST_F(DataTest, TlsInsideTls) {
  Wire inner(client_credential(), server_credential(), expected_);
  inner.server_context = std::move(w_.server_context);
  inner.server.engine = Engine::server(*inner.server_context, server_credential());
  inner.run();
  ASSERT_TRUE(inner.server.done);
  struct Unwrap final : PlaintextSink {
    Result<> on_plaintext(MutableBytes plaintext) override {
      const std::string before(as_text(plaintext));
      side->step(plaintext);
      // Opening the inner records did not touch the outer plaintext.
      EXPECT_EQ(as_text(plaintext), before);
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

}  // namespace
}  // namespace culvert::tls
