#include "common/base/bytes.h"

#include <gtest/gtest.h>

#include <string>

namespace culvert {
namespace {

std::string queued(const ByteQueue& queue) { return std::string(as_text(queue.readable())); }

TEST(ByteQueue, HoldsNoMemoryUntilUsed) {
  ByteQueue queue;
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.capacity(), 0U);
  queue.append({});
  EXPECT_EQ(queue.capacity(), 0U);
}

TEST(ByteQueue, KeepsOrderOverAppendAndConsume) {
  ByteQueue queue;
  queue.append(as_bytes("hello "));
  queue.append(as_bytes("world"));
  EXPECT_EQ(queued(queue), "hello world");
  queue.consume(6);
  EXPECT_EQ(queued(queue), "world");
  EXPECT_EQ(queue.size(), 5U);
}

TEST(ByteQueue, PrepareMovesQueuedBytesToTheFrontInsteadOfGrowing) {
  ByteQueue queue;
  queue.prepare(16);
  queue.append(as_bytes("0123456789abcdef"));
  const size_t capacity = queue.capacity();
  queue.consume(12);
  EXPECT_GE(queue.prepare(capacity - 4).size(), capacity - 4);
  EXPECT_EQ(queue.capacity(), capacity);
  EXPECT_EQ(queued(queue), "cdef");
}

TEST(ByteQueue, GrowsAndKeepsTheBytes) {
  ByteQueue queue;
  std::string expected;
  for (int i = 0; i < 1000; ++i) {
    queue.append(as_bytes(std::to_string(i)));
    expected += std::to_string(i);
  }
  EXPECT_EQ(queued(queue), expected);
}

TEST(ByteQueue, ConsumingAllStartsOverAtTheFront) {
  ByteQueue queue;
  queue.append(as_bytes("abc"));
  const size_t capacity = queue.capacity();
  queue.consume(3);
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.prepare(0).size(), capacity);
}

TEST(ByteQueue, ShrinkGivesMemoryBackOnlyWhenEmpty) {
  ByteQueue queue;
  queue.append(as_bytes("abc"));
  queue.shrink();
  EXPECT_EQ(queued(queue), "abc");
  queue.clear();
  queue.shrink();
  EXPECT_EQ(queue.capacity(), 0U);
  queue.append(as_bytes("again"));
  EXPECT_EQ(queued(queue), "again");
}

TEST(ByteQueueDeathTest, MoreThanPreparedOrQueuedIsABug) {
  ByteQueue queue;
  queue.append(as_bytes("abc"));
  EXPECT_DEATH(queue.consume(4), "invariant broken");
  EXPECT_DEATH(queue.commit(queue.capacity() + 1), "invariant broken");
}

}  // namespace
}  // namespace culvert
