#pragma once

#include "common/metrics/registry.h"
#include "common/metrics/shard.h"
#include "waypoint/telemetry/metrics_labels.h"

#include <chrono>
#include <cstdint>

// Istio's standard metrics, and the few of our own, as they are counted by workers. Which labels
// they have is metrics_labels.h.
namespace culvert::waypoint {

// The families of the process; made once, before any shard.
struct MetricFamilies {
  explicit MetricFamilies(metrics::Registry& registry);

  metrics::FamilyId requests, request_duration, request_bytes, response_bytes;
  metrics::FamilyId request_messages, response_messages;
  metrics::FamilyId tcp_opened, tcp_closed, tcp_sent, tcp_received;
  metrics::FamilyId build;                          // component, tag
  metrics::FamilyId development_ca;                 // 1 if LOCAL_CA_DIR signs our certificate
  metrics::FamilyId config_loads, config_rejected;  // versions of the file taken, and refused
  metrics::FamilyId tunnels, connects_refused;      // open tunnels of clients; by status
};

// What one thread counts. Its owner's thread only.
class Telemetry {
 public:
  Telemetry(const MetricFamilies& families, metrics::Shard& shard)
      : families_(families), shard_(shard) {}
  Telemetry(const Telemetry&) = delete;
  Telemetry& operator=(const Telemetry&) = delete;

  // A request that is over.
  struct Request {
    std::chrono::milliseconds duration{0};
    uint64_t wire_received = 0, wire_sent = 0;             // heads included
    uint64_t request_messages = 0, response_messages = 0;  // gRPC only
  };
  void request(const MetricFacts& facts, const Request& request);

  // A TCP connection: opened once its endpoint is known, bytes as they pass, closed at the end with
  // the flags it ended with.
  struct TcpBytes {
    metrics::Counter* sent = nullptr;      // to the client
    metrics::Counter* received = nullptr;  // from it
  };
  TcpBytes tcp_opened(const MetricFacts& facts);
  void tcp_closed(const MetricFacts& facts);

  void tunnel_opened() { shard_.gauge(families_.tunnels).add(); }
  void tunnel_closed() { shard_.gauge(families_.tunnels).sub(); }
  void connect_refused(int status);

 private:
  [[nodiscard]] static metrics::Labels labels(const MetricFacts& facts);

  const MetricFamilies& families_;
  metrics::Shard& shard_;
};

}  // namespace culvert::waypoint
