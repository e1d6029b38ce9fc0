#include "ztunnel/worker.h"

#include "common/state/random.h"
#include "ztunnel/pod_proxy.h"

#include <fmt/format.h>

#include <pthread.h>

namespace culvert::ztunnel {
Worker::Worker(unsigned index, const Config& config_in, metrics::Registry& registry,
               const MetricFamilies& families, CredentialSource& source, Memory& memory_in)
    : mesh(reactor),
      credentials(reactor, source),
      tls(tls::Options{.allow_tls12 = config_in.tls.tls12,
                       .pqc_only = config_in.tls.post_quantum_only}),
      traffic(families, registry, registry.make_shard()),
      random(std::make_unique<state::SystemRandom>()),
      memory(memory_in),
      config(config_in),
      index_(index) {}

Worker::~Worker() { stop(); }

void Worker::start() {
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), fmt::format("ztunnel-{}", index_).c_str());
    reactor.run();
    proxies.clear();  // where their sockets live
  });
}

void Worker::stop() {
  if (!thread_.joinable()) return;
  reactor.stop();
  thread_.join();
}

}  // namespace culvert::ztunnel
