#pragma once

#include "common/metrics/shard.h"
#include "common/net/byte_stream.h"
#include "common/net/event.h"
#include "common/net/scope.h"

#include <chrono>
#include <cstdint>

namespace culvert::waypoint {

// Copies bytes between two streams, both directions at once, each as fast as its receiver takes
// them. An end of input becomes an end of output, and the other direction goes on; an error ends
// both, as a reset of both sides. A side that takes nothing any more may have answered and closed:
// what it said is carried to its end first. References outlive it. Worker thread.
class TcpRelay {
 public:
  struct Side {
    net::ByteStream& stream;
    metrics::Counter* counter = nullptr;  // of bytes read from it; may be null
    uint64_t bytes = 0;                   // the same
  };
  enum class End : uint8_t { kClosed, kClientFailed, kServerFailed, kIdle };

  // `idle` 0: no limit.
  TcpRelay(net::Reactor& reactor, net::ByteStream& client, net::ByteStream& server,
           std::chrono::milliseconds idle);
  TcpRelay(const TcpRelay&) = delete;
  TcpRelay& operator=(const TcpRelay&) = delete;

  void count(metrics::Counter* from_client, metrics::Counter* from_server);
  // Call once.
  net::Task<End> run();

  [[nodiscard]] uint64_t from_client() const { return client_.bytes; }
  [[nodiscard]] uint64_t from_server() const { return server_.bytes; }

 private:
  static constexpr size_t kBuffer = 16 * 1024;
  net::Task<> copy(Side& from, Side& to);
  void failed(const Side& side);
  void takes_no_more(const Side& side);

  Side client_, server_;
  std::chrono::milliseconds idle_;
  Time last_activity_;
  unsigned open_ = 2;  // directions that still run
  End end_ = End::kClosed;
  bool ended_ = false;
  net::Event changed_;
  net::Scope tasks_;  // last
};

}  // namespace culvert::waypoint
