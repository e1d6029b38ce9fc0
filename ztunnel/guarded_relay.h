#pragma once

#include "common/net/relay.h"
#include "common/net/scope.h"
#include "ztunnel/errors.h"
#include "ztunnel/open_connections.h"

namespace culvert::ztunnel {

// Runs `relay` until it ends, or until a policy change revokes the connection: then the copy is
// abandoned, and the owner resets both sides (ResetIfCut; a stream resets when destroyed). Returns
// why it ended.
template <class AnyRelay>
net::Task<Error> run_guarded(AnyRelay& relay, OpenConnections::Entry& entry,
                             net::Reactor& reactor) {
  const auto carry = [](AnyRelay& work, std::optional<Error>& result,
                        net::Event& ended) -> net::Task<> {
    auto outcome = co_await work.run();
    result = std::move(outcome.error);
    ended.wake_all();
  };
  std::optional<Error> result;
  net::Scope scope(reactor);
  scope.spawn(carry(relay, result, entry.changed()));
  while (!result && !entry.revoked()) co_await entry.changed().wait();
  if (!result) co_return Error(Errc::kPolicyChange);
  co_return std::move(*result);
}

}  // namespace culvert::ztunnel
