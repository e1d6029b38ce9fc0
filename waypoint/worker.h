#pragma once

#include "common/base/memory_account.h"
#include "common/h2/connection.h"
#include "common/net/reactor.h"
#include "common/state/balance.h"
#include "common/tls/context.h"
#include "common/tls/credential.h"
#include "waypoint/model/model.h"

#include <memory>

namespace culvert::waypoint {

// What everything on one data-plane thread shares. Owned by the thread that runs `reactor`. What
// workers share and change is the count of held memory and the queues of messages and of log lines:
// a new model or certificate is posted to each.
struct Worker {
  // `account`: the process's.
  Worker(tls::Options options, MemoryAccount& account) : tls(options), memory(account) {}

  net::Reactor reactor;
  tls::Context tls;
  h2::Buffers buffers;
  MemoryAccount& memory;
  ModelPtr model;                 // the newest; requests keep the one they began with
  tls::CredentialPtr credential;  // our own identity; null until the CA has answered
  std::unique_ptr<state::Random> random;
};

}  // namespace culvert::waypoint
