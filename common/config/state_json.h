#pragma once

#include "common/config/local_config.h"
#include "common/state/snapshot.h"

#include <string>

#include <nlohmann/json_fwd.hpp>

// The mesh's state as JSON, in the shape of Istio's ztunnel: istioctl and people read it in
// /config_dump. Field names are those of the local form (local_config.h); what is empty or default
// is left out where Istio does.
namespace culvert::config {

nlohmann::json workload_json(const state::Workload& workload);
nlohmann::json service_json(const state::Service& service);
nlohmann::json policy_json(const state::Policy& policy);

// {"workloads": by uid, "services": by host name, "policies": by key, "stagedServices": {"ns/host":
// {uid: …}}}.
nlohmann::json state_json(const state::Snapshot& snapshot);
// {"workloads", "services", "policies"} in the local form, in the file's order; all empty for an
// empty config.
nlohmann::json local_config_json(const LocalConfig& config);

// Indented by two spaces. Bytes that are not UTF-8 (names come from outside) become U+FFFD; never
// throws.
std::string dump_text(const nlohmann::json& value);

}  // namespace culvert::config
