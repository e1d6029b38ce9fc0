#include "common/ca/cert_source.h"

#include <memory>
#include <random>

namespace culvert::ca {
namespace {

CertManager::Clocks real_clocks() {
  auto engine = std::make_shared<std::minstd_rand>(std::random_device{}());
  return {.steady = [] { return Clock::now(); },
          .wall = [] { return WallClock::now(); },
          .jitter = [engine] { return std::uniform_real_distribution<double>(-1, 1)(*engine); }};
}

}  // namespace

CertSource::CertSource(net::Reactor& control, Signer& signer, OnUpdate on_update)
    : manager_(signer, real_clocks()), timer_(control, [this] {
        manager_.poll();
        schedule();
      }) {
  manager_.on_update(std::move(on_update));
}

void CertSource::fetch(const state::Identity& identity, Priority priority, Signer::Done done) {
  manager_.fetch(identity, priority, std::move(done));
  schedule();
}

void CertSource::forget(const state::Identity& identity) {
  manager_.forget(identity);
  schedule();
}

void CertSource::schedule() {
  const Time next = manager_.next_wakeup();
  if (next == kNever)
    timer_.disarm();
  else
    timer_.arm_at(next);
}

}  // namespace culvert::ca
