#pragma once

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/hbone/connect.h"
#include "common/net/relay.h"
#include "common/state/balance.h"
#include "ztunnel/metrics.h"

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace culvert::ztunnel {

// What telemetry says of one user connection, when it is known. Names as in the access log.
struct ConnectionFacts {
  Reporter reporter = Reporter::kSource;
  net::SocketAddress source;
  net::SocketAddress destination;  // dialled (source side), or pod ip:15008 / original destination
  std::string hbone_address;       // CONNECT authority; empty: none
  state::WorkloadPtr source_workload;        // from the mesh; may be null
  state::WorkloadPtr destination_workload;   // may be null
  std::optional<state::ServiceRef> service;  // the one that was meant
  bool mutual_tls = false;
  std::optional<state::Identity> source_identity;  // proven by TLS: our own, or the peer's
  hbone::Baggage source_baggage;  // what the peer says of itself, used where the mesh knows nothing
};

// Counts and logs one user connection: opened when made, bytes as they flow, closed once at its end
// with one line in the access log. A record that is destroyed unfinished was cut off by our own
// shutdown. Connections are many and idle: of the facts it keeps no more than that line needs.
class ConnectionRecord {
 public:
  ConnectionRecord(TrafficMetrics& metrics, ConnectionFacts facts, Time started);
  ~ConnectionRecord();
  ConnectionRecord(const ConnectionRecord&) = delete;
  ConnectionRecord& operator=(const ConnectionRecord&) = delete;

  // "received": from the client's side; "sent": towards it. For both reporters, as in Istio's
  // ztunnel.
  net::Meter& received() { return received_; }
  net::Meter& sent() { return sent_; }
  // An empty error: it ended well. Later calls do nothing.
  void finish(const Error& error);

 private:
  class ByteCount final : public net::Meter {
   public:
    explicit ByteCount(metrics::Counter& counter) : counter_(counter) {}
    void add(size_t bytes) override {
      total_ += bytes;
      counter_.add(bytes);
    }
    [[nodiscard]] uint64_t total() const { return total_; }

   private:
    metrics::Counter& counter_;
    uint64_t total_ = 0;
  };
  void log(log::Level level, std::string_view message, const Error* error, bool ended) const;

  [[nodiscard]] std::string_view text(size_t which) const;

  TrafficMetrics& metrics_;
  TrafficSeries* series_;
  Time started_;
  state::WorkloadPtr source_workload_, destination_workload_;  // may be null
  std::unique_ptr<const hbone::Baggage> source_baggage_;       // null: it said nothing
  std::string texts_;                                          // of several, one behind the other
  std::array<uint16_t, 3> text_sizes_{};
  net::SocketAddress source_, destination_;
  Reporter reporter_;
  bool mutual_tls_;
  bool finished_ = false;
  ByteCount received_, sent_;
};

// A connection that was refused before anything is known of it: one warning in the access log, no
// metrics.
void log_early_deny(Reporter reporter, const net::SocketAddress& source,
                    const net::SocketAddress& destination, const Error& error);

}  // namespace culvert::ztunnel
