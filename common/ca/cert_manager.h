#pragma once

#include "common/ca/signer.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace culvert::ca {

enum class Priority : uint8_t { kBackground, kWarmup, kRealTime };

// One certificate per identity, shared by all pods with the same service account: fetched on
// demand, at most 8 requests to the signer at once (RealTime before Warmup before Background),
// refreshed at half of its validity, retried with back-off (1 s, doubled, +-20 %, at most 150 s)
// while a still valid certificate is kept. No I/O and no clock of its own: the owner calls poll()
// when next_wakeup() has come. Control thread only.
class CertManager {
 public:
  struct Clocks {
    std::function<Time()> steady;
    std::function<WallTime()> wall;
    std::function<double()> jitter;  // uniform in [-1, 1]
  };
  CertManager(Signer& signer, Clocks clocks);
  ~CertManager();
  CertManager(const CertManager&) = delete;
  CertManager& operator=(const CertManager&) = delete;

  // `done` is called once: with the certificate, or the error of the last attempt (which does not
  // trigger a new one: retries are timer-driven), or "the identity is no longer needed" when it was
  // forgotten meanwhile.
  void fetch(const state::Identity& identity, Priority priority, Signer::Done done);
  void forget(const state::Identity& identity);

  // Called with every newly available certificate, so that workers can be told. Set once, before
  // fetch.
  void on_update(std::function<void(const state::Identity&, const tls::CredentialPtr&)> listener);

  // When poll() wants to be called next; kNever if nothing is due. May change after any other call.
  [[nodiscard]] Time next_wakeup() const;
  void poll();

  // For /config_dump, sorted by identity.
  struct Entry {
    state::Identity identity;
    std::string state;  // "Initializing", "Available", "Unavailable: <error>"
    tls::CredentialPtr credential;
  };
  [[nodiscard]] std::vector<Entry> entries() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace culvert::ca
