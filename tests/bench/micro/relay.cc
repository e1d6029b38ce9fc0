#include "common/net/relay.h"

#include "common/base/check.h"
#include "common/net/scope.h"
#include "tests/support/socket_pair.h"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <vector>

// The TCP relay between two loopback connections, application and relay on one thread: the time is
// that of four system calls per chunk and of the relay between them.
namespace culvert::net {
namespace {

struct Uncounted final : Meter {
  void add(size_t) override {}
};

// client <-> [near | relay | far] <-> server
class Relayed {
 public:
  Relayed() {
    auto [client_end, near_end] = test::tcp_pair();
    auto [far_end, server_end] = test::tcp_pair();
    client = std::move(client_end);
    server = std::move(server_end);
    near_ = std::make_unique<Socket>(reactor_, std::move(near_end));
    far_ = std::make_unique<Socket>(reactor_, std::move(far_end));
    relay_ = std::make_unique<Relay>(*near_, *far_, scratch_, pipes_, memory_, up_, down_);
    scope_.spawn(copy(*relay_));
  }
  // Carries all of `bytes` from one application's socket to the other's.
  void carry(const Fd& from, const Fd& to, Bytes bytes) {
    size_t sent = 0, received = 0;
    while (received < bytes.size()) {
      if (sent < bytes.size())
        sent += done(::send(from.get(), &bytes[sent], bytes.size() - sent, 0));
      reactor_.turn(std::chrono::milliseconds(0));
      received += done(::recv(to.get(), input_.data(), input_.size(), 0));
    }
  }

  Fd client, server;

 private:
  static Task<> copy(Relay& relay) { (void)co_await relay.run(); }
  static size_t done(ssize_t result) {
    CULVERT_CHECK(result > 0 || errno == EAGAIN);
    return result > 0 ? static_cast<size_t>(result) : 0;
  }

  Reactor reactor_;
  std::vector<uint8_t> scratch_ = std::vector<uint8_t>(256 << 10);
  std::vector<uint8_t> input_ = std::vector<uint8_t>(256 << 10);
  PipePool pipes_;
  MemoryAccount memory_{"the process", uint64_t{1} << 30};
  Uncounted up_, down_;
  std::unique_ptr<Socket> near_, far_;
  std::unique_ptr<Relay> relay_;
  Scope scope_{reactor_};
};

void one_way(benchmark::State& run) {
  Relayed relayed;
  const std::vector<uint8_t> chunk(static_cast<size_t>(run.range(0)));
  for (auto unused : run) relayed.carry(relayed.client, relayed.server, chunk);
  run.SetBytesProcessed(run.iterations() * run.range(0));
}
BENCHMARK(one_way)->Arg(16 << 10)->Arg(256 << 10)->Arg(4 << 20);

void round_trip(benchmark::State& run) {
  Relayed relayed;
  const std::vector<uint8_t> message(static_cast<size_t>(run.range(0)));
  for (auto unused : run) {
    relayed.carry(relayed.client, relayed.server, message);
    relayed.carry(relayed.server, relayed.client, message);
  }
  run.SetItemsProcessed(run.iterations());
}
BENCHMARK(round_trip)->Arg(1)->Arg(1 << 10);

}  // namespace
}  // namespace culvert::net
