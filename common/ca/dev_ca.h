#pragma once

#include "common/base/clock.h"
#include "common/ca/signer.h"

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>

namespace culvert::ca {

struct DevCaOptions {
  std::chrono::seconds ttl = std::chrono::hours(24);
  bool intermediate = false;       // sign with an intermediate CA made for the occasion
  std::function<WallTime()> wall;  // default: the system's clock
};

// A CA for demos, tests and machines without a control plane: whoever can read its key can be any
// workload, so open() says in the log that it is in use. Its root is shared by all processes that
// name the folder.
class DevCa final : public Signer {
 public:
  // Reads <dir>/root-cert.pem and <dir>/root-key.pem (PKCS#8), or creates both, EC P-256, for 10
  // years. Errors: files that cannot be read or created, do not parse, do not belong together, a
  // certificate that is not a CA's or not valid now. Blocks; called at start.
  static Result<std::unique_ptr<DevCa>> open(const std::filesystem::path& dir,
                                             DevCaOptions options = {});
  ~DevCa() override;

  // A new key and certificate, valid from 2 minutes ago for `ttl` from now (but not longer than the
  // root). Errors: an identity that does not fit a certificate; a root that has expired meanwhile.
  Result<tls::CredentialPtr> issue(const state::Identity& identity);

  // issue(); `done` is called before it returns.
  void sign(const state::Identity& identity, Done done) override;

 private:
  struct State;
  explicit DevCa(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace culvert::ca
