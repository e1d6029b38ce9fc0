#pragma once

#include "common/ca/cert_source.h"
#include "common/net/event.h"
#include "common/net/task.h"

#include <memory>
#include <set>
#include <unordered_map>

namespace culvert::ztunnel {

class Credentials;

// The control thread's side of certificates: hands results to the workers.
class CredentialSource {
 public:
  // Control thread. `control` and `signer` outlive it.
  CredentialSource(net::Reactor& control, ca::Signer& signer);
  CredentialSource(const CredentialSource&) = delete;
  CredentialSource& operator=(const CredentialSource&) = delete;

  // Before the threads start: a worker's cache that gets renewed certificates.
  void add_worker(Credentials& worker) { workers_.push_back(&worker); }
  // Any thread: asks for `identity`; the answer is delivered to `worker` on its own thread.
  void request(Credentials& worker, const state::Identity& identity);
  // Control thread.
  void prefetch(const state::Identity& identity);
  // Control thread. Forgets the certificates of all identities but `needed`, so that those of pods
  // that are gone are neither kept nor renewed. Whoever waits for one is told that it is no longer
  // needed; whoever asks again gets a new one.
  void keep_only(const std::set<state::Identity>& needed);
  [[nodiscard]] std::vector<ca::CertManager::Entry> entries() const { return source_.entries(); }

 private:
  net::Reactor& control_;
  std::vector<Credentials*> workers_;
  ca::CertSource source_;
};

// One worker's cache of certificates, by identity. Worker thread.
class Credentials {
 public:
  Credentials(net::Reactor& reactor, CredentialSource& source)
      : reactor_(reactor), source_(source) {}
  Credentials(const Credentials&) = delete;
  Credentials& operator=(const Credentials&) = delete;

  // The certificate of `identity`; waits for the CA when there is none yet. Error: why the CA gives
  // none.
  net::Task<Result<tls::CredentialPtr>> get(state::Identity identity);

  // From the source, on this worker's thread.
  void deliver(const state::Identity& identity, Result<tls::CredentialPtr> result);
  void forget(const state::Identity& identity);
  [[nodiscard]] net::Reactor& reactor() const { return reactor_; }

 private:
  struct Slot {
    explicit Slot(net::Reactor& reactor) : answered(reactor) {}
    tls::CredentialPtr credential;
    std::optional<Error> error;
    bool requested = false;
    net::Event answered;
  };
  net::Reactor& reactor_;
  CredentialSource& source_;
  std::shared_ptr<Slot> slot(const state::Identity& identity);

  // Shared with those who wait: what they wait for may be forgotten.
  std::unordered_map<state::Identity, std::shared_ptr<Slot>> slots_;
};

}  // namespace culvert::ztunnel
