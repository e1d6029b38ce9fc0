#pragma once

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/base/unique_function.h"
#include "common/state/identity.h"
#include "common/tls/credential.h"

namespace culvert::ca {

// Someone who issues workload certificates: the development CA on disk, or istiod over gRPC.
class Signer {
 public:
  virtual ~Signer() = default;
  using Done = UniqueFunction<void(Result<tls::CredentialPtr>)>;
  // Called on the control thread; `done` is called exactly once on that thread, at once or later.
  virtual void sign(const state::Identity& identity, Done done) = 0;
};

}  // namespace culvert::ca
