#include "tests/unit/common/h2/tunnel_fixture.h"

// What goes out, in which order, and how it lies in records.
namespace culvert::h2 {
namespace {

using tls::RecordBatch;
constexpr size_t kBatch = RecordBatch::kFullRecords * RecordBatch::kPlain;

std::string counted(size_t size) {
  std::string out(size, '\0');
  for (size_t i = 0; i < size; ++i) out[i] = static_cast<char>(i * 7 + i / 251);
  return out;
}

struct TunnelOutput : TunnelRawClient {
  TunnelOutput() { open_windows(); }
  // Has more than is ever asked for.
  TestTunnel& bulk(TestTunnel& stream) {
    const StreamId id = stream.id;
    stream.output = std::string(32 << 20, static_cast<char>('A' + id));
    server.session.resume(stream);
    return stream;
  }
  void say(TestTunnel& stream, std::string_view text, bool finish = false) {
    stream.output += text;
    stream.finish = finish;
    server.session.resume(stream);
  }
};

TEST_F(TunnelOutput, EndStreamIsOnTheLastBytes) {
  TestTunnel& stream = tunnel(1);
  say(stream, "bye", true);
  const auto frames = drain();
  ASSERT_EQ(frames.size(), 1U);
  EXPECT_EQ(frames[0].payload, "bye");
  EXPECT_EQ(frames[0].flags, flags::kEndStream);
  EXPECT_FALSE(stream.closed);  // the peer has not ended
}

TEST_F(TunnelOutput, AnEndWithoutBytesIsAnEmptyFrame) {
  say(tunnel(1), "", true);
  const auto frames = drain();
  ASSERT_EQ(frames.size(), 1U);
  EXPECT_EQ(frames[0].type, kData);
  EXPECT_EQ(frames[0].payload, "");
  EXPECT_EQ(frames[0].flags, flags::kEndStream);
}

TEST_F(TunnelOutput, AStreamResumedWhileItEndsEndsOnce) {
  TestTunnel& stream = tunnel(1);
  stream.hook = [&](std::string_view where) {
    if (where == "produce") server.session.resume(stream);
  };
  say(stream, "bye", true);
  EXPECT_EQ(drain().size(), 1U);
  EXPECT_EQ(stream.asked, 1);
}

TEST_F(TunnelOutput, AStreamResumedWhileItProducesIsAskedAgain) {
  TestTunnel& stream = tunnel(1);
  stream.hook = [&](std::string_view where) {
    if (where != "produce" || stream.asked > 1) return;
    server.session.resume(stream);
  };
  say(stream, "one");
  drain();
  EXPECT_EQ(stream.asked, 2);
}

TEST_F(TunnelOutput, NothingToSayMakesNoFrame) {
  say(tunnel(1), "");
  EXPECT_EQ(drain().size(), 0U);
  EXPECT_FALSE(server.session.wants_write());
}

TEST_F(TunnelOutput, OnlyTheLastFrameOfALongOutputHasTheEnd) {
  TestTunnel& stream = tunnel(1);
  const std::string all = counted(1'000'001);
  say(stream, all, true);
  const auto frames = drain();
  EXPECT_TRUE(data_in(frames, 1) == all);
  for (size_t i = 0; i < frames.size(); ++i) {
    EXPECT_EQ(frames[i].flags, i + 1 == frames.size() ? flags::kEndStream : 0);
    EXPECT_LE(frames[i].payload.size(), kDefaultMaxFrameSize);
  }
}

TEST_F(TunnelOutput, ABatchOfBulkIsFullRecordsOfWholeFrames) {
  TestTunnel& stream = bulk(tunnel(1));
  EXPECT_EQ(server.fill_once().size(), kBatch);
  EXPECT_EQ(stream.asked, 2) << "for a record, then for all there is room for";
  const std::string text = server.fill_once();
  EXPECT_EQ(text.size(), kBatch);
  EXPECT_EQ(stream.asked, 3);
  const auto records = server.batch.records();
  ASSERT_EQ(records.size(), RecordBatch::kFullRecords);
  for (const auto& record : records) EXPECT_EQ(record.plain, RecordBatch::kPlain);
  const auto frames = parse(text);
  ASSERT_EQ(frames.size(), RecordBatch::kFullRecords);
  for (const Frame& f : frames) EXPECT_EQ(f.payload.size(), RecordBatch::kPlain - kFrameHeaderSize);
}

TEST_F(TunnelOutput, FramesAreNoLongerThanThePeerTakes) {
  for (const uint32_t limit : {16384U, 16385U, 100'000U, (1U << 24) - 1}) {
    ASSERT_TRUE(feed(frame(kSettings, 0, 0, setting(5, limit))));
    drain();
    TestTunnel& stream = tunnel(static_cast<StreamId>(server.streams.size() * 2 + 1));
    const std::string all = counted(1'500'000);
    say(stream, all);
    const auto frames = drain();
    EXPECT_TRUE(data_in(frames) == all);
    for (const Frame& f : frames) EXPECT_LE(f.payload.size(), limit);
  }
}

// Whatever room batches have, what they carry is one stream of frames.
TEST_F(TunnelOutput, BatchesWithLittleRoom) {
  TestTunnel& a = tunnel(1);
  TestTunnel& b = tunnel(3);
  const std::string all = counted(1'000'000), other = counted(3000);
  say(a, all);
  say(b, other);
  std::string text;
  for (size_t room = 0; room < 4000; ++room) {
    if (room % 16 == 0) server.session.ping();
    const std::string part = server.fill_once(kBatch - room);
    EXPECT_LE(part.size(), room);
    text += part;
  }
  EXPECT_GT(text.size(), 0U);
  text += server.drain();
  const auto frames = parse(text);
  for (const Frame& f : frames)
    if (f.type == kData) EXPECT_GT(f.payload.size(), 0U);
  EXPECT_EQ(count_of(frames, kPing), 250U);
  EXPECT_TRUE(data_in(frames, 1) == all);
  EXPECT_TRUE(data_in(frames, 3) == other);
}

TEST_F(TunnelOutput, AFullBatchTakesNothingAndLosesNothing) {
  TestTunnel& stream = tunnel(1);
  say(stream, "hello", true);
  server.session.ping();
  EXPECT_EQ(server.fill_once(kBatch), "");
  EXPECT_TRUE(server.session.wants_write());
  const auto frames = drain();
  EXPECT_EQ(count_of(frames, kPing), 1U);
  EXPECT_EQ(data_in(frames, 1), "hello");
}

// 64 records are the other limit of a batch.
TEST_F(TunnelOutput, ABatchOfManySmallRecords) {
  server.batch.clear();
  say(tunnel(1), std::string(5000, 'x'), true);
  server.session.fill(server.batch);
  EXPECT_LE(server.batch.records().size(), RecordBatch::kMaxRecords);
  EXPECT_EQ(server.batch.records().size(), 1U);
}

TEST_F(TunnelOutput, ControlFramesGoFirst) {
  TestTunnel& stream = tunnel(1);
  say(stream, "data");
  server.session.ping();
  EXPECT_TRUE(feed(frame(kPing, 0, 0, "12345678")));
  const auto frames = parse(server.fill_once());
  ASSERT_EQ(frames.size(), 3U);
  EXPECT_EQ(frames[0].type, kPing);
  EXPECT_EQ(frames[1].type, kPing);
  EXPECT_EQ(frames[2].type, kData);
}

TEST_F(TunnelOutput, StreamsThatSayLittleDoNotWaitForBulk) {
  TestTunnel& a = tunnel(1);
  TestTunnel& b = tunnel(3);
  TestTunnel& small = tunnel(5);
  bulk(a);
  bulk(b);
  for (int i = 0; i < 10; ++i) server.fill_once();
  ASSERT_GT(a.left() + b.left(), 0U);
  for (int round = 0; round < 10; ++round) {
    say(small, "tick");
    const auto frames = parse(server.fill_once());
    ASSERT_FALSE(frames.empty());
    EXPECT_EQ(frames[0].id, 5);
    EXPECT_EQ(frames[0].payload, "tick");
    EXPECT_GT(data_in(frames).size(), 4U);  // and the bulk goes on
  }
}

TEST_F(TunnelOutput, BulkTakesTurns) {
  constexpr int kStreams = 5;
  for (int i = 0; i < kStreams; ++i) tunnel(2 * i + 1);
  for (int i = 0; i < kStreams; ++i) bulk(server.at(2 * i + 1));
  std::map<StreamId, size_t> sent;
  for (int i = 0; i < 100; ++i)
    for (const Frame& f : parse(server.fill_once())) sent[f.id] += f.payload.size();
  ASSERT_EQ(sent.size(), size_t{kStreams});
  const auto [least, most] = std::ranges::minmax_element(
      sent, [](const auto& a, const auto& b) { return a.second < b.second; });
  EXPECT_LE(most->second - least->second, 2 * kBatch);
  EXPECT_GT(least->second, 0U);
}

TEST_F(TunnelOutput, ABatchCarriesLittleBulkWhileOtherStreamsSpeak) {
  tunnel(1);
  tunnel(3);
  bulk(server.at(1));
  for (int i = 0; i < 200; ++i) {  // of 64 KiB each: far more than they are remembered for
    if (i % 50 == 0) say(server.at(3), "tick");
    const auto frames = parse(server.fill_once());
    EXPECT_LE(data_in(frames, 1).size(), 64U << 10) << i;
    EXPECT_GT(data_in(frames, 1).size(), 0U) << i;
    EXPECT_TRUE(server.session.wants_write());
  }
}

TEST_F(TunnelOutput, WhereNobodyElseSpeaksBatchesAreWhole) {
  tunnel(1);
  tunnel(3);
  bulk(server.at(1));
  for (int i = 0; i < 80; ++i) server.fill_once();
  EXPECT_EQ(server.fill_once().size(), kBatch);
  // The first word counts again.
  say(server.at(3), "tick");
  EXPECT_EQ(data_in(parse(server.fill_once()), 3), "tick");
  EXPECT_LE(data_in(parse(server.fill_once())).size(), 64U << 10);
  // Alone it may have all of it at once.
  server.session.reset(server.at(3), ErrorCode::kCancel);
  for (int i = 0; i < 4; ++i) server.fill_once();
  EXPECT_EQ(server.fill_once().size(), kBatch);
}

TEST_F(TunnelOutput, ManyStreamsOfBulkDoNotMakeEachOthersBatchesSmall) {
  for (const StreamId id : {1, 3, 5}) tunnel(id);
  for (const StreamId id : {1, 3, 5}) bulk(server.at(id));
  for (int i = 0; i < 120; ++i) server.fill_once();
  for (int i = 0; i < 6; ++i) EXPECT_EQ(server.fill_once().size(), kBatch);
}

TEST_F(TunnelOutput, WhatWasBulkSpeaksAgainAfterSomeSmallThings) {
  tunnel(1);
  TestTunnel& other = tunnel(3);
  bulk(server.at(1));
  say(other, std::string(1 << 20, 'x'));  // bulk for once
  for (int i = 0; i < 90; ++i) server.fill_once();
  ASSERT_EQ(server.fill_once().size(), kBatch);
  int ticks = 0;
  for (bool noticed = false; !noticed && ticks < 40; ++ticks) {
    say(other, "tick");
    server.fill_once();
    server.fill_once();  // it may have to stand in the line of bulk once
    noticed = data_in(parse(server.fill_once())).size() <= 64U << 10;
  }
  EXPECT_LE(ticks, 20);
}

TEST_F(TunnelOutput, AStreamThatWasQuietIsLightAgain) {
  TestTunnel& was_bulk = tunnel(1);
  say(was_bulk, std::string(1 << 20, 'x'));
  drain();
  tunnel(3);
  tunnel(5);
  bulk(server.at(3));
  bulk(server.at(5));
  for (int i = 0; i < 5; ++i) server.fill_once();
  say(was_bulk, "tick");
  // At most once it stands in the line of bulk.
  bool first = false;
  for (int round = 0; round < 3 && !first; ++round) {
    const auto frames = parse(server.fill_once());
    first = !frames.empty() && frames[0].id == 1;
    if (!first) say(was_bulk, "tick");
  }
  EXPECT_TRUE(first);
}

// Space is filled in order, and the peer never sees what is not of a frame.
TEST_F(TunnelOutput, ShortProduceAfterLongOnes) {
  TestTunnel& stream = tunnel(1);
  std::string all;
  std::string text;
  for (const size_t size : {200'000U, 1U, 16'375U, 16'376U, 32'750U, 5U, 400'000U, 16'374U}) {
    const std::string more = counted(size);
    all += more;
    say(stream, more);
    text += server.fill_once();
    text += server.fill_once();
  }
  text += server.drain();
  EXPECT_TRUE(data_in(parse(text), 1) == all);
}

TEST_F(TunnelOutput, ProduceIsNeverAskedForMoreThanTheWindow) {
  ASSERT_TRUE(feed(frame(kSettings, 0, 0, setting(4, 100))));
  drain();
  TestTunnel& stream = tunnel(1);
  say(stream, std::string(1000, 'x'));
  EXPECT_EQ(data_in(drain(), 1).size(), 100U);
  EXPECT_EQ(stream.most_room, 100U);
}

TEST_F(TunnelOutput, AResetOvertakesBulkAndStopsIt) {
  TestTunnel& stream = bulk(tunnel(1));
  server.fill_once();
  server.session.reset(stream, ErrorCode::kCancel);
  const auto frames = drain();
  ASSERT_EQ(frames.size(), 1U);
  EXPECT_EQ(code_of(frames, kRst, 1), ErrorCode::kCancel);
  EXPECT_EQ(stream.closed, ErrorCode::kCancel);
}

TEST_F(TunnelOutput, AResetByThePeerStopsBulk) {
  TestTunnel& stream = bulk(tunnel(1));
  server.fill_once();
  ASSERT_TRUE(feed(frame(kRst, 0, 1, be(8, 4))));
  EXPECT_EQ(stream.closed, ErrorCode::kCancel);
  EXPECT_FALSE(server.session.wants_write());
}

TEST_F(TunnelRawServer, AHeadLongerThanAFrameIsContinued) {
  greet(setting(6, 1 << 20));
  const std::string value(50'000, '\xff');  // Huffman coding makes it no shorter
  const std::vector<Field> fields{
      {":method", "CONNECT"}, {":authority", "a:1"}, {"baggage", value, true}};
  client.open(fields);
  client.session.ping();
  const auto frames = drain();
  ASSERT_EQ(frames.size(), 5U);
  EXPECT_EQ(frames[0].type, kHeaders);
  EXPECT_EQ(frames[0].flags, 0);
  std::string whole = frames[0].payload;
  for (size_t i = 1; i < 4; ++i) {
    EXPECT_EQ(frames[i].type, kContinuation);
    EXPECT_EQ(frames[i].flags, i == 3 ? flags::kEndHeaders : 0);
    whole += frames[i].payload;
  }
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(frames[i].id, 1);
    EXPECT_LE(frames[i].payload.size(), kDefaultMaxFrameSize);
  }
  EXPECT_EQ(frames[4].type, kPing);
  HeadDecoder decoder(1 << 20);
  const auto decoded = decoder.decode(as_bytes(whole), HeadKind::kRequest);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded.value().head.get("baggage"), value);
}

TEST_F(TunnelRawServer, AHeadThatFitsALargerFrameIsOneFrame) {
  greet(setting(6, 1 << 20) + setting(5, 100'000));
  const std::string value(50'000, '\xff');
  const std::vector<Field> fields{
      {":method", "CONNECT"}, {":authority", "a:1"}, {"baggage", value, true}};
  client.open(fields);
  const auto frames = drain();
  ASSERT_EQ(frames.size(), 1U);
  EXPECT_EQ(frames[0].flags, flags::kEndHeaders);
}

TEST_F(TunnelRawServer, RequestsBeyondThePeersLimitAreHeldBack) {
  greet(setting(3, 2));
  EXPECT_EQ(client.session.peer_max_streams(), 2U);
  TestTunnel& first = client.open();
  client.open();
  TestTunnel& third = client.open();
  TestTunnel& fourth = client.open();
  third.output = "waits";
  client.session.resume(third);
  auto frames = drain();
  EXPECT_EQ(count_of(frames, kHeaders), 2U);
  EXPECT_EQ(client.session.streams(), 4U);
  EXPECT_TRUE(client.session.accepts_requests());
  ASSERT_TRUE(feed(frame(kRst, 0, 1, be(8, 4))));
  EXPECT_TRUE(first.closed);
  frames = drain();
  ASSERT_EQ(frames.size(), 2U);
  EXPECT_EQ(count_of(frames, kHeaders, 5), 1U);
  EXPECT_EQ(data_in(frames, 5), "waits");
  // A higher limit releases more.
  ASSERT_TRUE(feed(frame(kSettings, 0, 0, setting(3, 3))));
  EXPECT_EQ(count_of(drain(), kHeaders, 7), 1U);
  EXPECT_FALSE(fourth.closed);
}

TEST_F(TunnelRawServer, UntilThePeersSettingsAHundredAreAssumed) {
  for (int i = 0; i < 101; ++i) client.open();
  EXPECT_EQ(client.session.peer_max_streams(), 100U);
  EXPECT_EQ(count_of(drain(), kHeaders), 100U);
  // Settings without the limit set none (RFC 9113 section 6.5.2: initially there is none).
  ASSERT_TRUE(feed(frame(kSettings, 0, 0, "")));
  EXPECT_EQ(client.session.peer_max_streams(), UINT32_MAX);
  EXPECT_EQ(count_of(drain(), kHeaders), 1U);
  // And later ones change it no more than they say.
  ASSERT_TRUE(feed(frame(kSettings, 0, 0, setting(3, 7)) + frame(kSettings, 0, 0, "")));
  EXPECT_EQ(client.session.peer_max_streams(), 7U);
}

TEST_F(TunnelRawServer, ALimitOfZeroHoldsBackEverything) {
  greet(setting(3, 0));
  TestTunnel& held = client.open();
  EXPECT_EQ(count_of(drain(), kHeaders), 0U);
  ASSERT_TRUE(feed(frame(kSettings, 0, 0, setting(3, 1))));
  EXPECT_EQ(count_of(drain(), kHeaders, 1), 1U);
  EXPECT_FALSE(held.closed);
}

TEST_F(TunnelRawServer, AResetEndsARequestThatIsHeldBack) {
  greet(setting(3, 1));
  client.open();
  TestTunnel& held = client.open();
  TestTunnel& after = client.open();
  drain();
  client.session.reset(held, ErrorCode::kCancel);
  auto frames = drain();
  EXPECT_EQ(count_of(frames, kRst), 0U);  // the peer never heard of it
  EXPECT_EQ(held.closed, ErrorCode::kCancel);
  client.session.detach(after);
  EXPECT_EQ(client.session.streams(), 1U);
  ASSERT_TRUE(feed(frame(kRst, 0, 1, be(8, 4))));
  EXPECT_EQ(drain().size(), 0U);
  EXPECT_FALSE(after.closed);
}

TEST_F(TunnelRawServer, ARequestHeldBackIsRefusedAtGoaway) {
  greet(setting(3, 1));
  TestTunnel& first = client.open();
  TestTunnel& held = client.open();
  drain();
  ASSERT_TRUE(feed(frame(kGoaway, 0, 0, be(1, 4) + be(0, 4))));
  EXPECT_EQ(held.closed, ErrorCode::kRefusedStream);  // at once: it may go to another connection
  ASSERT_TRUE(feed(frame(kHeaders, 5, 1, block({{":status", "200"}}))));
  client.session.reset(first, ErrorCode::kCancel);
  EXPECT_EQ(count_of(drain(), kHeaders), 0U);
  EXPECT_TRUE(first.closed);
  EXPECT_EQ(client.session.streams(), 0U);
}

// The notice of a graceful shutdown names no last stream (RFC 9113 section 6.8), but forbids new
// ones.
TEST_F(TunnelRawServer, ARequestHeldBackIsRefusedAfterTheNoticeOfAShutdown) {
  greet(setting(3, 1));
  TestTunnel& first = client.open();
  TestTunnel& held = client.open();
  drain();
  ASSERT_TRUE(feed(frame(kGoaway, 0, 0, be(0x7fffffff, 4) + be(0, 4))));
  EXPECT_FALSE(client.session.accepts_requests());
  EXPECT_FALSE(first.closed);
  ASSERT_TRUE(feed(frame(kHeaders, 5, 1, block({{":status", "200"}}))));
  client.session.reset(first, ErrorCode::kCancel);
  EXPECT_EQ(count_of(drain(), kHeaders), 0U);
  EXPECT_EQ(held.closed, ErrorCode::kRefusedStream);
}

}  // namespace
}  // namespace culvert::h2
