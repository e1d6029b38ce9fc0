#include "tests/unit/common/tls/own_records_fixture.h"

#include <gtest/gtest.h>

// Handshake messages on an established connection: RFC 8446 sections 4.6.1, 4.6.3, 5.1, 5.5.
namespace culvert::tls {
namespace {

constexpr uint8_t kNotRequested = SSL_KEY_UPDATE_NOT_REQUESTED;
constexpr uint8_t kRequested = SSL_KEY_UPDATE_REQUESTED;

TEST_F(OwnRecordsTest, TicketsAreIgnored) {
  // As rustls' servers send them: two, before the first data; in one record, as OpenSSL may.
  expect_data(join({peer_->handshake(ticket(60)), peer_->handshake(ticket(60)), peer_->data("a")}),
              "a");
  expect_data(join({peer_->handshake(join({ticket(60), ticket(0), ticket(1)})), peer_->data("b")}),
              "b");
  EXPECT_TRUE(out_.empty());
}

TEST_F(OwnRecordsTest, ATicketMayBeCutAnywhere) {
  const auto whole = join({ticket(30), ticket(7)});
  for (size_t cut = 1; cut < whole.size(); ++cut) {
    const auto at = whole.begin() + static_cast<ptrdiff_t>(cut);
    expect_data(join({peer_->handshake({whole.begin(), at}), peer_->handshake({at, whole.end()}),
                      peer_->data("x")}),
                "x");
  }
  for (const uint8_t byte : whole) expect_data(peer_->handshake({byte}), "");
  expect_data(peer_->data("y"), "y");
}

TEST_F(OwnRecordsTest, TicketsUpToALimit) {
  const auto send = [&](const Octets& all) {
    for (size_t at = 0; at < all.size(); at += 16000) {
      const size_t n = std::min<size_t>(16000, all.size() - at);
      const auto from = all.begin() + static_cast<ptrdiff_t>(at);
      expect_data(peer_->handshake({from, from + static_cast<ptrdiff_t>(n)}), "");
    }
  };
  send(ticket(PostHandshake::kMaxTicket));
  expect_data(peer_->data("x"), "x");
  // The length alone is enough.
  auto head = ticket(PostHandshake::kMaxTicket + 1);
  head.resize(4);
  expect_fault(peer_->handshake(head), SSL_AD_ILLEGAL_PARAMETER);
}

TEST_F(OwnRecordsTest, TicketsFromAClient) {
  connect(Role::kServer);
  expect_fault(peer_->handshake(ticket(60)), SSL_AD_UNEXPECTED_MESSAGE);
}

TEST_F(OwnRecordsTest, AllOtherMessages) {
  for (int type = 0; type < 256; ++type) {
    if (type == SSL3_MT_NEW_SESSION_TICKET || type == SSL3_MT_KEY_UPDATE) continue;
    for (const Role role : {Role::kClient, Role::kServer}) {
      connect(role);
      expect_fault(peer_->handshake(message(static_cast<uint8_t>(type), 10)),
                   SSL_AD_UNEXPECTED_MESSAGE);
    }
  }
}

TEST_F(OwnRecordsTest, AnEmptyHandshakeRecord) {
  expect_fault(peer_->handshake({}), SSL_AD_UNEXPECTED_MESSAGE);
}

TEST_F(OwnRecordsTest, NothingMayComeBetweenThePartsOfAMessage) {
  const auto whole = ticket(60);
  const Octets half(whole.begin(), whole.begin() + 30);
  for (const ptrdiff_t size : {1, 4, 5, 30, 63}) {
    connect();
    const Octets part(whole.begin(), whole.begin() + size);
    expect_fault(join({peer_->handshake(part), peer_->data("x")}), SSL_AD_UNEXPECTED_MESSAGE);
    EXPECT_EQ(got_.text, "");
  }
  connect();
  expect_fault(join({peer_->handshake(half), peer_->alert(1, SSL_AD_USER_CANCELLED)}),
               SSL_AD_UNEXPECTED_MESSAGE);
  // The end is an end, though.
  connect();
  const auto opened = open(join({peer_->handshake(half), peer_->alert(1, 0)}));
  ASSERT_TRUE(opened);
  EXPECT_FALSE(*opened);
}

TEST_F(OwnRecordsTest, ThePeersKeysMayChange) {
  for (int i = 0; i < 10; ++i) {
    expect_data(join({peer_->data("old"), peer_->key_update(kNotRequested), peer_->data("new")}),
                "oldnew");
  }
  ASSERT_TRUE(seal("x"));
  EXPECT_EQ(said(), "data:x");  // it did not ask for ours
  // Who says that it changes its keys must do so.
  expect_fault(join({peer_->handshake(key_update(kNotRequested)), peer_->data("old key")}),
               SSL_AD_BAD_RECORD_MAC);
}

TEST_F(OwnRecordsTest, ARequestIsAnsweredBeforeOurNextData) {
  expect_data(join({peer_->key_update(kRequested), peer_->data("a")}), "a");
  EXPECT_TRUE(out_.empty());  // we have nothing to say
  RecordBatch batch;
  ASSERT_TRUE(batch.append(as_bytes("reply")));
  ByteQueue before;
  const auto sealed = ours_->seal(batch, before);
  ASSERT_TRUE(sealed);
  EXPECT_EQ(peer_->read(take(before)), "handshake:24");
  EXPECT_EQ(peer_->read({sealed->begin(), sealed->end()}), "data:reply");
  ASSERT_TRUE(seal("once"));
  EXPECT_EQ(said(), "data:once");
}

TEST_F(OwnRecordsTest, OneAnswerIsEnoughForManyRequests) {
  for (int i = 0; i < OwnRecords::kMaxIdle; ++i) expect_data(peer_->key_update(kRequested), "");
  ASSERT_TRUE(seal("reply"));
  EXPECT_EQ(said(), "handshake:24 data:reply");
}

TEST_F(OwnRecordsTest, ARequestWithinOneInputIsAnsweredByTheSinkThatSeals) {
  struct Echo final : PlaintextSink {
    Result<> on_plaintext(MutableBytes plaintext) override {
      batch.clear();
      EXPECT_TRUE(batch.append(plaintext));
      const auto sealed = records->seal(batch, out);
      if (!sealed) return sealed.error();
      out.append(*sealed);
      return {};
    }
    OwnRecords* records = nullptr;
    RecordBatch batch;
    ByteQueue out;
  } echo;
  echo.records = ours_.get();
  auto wire = join({peer_->data("a"), peer_->key_update(kRequested), peer_->data("b"),
                    peer_->key_update(kNotRequested), peer_->data("c")});
  ASSERT_TRUE(ours_->open(wire, echo, out_));
  EXPECT_EQ(peer_->read(take(echo.out)), "data:a handshake:24 data:b data:c");
  EXPECT_TRUE(out_.empty());
}

TEST_F(OwnRecordsTest, AnAlertNeedsNoAnswerBefore) {
  ASSERT_TRUE(open(peer_->key_update(kRequested)));
  ours_->close_notify(out_);
  EXPECT_EQ(said(), "alert:1,0");
}

TEST_F(OwnRecordsTest, TooManyKeyUpdates) {
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < OwnRecords::kMaxIdle; ++i) expect_data(peer_->key_update(i % 2), "");
    expect_data(peer_->data("x"), "x");
  }
  for (int i = 0; i < OwnRecords::kMaxIdle; ++i) expect_data(peer_->key_update(i % 2), "");
  expect_fault(peer_->key_update(kNotRequested), SSL_AD_UNEXPECTED_MESSAGE);
}

TEST_F(OwnRecordsTest, KeyUpdatesThatAreNone) {
  expect_fault(peer_->handshake(key_update(2)), SSL_AD_ILLEGAL_PARAMETER);
  connect();
  expect_fault(peer_->handshake(key_update(255)), SSL_AD_ILLEGAL_PARAMETER);
  for (const size_t length : {0, 2, 65536}) {
    connect();
    auto wrong = message(SSL3_MT_KEY_UPDATE, length, 0);
    wrong.resize(std::min<size_t>(wrong.size(), 100));
    expect_fault(peer_->handshake(wrong), SSL_AD_DECODE_ERROR);
  }
}

TEST_F(OwnRecordsTest, AKeyUpdateEndsItsRecord) {
  expect_fault(peer_->handshake(join({key_update(0), ticket(10)})), SSL_AD_UNEXPECTED_MESSAGE);
  connect();
  expect_fault(peer_->handshake(join({key_update(0), key_update(0)})), SSL_AD_UNEXPECTED_MESSAGE);
  connect();
  expect_fault(peer_->handshake(join({key_update(0), {0}})), SSL_AD_UNEXPECTED_MESSAGE);
  connect();
  // What goes before it in the record does no harm.
  const auto wire = peer_->handshake(join({ticket(10), key_update(0)}));
  peer_->update_writer();
  expect_data(join({wire, peer_->data("x")}), "x");
}

TEST_F(OwnRecordsTest, AKeyUpdateMayBeCutAnywhere) {
  const auto whole = key_update(kNotRequested);
  for (size_t cut = 1; cut < whole.size(); ++cut) {
    const auto at = whole.begin() + static_cast<ptrdiff_t>(cut);
    const auto wire =
        join({peer_->handshake({whole.begin(), at}), peer_->handshake({at, whole.end()})});
    peer_->update_writer();
    expect_data(join({wire, peer_->data("x")}), "x");
  }
}

TEST_F(OwnRecordsTest, OurKeysChangeBeforeTheyAreWornOut) {
  Context context(Options{.records_per_key = 5});
  const Suite suite = *find_suite(SSL_CIPHER_AES_128_GCM_SHA256);
  const Octets read(32, 1), write(32, 2);
  Forger peer(suite, read, write);
  OwnRecords ours(Role::kClient, Secrets{suite, {read}, {write}}, {}, context.impl());
  std::string said;
  RecordBatch batch;
  for (int i = 0; i < 11; ++i) {
    batch.clear();
    ASSERT_TRUE(batch.append(as_bytes("x")));
    const auto sealed = ours.seal(batch, out_);
    ASSERT_TRUE(sealed);
    out_.append(*sealed);
    said += said.empty() ? "" : " ";
    said += peer.read(take(out_));
  }
  const std::string five = "data:x data:x data:x data:x data:x";
  EXPECT_EQ(said, five + " handshake:24 " + five + " handshake:24 data:x");
  // A batch is not cut: the limit has room for one.
  batch.clear();
  ASSERT_TRUE(batch.append(as_bytes(std::string(16 * 16384, 'y'))));
  auto sealed = ours.seal(batch, out_);
  ASSERT_TRUE(sealed);
  EXPECT_TRUE(out_.empty());
  EXPECT_EQ(peer.read({sealed->begin(), sealed->end()}).size(), 16 * (16384 + 6) - 1);
  batch.clear();
  ASSERT_TRUE(batch.append(as_bytes("z")));
  sealed = ours.seal(batch, out_);
  ASSERT_TRUE(sealed);
  EXPECT_EQ(peer.read(take(out_)), "handshake:24");
  EXPECT_EQ(peer.read({sealed->begin(), sealed->end()}), "data:z");
}

TEST_F(OwnRecordsTest, TheDefaultLimitIsFarBelowWhatRfc8446Allows) {
  // 2^24.5 records (section 5.5), and a batch may come on top.
  EXPECT_LT(Options().records_per_key + RecordBatch::kMaxRecords, uint64_t{1} << 24);
}

}  // namespace
}  // namespace culvert::tls
