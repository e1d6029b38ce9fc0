// What instructions.py counts: bulk and requests through the whole byte path, in functions of their
// own names that valgrind collects in.
#include "tests/unit/common/hbone/byte_path.h"

namespace culvert::hbone {
namespace {

constexpr size_t kSome = 64 << 10;
constexpr int kTimes = 100;

class ByteBudget : public BytePathTest {
 public:
  void bulk() {
    for (int i = 0; i < kTimes; ++i) {
      carry(client_app_, server_app_, kSome, kSome);
      carry(server_app_, client_app_, kSome, kSome);
    }
  }
  void requests() {
    for (int i = 0; i < kTimes; ++i) {
      carry(client_app_, server_app_, 1 << 10, kSome);
      carry(server_app_, client_app_, 1 << 10, kSome);
    }
  }
};

}  // namespace

extern "C" {
[[gnu::noinline]] void counted_bulk(ByteBudget& of) { of.bulk(); }
[[gnu::noinline]] void counted_requests(ByteBudget& of) { of.requests(); }
}

namespace {

TEST_F(ByteBudget, Bulk) {
  bulk();  // windows grow, queues reach their size
  counted_bulk(*this);
}

TEST_F(ByteBudget, Requests) {
  requests();
  counted_requests(*this);
}

}  // namespace
}  // namespace culvert::hbone
