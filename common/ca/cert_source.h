#pragma once

#include "common/ca/cert_manager.h"
#include "common/net/event.h"

#include <functional>
#include <vector>

namespace culvert::ca {

// A CertManager with a clock and a reactor's timer: certificates that are renewed by themselves.
// Control thread.
class CertSource {
 public:
  // Called with every newly available certificate.
  using OnUpdate = std::function<void(const state::Identity&, const tls::CredentialPtr&)>;

  // `control` and `signer` outlive it.
  CertSource(net::Reactor& control, Signer& signer, OnUpdate on_update);
  CertSource(const CertSource&) = delete;
  CertSource& operator=(const CertSource&) = delete;

  // See CertManager.
  void fetch(const state::Identity& identity, Priority priority, Signer::Done done);
  void forget(const state::Identity& identity);
  [[nodiscard]] std::vector<CertManager::Entry> entries() const { return manager_.entries(); }

 private:
  void schedule();

  CertManager manager_;
  net::Timer timer_;
};

}  // namespace culvert::ca
