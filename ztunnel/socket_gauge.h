#pragma once

#include "ztunnel/metrics.h"

namespace culvert::ztunnel {

// Counts an accepted socket as open (istio_tcp_sockets_open) while it lives.
class SocketGauge {
 public:
  SocketGauge(TrafficMetrics& metrics, Reporter reporter) : gauge_(metrics.sockets_open(reporter)) {
    gauge_.add();
  }
  ~SocketGauge() { gauge_.sub(); }
  SocketGauge(const SocketGauge&) = delete;
  SocketGauge& operator=(const SocketGauge&) = delete;

 private:
  metrics::Gauge& gauge_;
};

}  // namespace culvert::ztunnel
