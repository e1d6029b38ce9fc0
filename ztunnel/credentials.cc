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

net::Task<Result<tls::CredentialPtr>> Credentials::get(state::Identity identity) {
  auto& held = slots_[identity];
  if (held == nullptr) held = std::make_unique<Slot>(reactor_);
  Slot& slot = *held;  // never erased: one per identity of this node's pods
  if (slot.credential != nullptr && WallClock::now() < slot.credential->not_after())
    co_return slot.credential;
  if (!slot.requested) {
    slot.requested = true;
    source_.request(*this, identity);
  }
  while (slot.requested) co_await slot.answered.wait();
  if (slot.error) co_return *slot.error;
  co_return slot.credential;
}

void Credentials::deliver(const state::Identity& identity, Result<tls::CredentialPtr> result) {
  auto& held = slots_[identity];
  if (held == nullptr) held = std::make_unique<Slot>(reactor_);
  held->requested = false;
  held->error.reset();
  if (result)
    held->credential = std::move(*result);
  else
    held->error = result.error();
  held->answered.wake_all();
}

}  // namespace culvert::ztunnel
