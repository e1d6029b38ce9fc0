#pragma once

#include "common/admin/http.h"
#include "common/config/json_text.h"

#include <functional>
#include <map>
#include <string>

// What the node proxy's three HTTP ports answer. Paths, texts and shapes are those that istioctl,
// kubelet and Prometheus know. All handlers run on the admin thread; what they are given must
// outlive the server.
namespace culvert::ztunnel {

struct AdminCallbacks {
  // POST /quitquitquit: begins the graceful shutdown and returns at once.
  std::function<void()> quit;
  // The sections of /config_dump by key ("workloads", "config", …), each computed when asked for. A
  // section writes one value: of a large mesh's state it would be too large as nlohmann::json.
  std::map<std::string, std::function<void(config::JsonText&)>> sections;
  // The log filter that /logging?reset returns to (Config::logging.filter).
  std::string default_filter;
};

// 15000: /, /config_dump, /logging, /quitquitquit, /debug/pprof/…
void add_admin_endpoints(admin::Site& site, AdminCallbacks callbacks);

}  // namespace culvert::ztunnel
