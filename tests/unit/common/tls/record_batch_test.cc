#include "common/tls/record_batch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <string>
#include <vector>

namespace culvert::tls {
namespace {

constexpr size_t kWhole = RecordBatch::kHeader + RecordBatch::kPlain + RecordBatch::kTrailer;
constexpr size_t kOverhead = RecordBatch::kHeader + RecordBatch::kTrailer;

// All plaintext in order. Also what must hold for every batch.
std::string text(RecordBatch& batch) {
  std::string all;
  size_t end = 0;
  for (const auto& record : batch.records()) {
    EXPECT_EQ(record.begin, end);
    EXPECT_GT(record.plain, 0U);
    EXPECT_LE(record.plain, RecordBatch::kPlain);
    end = record.begin + record.plain + kOverhead;
    EXPECT_LE(end, RecordBatch::kSize);
    all.append(as_text({batch.memory() + record.begin + RecordBatch::kHeader, record.plain}));
  }
  EXPECT_EQ(all.size(), batch.plain_bytes());
  EXPECT_EQ(batch.empty(), all.empty());
  EXPECT_LE(batch.records().size(), RecordBatch::kMaxRecords);
  return all;
}

std::string pattern(size_t size, size_t start = 0) {
  std::string made(size, '\0');
  for (size_t i = 0; i < size; ++i) made[i] = static_cast<char>((start + i) * 131 >> 3);
  return made;
}

void write(MutableBytes space, std::string_view what) {
  std::copy(what.begin(), what.end(), space.begin());
}

TEST(RecordBatchTest, StartsEmpty) {
  RecordBatch batch;
  EXPECT_TRUE(batch.empty());
  EXPECT_TRUE(batch.records().empty());
  EXPECT_EQ(text(batch), "");
}

TEST(RecordBatchTest, TheFirstSpaceIsAWholeRecordBehindAHeader) {
  RecordBatch batch;
  const MutableBytes space = batch.prepare(1);
  EXPECT_EQ(space.data(), batch.memory() + RecordBatch::kHeader);
  EXPECT_EQ(space.size(), RecordBatch::kPlain);
  EXPECT_TRUE(batch.records().empty());  // nothing is in it
}

TEST(RecordBatchTest, SmallPiecesShareARecord) {
  RecordBatch batch;
  for (const std::string_view piece : {"one", "two", "three"}) {
    write(batch.prepare(piece.size()), piece);
    batch.commit(piece.size());
  }
  EXPECT_EQ(text(batch), "onetwothree");
  EXPECT_EQ(batch.records().size(), 1U);
}

TEST(RecordBatchTest, APieceThatMustBeWholeStartsANewRecord) {
  RecordBatch batch;
  ASSERT_TRUE(batch.append(as_bytes(pattern(10000))));
  const MutableBytes space = batch.prepare(6385);  // one more than is left
  EXPECT_EQ(space.data(), batch.memory() + 10000 + kOverhead + RecordBatch::kHeader);
  EXPECT_EQ(space.size(), RecordBatch::kPlain);
  write(space, pattern(6385, 10000));
  batch.commit(6385);
  EXPECT_EQ(text(batch), pattern(16385));
  EXPECT_EQ(batch.records().size(), 2U);
}

TEST(RecordBatchTest, APieceThatJustFitsDoesNot) {
  RecordBatch batch;
  ASSERT_TRUE(batch.append(as_bytes(pattern(10000))));
  EXPECT_EQ(batch.prepare(6384).size(), 6384U);
  write(batch.prepare(6384), pattern(6384, 10000));
  batch.commit(6384);
  EXPECT_EQ(batch.records().size(), 1U);
  EXPECT_EQ(batch.prepare(1).size(), RecordBatch::kPlain);  // of the next
  EXPECT_EQ(text(batch), pattern(16384));
}

TEST(RecordBatchTest, AskingAgainWithoutCommittingChangesNothing) {
  RecordBatch batch;
  const MutableBytes first = batch.prepare(100);
  EXPECT_EQ(batch.prepare(RecordBatch::kPlain).data(), first.data());
  batch.commit(0);
  EXPECT_EQ(batch.prepare(1).data(), first.data());
  EXPECT_TRUE(batch.empty());
}

TEST(RecordBatchTest, SeveralSpacesAreFilledByOneRead) {
  RecordBatch batch;
  ASSERT_TRUE(batch.append(as_bytes(pattern(100))));
  std::array<MutableBytes, 32> spaces;
  const size_t given = batch.prepare(1, spaces);
  ASSERT_EQ(given, RecordBatch::kFullRecords);
  EXPECT_EQ(spaces[0].size(), RecordBatch::kPlain - 100);
  size_t at = 100;
  for (size_t i = 0; i < given; ++i) {
    write(spaces[i], pattern(spaces[i].size(), at));
    at += spaces[i].size();
  }
  EXPECT_EQ(at, RecordBatch::kFullRecords * RecordBatch::kPlain);
  batch.commit(20000);  // a short read: the rest is not there
  EXPECT_EQ(text(batch), pattern(20100));
  EXPECT_EQ(batch.records().size(), 2U);
}

TEST(RecordBatchTest, AllOfItAtOnce) {
  RecordBatch batch;
  std::array<MutableBytes, RecordBatch::kFullRecords> spaces;
  ASSERT_EQ(batch.prepare(1, spaces), spaces.size());
  size_t at = 0;
  for (const MutableBytes space : spaces) {
    write(space, pattern(space.size(), at));
    at += space.size();
  }
  batch.commit(at);
  EXPECT_EQ(text(batch), pattern(RecordBatch::kFullRecords * RecordBatch::kPlain));
  EXPECT_EQ(batch.records().size(), RecordBatch::kFullRecords);
  EXPECT_EQ(batch.records().back().begin, (RecordBatch::kFullRecords - 1) * kWhole);
  EXPECT_TRUE(batch.prepare(1).empty());
  EXPECT_EQ(batch.prepare(1, spaces), 0U);
  EXPECT_FALSE(batch.append(as_bytes("x")));
  EXPECT_TRUE(batch.append({}));
  batch.clear();
  EXPECT_TRUE(batch.empty());
  EXPECT_EQ(batch.prepare(1).size(), RecordBatch::kPlain);
}

TEST(RecordBatchTest, TheLastRecordIsShorterWhenShortOnesWentBefore) {
  RecordBatch batch;
  write(batch.prepare(1), "a");
  batch.commit(1);
  std::array<MutableBytes, RecordBatch::kFullRecords> spaces;
  // Whole records only: the first has no room for one.
  ASSERT_EQ(batch.prepare(RecordBatch::kPlain, spaces), RecordBatch::kFullRecords - 1);
  batch.commit((RecordBatch::kFullRecords - 1) * RecordBatch::kPlain);
  const size_t left = kWhole - (1 + kOverhead) - kOverhead;
  EXPECT_TRUE(batch.prepare(left + 1).empty());
  EXPECT_EQ(batch.prepare(left).size(), left);
  batch.commit(left);
  EXPECT_TRUE(batch.prepare(1).empty());
  EXPECT_EQ(batch.records().size(), RecordBatch::kFullRecords + 1);
  EXPECT_EQ(batch.records().back().begin + batch.records().back().plain + kOverhead,
            RecordBatch::kSize);
}

TEST(RecordBatchTest, NoMoreThanSomeRecords) {
  RecordBatch batch;
  // Each leaves too little room for the next.
  const size_t piece = RecordBatch::kSize / RecordBatch::kMaxRecords - kOverhead;
  size_t made = 0;
  for (; made < 1000; ++made) {
    if (batch.prepare(RecordBatch::kPlain).empty()) break;
    batch.commit(piece);
  }
  // Near the end there is no room for a whole record.
  EXPECT_GT(made, 50U);
  EXPECT_EQ(batch.records().size(), made);
  batch.clear();
  for (made = 0; made < 1000 && batch.prepare(RecordBatch::kPlain).data() != nullptr; ++made) {
    batch.commit(1);
  }
  EXPECT_EQ(made, RecordBatch::kMaxRecords);
  EXPECT_EQ(batch.plain_bytes(), RecordBatch::kMaxRecords);
  // The last one still takes what fits.
  EXPECT_EQ(batch.prepare(1).size(), RecordBatch::kPlain - 1);
  std::array<MutableBytes, 4> spaces;
  EXPECT_EQ(batch.prepare(1, spaces), 1U);
}

TEST(RecordBatchTest, AppendIsAllOrNothing) {
  RecordBatch batch;
  const std::string most = pattern(RecordBatch::kFullRecords * RecordBatch::kPlain);
  EXPECT_FALSE(batch.append(as_bytes(most + "x")));
  EXPECT_TRUE(batch.empty());
  EXPECT_TRUE(batch.append(as_bytes(std::string_view(most).substr(0, 20000))));
  EXPECT_FALSE(batch.append(as_bytes(most)));
  EXPECT_EQ(text(batch), most.substr(0, 20000));
  EXPECT_TRUE(batch.append(as_bytes(std::string_view(most).substr(20000))));
  EXPECT_TRUE(text(batch) == most);
}

TEST(RecordBatchTest, AnyMixOfCalls) {
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    RecordBatch batch;
    std::string expected;
    for (int step = 0; step < 100; ++step) {
      const size_t least = 1 + random() % (random() % 2 == 0 ? 100 : RecordBatch::kPlain);
      if (random() % 2 == 0) {
        const std::string piece = pattern(least, expected.size());
        if (batch.append(as_bytes(piece))) expected += piece;
        continue;
      }
      std::array<MutableBytes, 20> spaces;
      const size_t given = batch.prepare(least, std::span(spaces).first(1 + random() % 20));
      size_t room = 0;
      for (size_t i = 0; i < given; ++i) {
        EXPECT_GE(spaces[i].size(), least);
        write(spaces[i], pattern(spaces[i].size(), expected.size() + room));
        room += spaces[i].size();
      }
      if (given == 0) continue;
      const size_t n = random() % 3 == 0 ? random() % (room + 1) : std::min(room, least);
      batch.commit(n);
      expected += pattern(n, expected.size());
    }
    ASSERT_TRUE(text(batch) == expected) << round;
  }
}

TEST(RecordBatch, WholePacketsAreOfWholeSegmentsAndNearlyABatch) {
  // Ethernet, jumbo frames, a datacentre's, loopback's, none known.
  for (const size_t segment : {536U, 1448U, 8948U, 65160U, 65483U, 0U}) {
    const size_t size = RecordBatch::whole_packets(segment);
    const size_t packet = segment == 0 ? 65200 : std::max<size_t>(65200 / segment, 1) * segment;
    EXPECT_EQ(size % packet, 0U) << segment;
    if (segment > 0) EXPECT_EQ(size % segment, 0U) << segment;
    EXPECT_LE(size, RecordBatch::kSize) << segment;
    EXPECT_GE(size, RecordBatch::kSize / 8 * 7) << segment;
  }
  EXPECT_EQ(RecordBatch::whole_packets(1448), 4U * 45 * 1448);
  EXPECT_GT(RecordBatch::whole_packets(1), RecordBatch::kSize / 2);
}

TEST(RecordBatch, TakesNoMoreThanItIsTold) {
  RecordBatch batch;
  constexpr size_t kOverheadOfOne = RecordBatch::kHeader + RecordBatch::kTrailer;
  constexpr size_t kWholeRecord = RecordBatch::kPlain + kOverheadOfOne;
  for (const size_t most : {size_t{100}, kWholeRecord, 3 * kWholeRecord + 1000, RecordBatch::kSize,
                            2 * RecordBatch::kSize}) {
    batch.clear(most);
    std::array<MutableBytes, RecordBatch::kFullRecords> spaces;
    const size_t given = batch.prepare(1, spaces);
    size_t sealed = 0;
    for (size_t i = 0; i < given; ++i) {
      sealed += spaces[i].size() + kOverheadOfOne;
      batch.commit(spaces[i].size());
    }
    EXPECT_EQ(sealed, std::min(most, RecordBatch::kSize));
    EXPECT_TRUE(batch.prepare(1).empty());
    EXPECT_FALSE(batch.append(as_bytes("x")));
  }
  batch.clear();
  EXPECT_EQ(batch.prepare(1).size(), RecordBatch::kPlain);
}

}  // namespace
}  // namespace culvert::tls
