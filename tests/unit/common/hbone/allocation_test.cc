// What carrying a byte costs in memory that is asked for: nothing, once a connection has warmed up.
#include "tests/support/allocations.h"
#include "tests/unit/common/hbone/byte_path.h"

namespace culvert::hbone {
namespace {

constexpr size_t kRecord = 16 << 10;
constexpr size_t kBulk = 32 << 20;
constexpr size_t kSome = 64 << 10;  // much less than any socket on the way takes

class AllocationTest : public BytePathTest {
 protected:
  uint64_t allocations_of(const net::Fd& from, const net::Fd& to, size_t ahead) {
    carry(from, to, kBulk, ahead);  // windows grow, queues reach their size
    const uint64_t before = test::allocations();
    carry(from, to, kBulk, ahead);
    return test::allocations() - before;
  }
};

TEST_F(AllocationTest, CountingWorks) {
  const uint64_t before = test::allocations();
  std::make_unique<uint8_t[]>(kRecord).reset();
  EXPECT_EQ(test::allocations() - before, 1U);
}

TEST_F(AllocationTest, NoneForBulkThatTheSocketsTake) {
  EXPECT_EQ(allocations_of(client_app_, server_app_, kSome), 0U);
  EXPECT_EQ(allocations_of(server_app_, client_app_, kSome), 0U);
}

// A batch of records that the tunnel's socket takes in part is kept until it takes the rest, and
// its memory given back: at most one allocation for the sixteen records of a batch.
TEST_F(AllocationTest, FewForBulkThatFillsTheSockets) {
  constexpr uint64_t kBatches = kBulk / (tls::RecordBatch::kFullRecords * kRecord);
  EXPECT_LE(allocations_of(client_app_, server_app_, SIZE_MAX), kBatches);
  EXPECT_LE(allocations_of(server_app_, client_app_, SIZE_MAX), kBatches);
}

TEST_F(AllocationTest, NoneForRequestsAndAnswers) {
  const auto exchange = [&](int times) {
    for (int i = 0; i < times; ++i) {
      carry(client_app_, server_app_, 1 << 10, kSome);
      carry(server_app_, client_app_, 1 << 10, kSome);
    }
  };
  exchange(100);
  const uint64_t before = test::allocations();
  exchange(1000);
  EXPECT_EQ(test::allocations() - before, 0U);
}

}  // namespace
}  // namespace culvert::hbone
