#include "common/h2/frame.h"

#include "common/base/check.h"
#include "common/h2/frame_reader.h"

#include <benchmark/benchmark.h>

#include <vector>

// What framing costs, without the records around it: cutting a read's plaintext into frames, and
// writing headers.
namespace {

using namespace culvert;
using namespace culvert::h2;

struct Nowhere final : FrameSink {
  Result<> on_frame_header(const FrameHeader& header) override {
    benchmark::DoNotOptimize(header.length);
    return {};
  }
  Result<> on_data_piece(MutableBytes piece) override {
    benchmark::DoNotOptimize(piece.data());
    return {};
  }
  Result<> on_data_end(const FrameHeader&, size_t) override { return {}; }
  Result<> on_frame(const FrameHeader&, Bytes payload) override {
    benchmark::DoNotOptimize(payload.data());
    return {};
  }
};

// DATA frames of so much payload, each the plaintext of one record.
void read_data(benchmark::State& state) {
  const auto size = static_cast<uint32_t>(state.range(0));
  ByteQueue one;
  append_frame(one, {.length = size, .type = FrameType::kData, .stream = 1},
               std::vector<uint8_t>(size));
  std::vector<uint8_t> record(one.readable().begin(), one.readable().end());
  FrameReader reader(kMaxFrameSizeLimit, false);
  Nowhere sink;
  for (auto _ : state) CULVERT_CHECK(reader.feed(record, sink));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(read_data)->Arg(64)->Arg(1024)->Arg(16384 - kFrameHeaderSize);

void read_window_updates(benchmark::State& state) {
  constexpr int kFrames = 16;
  ByteQueue all;
  for (int i = 0; i < kFrames; ++i) append_window_update(all, 1, 1 << 20);
  std::vector<uint8_t> bytes(all.readable().begin(), all.readable().end());
  FrameReader reader(kDefaultMaxFrameSize, false);
  Nowhere sink;
  for (auto _ : state) CULVERT_CHECK(reader.feed(bytes, sink));
  state.SetItemsProcessed(state.iterations() * kFrames);
}
BENCHMARK(read_window_updates);

// As a batch of bulk does: a header in front of each record's plaintext.
void write_data_headers(benchmark::State& state) {
  constexpr size_t kFrames = 16, kPlain = 16384;
  std::vector<uint8_t> memory(kFrames * kPlain);
  benchmark::DoNotOptimize(memory.data());
  for (auto _ : state) {
    for (size_t i = 0; i < kFrames; ++i) {
      const FrameHeader header{
          .length = kPlain - kFrameHeaderSize, .type = FrameType::kData, .stream = 1};
      header.write(&memory[i * kPlain]);
    }
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kFrames));
}
BENCHMARK(write_data_headers);

}  // namespace
