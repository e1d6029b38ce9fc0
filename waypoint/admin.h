#pragma once

#include "common/admin/http.h"

#include <functional>
#include <string>

#include <nlohmann/json_fwd.hpp>

// What the waypoint's HTTP ports answer, in the paths and texts of Envoy's admin interface and of
// pilot-agent where people and probes use them. Handlers run on the admin thread; what they are
// given must outlive the server.
namespace culvert::waypoint {

enum class ServerState : uint8_t { kPreInitializing, kLive, kDraining };

struct AdminCallbacks {
  std::function<nlohmann::json()> config_dump;
  // For /server_info: version, node and options; the state is added.
  std::function<nlohmann::json()> server_info;
  std::function<ServerState()> state;
  std::function<void()> quit;  // begins the graceful shutdown and returns at once
  // Tells clients to go elsewhere, without an end of the process; with `graceful` those that do
  // not know yet may still come.
  std::function<void(bool graceful)> drain_listeners;
};

// 15000, on loopback: /, /help, /config_dump, /server_info, /ready, /logging, POST /quitquitquit,
// POST /drain_listeners.
void add_admin_endpoints(admin::Site& site, AdminCallbacks callbacks);

// Of 15020, as pilot-agent has them: POST /quitquitquit and POST /drain, from loopback only.
void add_agent_endpoints(admin::Site& site, std::function<void()> quit,
                         std::function<void()> drain);

}  // namespace culvert::waypoint
