#include "common/tls/engine.h"
#include "common/tls/record_batch.h"
#include "tests/support/test_ca.h"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <memory>
#include <vector>

// What a record costs: bytes per second through seal() and open(), with either record layer.
namespace {

using namespace culvert;
using namespace culvert::tls;

struct Nowhere final : PlaintextSink {
  Result<> on_plaintext(MutableBytes plaintext) override {
    benchmark::DoNotOptimize(plaintext.data());
    return {};
  }
};

// Two engines after their handshake.
struct Pair {
  explicit Pair(RecordLayer layer) : context(Options{.record_layer = layer}) {
    const test::TestCa ca;
    client = Engine::client(context, ca.credential(test::spiffe("demo", "client")),
                            {test::identity("demo", "server")});
    server = Engine::server(context, ca.credential(test::spiffe("demo", "server")));
    ByteQueue up, down;
    static_cast<void>(client->handshake({}, up));
    static_cast<void>(server->handshake(up.readable(), down));
    up.clear();
    static_cast<void>(client->handshake(down.readable(), up));
    down.clear();
    static_cast<void>(server->handshake(up.readable(), down));
  }
  Context context;
  std::unique_ptr<Engine> client, server;
};

void fill(RecordBatch& batch, size_t size) {
  batch.clear();
  batch.append(Bytes(std::vector<uint8_t>(size, 'x')));
}

// There is no opening without sealing: less BM_Seal (and a copy) this is what opening costs.
void BM_SealAndOpen(benchmark::State& state, RecordLayer layer) {
  Pair pair(layer);
  Nowhere sink;
  RecordBatch batch;
  ByteQueue out;
  const auto size = static_cast<size_t>(state.range(0));
  std::vector<uint8_t> wire;
  for (auto _ : state) {
    fill(batch, size);
    const auto sealed = pair.client->seal(batch, out);
    wire.assign(sealed->begin(), sealed->end());
    if (!pair.server->open(wire, sink, out)) state.SkipWithError("open");
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * size));
}

void BM_Seal(benchmark::State& state, RecordLayer layer) {
  Pair pair(layer);
  RecordBatch batch;
  ByteQueue out;
  const auto size = static_cast<size_t>(state.range(0));
  for (auto _ : state) {
    fill(batch, size);
    if (!pair.client->seal(batch, out)) state.SkipWithError("seal");
    out.clear();
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * size));
}

#define CULVERT_SIZES ->Arg(64)->Arg(1024)->Arg(16384)->Arg(16 * 16384)
BENCHMARK_CAPTURE(BM_Seal, own, RecordLayer::kOwn) CULVERT_SIZES;
BENCHMARK_CAPTURE(BM_Seal, library, RecordLayer::kLibrary) CULVERT_SIZES;
BENCHMARK_CAPTURE(BM_SealAndOpen, own, RecordLayer::kOwn) CULVERT_SIZES;
BENCHMARK_CAPTURE(BM_SealAndOpen, library, RecordLayer::kLibrary) CULVERT_SIZES;

}  // namespace
