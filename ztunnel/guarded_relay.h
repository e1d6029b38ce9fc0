#pragma once

#include "common/net/relay.h"
#include "ztunnel/errors.h"
#include "ztunnel/open_connections.h"

namespace culvert::ztunnel {

// Runs `relay` until it ends, or until a policy change revokes the connection: then the copy is
// abandoned, and the owner resets both sides (ResetIfCut; a stream resets when destroyed). Returns
// why it ended.
template <class AnyRelay>
net::Task<Error> run_guarded(AnyRelay& relay, OpenConnections::Entry& entry) {
  struct Guard {
    OpenConnections::Entry& entry;
    ~Guard() { entry.abandon_when_revoked(nullptr); }
  } const guard{entry};
  entry.abandon_when_revoked(&relay);
  auto outcome = co_await relay.run();
  if (entry.revoked()) co_return Error(Errc::kPolicyChange);
  co_return std::move(outcome.error);
}

}  // namespace culvert::ztunnel
