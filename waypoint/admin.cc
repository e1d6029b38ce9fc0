#include "waypoint/admin.h"

#include "common/base/log.h"

#include <memory>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

namespace culvert::waypoint {
namespace {

using admin::Request;
using admin::Response;

constexpr std::string_view kHelp =
    "admin commands are:\n"
    "  /: this page\n"
    "  /config_dump: the configuration in force, and our certificates\n"
    "  /drain_listeners (POST): tell clients to go elsewhere; ?graceful: but take those that come\n"
    "  /help: this page\n"
    "  /logging (POST): show or change log levels: ?level=<level>, ?level=<target>:<level>\n"
    "  /quitquitquit (POST): drain, then end\n"
    "  /ready: whether traffic can be served\n"
    "  /server_info: version and state\n";

std::string_view state_name(ServerState state) {
  switch (state) {
    case ServerState::kPreInitializing:
      return "PRE_INITIALIZING";
    case ServerState::kLive:
      return "LIVE";
    case ServerState::kDraining:
      return "DRAINING";
  }
  return "UNKNOWN";
}

// Names come from files: what is not UTF-8 is replaced, not a reason to fail.
Response json_response(const nlohmann::json& json) {
  return {200, "application/json",
          json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n", true};
}

Response logging(const Request& request) {
  const auto parameters = request.parameters();
  const auto level = parameters.find("level");
  if (level != parameters.end() && !level->second.empty()) {
    auto filter = log::current_filter().with(level->second);
    if (!filter) return Response::text(filter.error().message() + "\n", 400);
    log::set_filter(std::move(*filter));
  }
  return Response::text("active log levels: " + log::current_filter().to_string() + "\n");
}

// pilot-agent's rule and text: on this port anyone who can reach the pod may ask.
template <class Action>
admin::Handler from_loopback(Action action) {
  return [action = std::move(action)](const Request& request) {
    if (!request.from_loopback) {
      return Response::text("Only requests from localhost are allowed\n", 403);
    }
    action();
    return Response::text("OK\n");
  };
}

}  // namespace

void add_admin_endpoints(admin::Site& site, AdminCallbacks callbacks) {
  const auto shared = std::make_shared<const AdminCallbacks>(std::move(callbacks));
  const auto help = [](const Request&) { return Response::text(std::string(kHelp)); };
  site.on("/", help);
  site.on("/help", help);
  site.on("/config_dump",
          [shared](const Request&) { return json_response(shared->config_dump()); });
  site.on("/server_info", [shared](const Request&) {
    auto info = shared->server_info();
    info["state"] = state_name(shared->state());
    return json_response(info);
  });
  site.on("/ready", [shared](const Request&) {
    const ServerState state = shared->state();
    return Response::text(std::string(state_name(state)) + "\n",
                          state == ServerState::kLive ? 200 : 503);
  });
  site.on("/logging", logging, "POST");
  site.on(
      "/quitquitquit",
      [shared](const Request&) {
        shared->quit();
        return Response::text("OK\n");
      },
      "POST");
  site.on(
      "/drain_listeners",
      [shared](const Request& request) {
        shared->drain_listeners(request.parameters().contains("graceful"));
        return Response::text("OK\n");
      },
      "POST");
}

void add_agent_endpoints(admin::Site& site, std::function<void()> quit,
                         std::function<void()> drain) {
  site.on("/quitquitquit", from_loopback(std::move(quit)), "POST");
  site.on("/drain", from_loopback(std::move(drain)), "POST");
}

}  // namespace culvert::waypoint
