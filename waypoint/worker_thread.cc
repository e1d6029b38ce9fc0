#include "waypoint/worker_thread.h"

#include "common/state/random.h"

#include <fmt/format.h>

#include <pthread.h>

#include <utility>

namespace culvert::waypoint {
namespace {

net::Task<> close_upstream(Connector& connector, Time deadline, size_t cut,
                           UniqueFunction<void(size_t)> done) {
  co_await connector.drain(deadline);
  done(cut);
}

}  // namespace

WorkerThread::Parts::Parts(const MetricFamilies& families, metrics::Shard& shard,
                           MemoryAccount& memory, net::Fd listening)
    : worker(tls::Options{}, memory),
      telemetry(families, shard),
      connector(worker),
      proxy(worker, connector, telemetry),
      server({worker, connector, telemetry, proxy}, std::move(listening)),
      ending(worker.reactor) {
  worker.random = std::make_unique<state::SystemRandom>();
}

WorkerThread::WorkerThread(unsigned index, const MetricFamilies& families,
                           metrics::Registry& registry, MemoryAccount& memory, net::Fd listening)
    : index_(index),
      parts_(
          std::make_unique<Parts>(families, registry.make_shard(), memory, std::move(listening))) {}

WorkerThread::~WorkerThread() { stop(); }

void WorkerThread::start() {
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), fmt::format("waypoint-{}", index_).c_str());
    parts_->worker.reactor.run();
  });
}

void WorkerThread::set_model(ModelPtr model) {
  parts_->worker.reactor.post([parts = parts_.get(), model = std::move(model)]() mutable {
    parts->worker.model = std::move(model);
    parts->server.model_changed();
  });
}

void WorkerThread::set_credential(tls::CredentialPtr credential) {
  parts_->worker.reactor.post([parts = parts_.get(), credential = std::move(credential)]() mutable {
    parts->worker.credential = std::move(credential);
  });
}

void WorkerThread::drain() {
  parts_->worker.reactor.post([parts = parts_.get()] { parts->server.drain(); });
}

void WorkerThread::stop_accepting() {
  parts_->worker.reactor.post([parts = parts_.get()] { parts->server.stop_accepting(); });
}

void WorkerThread::finish(Time deadline, UniqueFunction<void(size_t)> done) {
  parts_->worker.reactor.post([parts = parts_.get(), deadline, done = std::move(done)]() mutable {
    parts->server.finish(deadline, [parts, deadline, done = std::move(done)](size_t cut) mutable {
      parts->ending.spawn(close_upstream(parts->connector, deadline, cut, std::move(done)));
    });
  });
}

void WorkerThread::stop() {
  if (parts_ == nullptr) return;
  if (thread_.joinable()) {
    parts_->worker.reactor.stop();
    thread_.join();
  }
  // The thread is over: nobody else uses them.
  parts_.reset();
}

}  // namespace culvert::waypoint
