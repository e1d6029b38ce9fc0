#include "ztunnel/credentials.h"

#include "common/base/log.h"

namespace culvert::ztunnel {
namespace {

const log::Target kLog{"identity"};

}  // namespace

CredentialSource::CredentialSource(net::Reactor& control, ca::Signer& signer)
    : control_(control),
      source_(control, signer,
              [this](const state::Identity& identity, const tls::CredentialPtr& credential) {
                for (Credentials* worker : workers_)
                  worker->reactor().post(
                      [worker, identity, credential] { worker->deliver(identity, credential); });
              }) {}

void CredentialSource::request(Credentials& worker, const state::Identity& identity) {
  control_.post([this, &worker, identity] {
    source_.fetch(
        identity, ca::Priority::kRealTime, [&worker, identity](Result<tls::CredentialPtr> result) {
          worker.reactor().post([&worker, identity, result = std::move(result)]() mutable {
            worker.deliver(identity, std::move(result));
          });
        });
  });
}

void CredentialSource::prefetch(const state::Identity& identity) {
  source_.fetch(identity, ca::Priority::kWarmup,
                [identity](const Result<tls::CredentialPtr>& result) {
                  if (!result)
                    kLog.warn("unable to prefetch cert for {}, skipping: {}", identity.to_string(),
                              result.error().message());
                });
}

void CredentialSource::keep_only(const std::set<state::Identity>& needed) {
  for (const auto& entry : source_.entries()) {
    if (needed.contains(entry.identity)) continue;
    source_.forget(entry.identity);
    // Behind what the waiters were told.
    for (Credentials* worker : workers_)
      worker->reactor().post([worker, identity = entry.identity] { worker->forget(identity); });
  }
}

net::Task<Result<tls::CredentialPtr>> Credentials::get(state::Identity identity) {
  const std::shared_ptr<Slot> held = slot(identity);
  if (held->credential != nullptr && WallClock::now() < held->credential->not_after())
    co_return held->credential;
  if (!held->requested) {
    held->requested = true;
    source_.request(*this, identity);
  }
  while (held->requested) co_await held->answered.wait();
  if (held->error) co_return *held->error;
  co_return held->credential;
}

std::shared_ptr<Credentials::Slot> Credentials::slot(const state::Identity& identity) {
  auto& held = slots_[identity];
  if (held == nullptr) held = std::make_shared<Slot>(reactor_);
  return held;
}

void Credentials::deliver(const state::Identity& identity, Result<tls::CredentialPtr> result) {
  const std::shared_ptr<Slot> held = slot(identity);
  held->requested = false;
  held->error.reset();
  if (result)
    held->credential = std::move(*result);
  else
    held->error = result.error();
  held->answered.wake_all();
}

void Credentials::forget(const state::Identity& identity) {
  const auto found = slots_.find(identity);
  // A request that is on its way will be answered to this slot; the source then knows the identity
  // again, and forgets it with the next change.
  if (found != slots_.end() && !found->second->requested) slots_.erase(found);
}

}  // namespace culvert::ztunnel
