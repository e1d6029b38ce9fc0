#pragma once

#include "common/ca/cert_manager.h"

#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace culvert::ca {

// The `certificates` section of /config_dump, as istioctl reads it: identity, state, certChain and
// rootCerts with base64 PEM, decimal serial number and RFC 3339 times.
nlohmann::json certificates_json(const std::vector<CertManager::Entry>& entries);

}  // namespace culvert::ca
