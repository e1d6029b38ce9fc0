#pragma once

#include "common/config/json_text.h"
#include "common/config/local_config.h"
#include "common/state/snapshot.h"

#include <string>

#include <nlohmann/json_fwd.hpp>

// The mesh's state as JSON, in the shape of Istio's ztunnel: istioctl and people read it in
// /config_dump. Field names are those of the local form (local_config.h); what is empty or default
// is left out where Istio does.
namespace culvert::config {

nlohmann::json workload_json(const state::WorkloadSpec& workload);
nlohmann::json service_json(const state::ServiceSpec& service);
nlohmann::json policy_json(const state::Policy& policy);

// Parts of /config_dump, as one value each, written in the memory of one element: lists of
// workloads by uid, of services by host name, of policies by key; endpoints of services that are
// not known yet, {"ns/host": {uid: …}}.
void write_workloads(const state::Snapshot& snapshot, JsonText& out);
void write_services(const state::Snapshot& snapshot, JsonText& out);
void write_policies(const state::Snapshot& snapshot, JsonText& out);
void write_staged_services(const state::Snapshot& snapshot, JsonText& out);
// A local file as it was read: {"workloads", "services", "policies"} in the local form, in the
// file's order. Error: nothing was written.
Result<> write_local_config(const YamlInput& yaml, JsonText& out);
// The same of no file at all.
void write_empty_local_config(JsonText& out);

}  // namespace culvert::config
