#include "ztunnel/admin.h"

#include "common/base/log.h"
#include "common/base/machine.h"
#include "common/config/env.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include <nlohmann/json.hpp>

namespace culvert::ztunnel {
namespace {

using admin::Request;
using admin::Response;

// istioctl users see this text; the tabs line up in a terminal.
constexpr std::string_view kLoggingUsage =
    "\n"
    "usage: POST /logging\t\t\t\t\t\t(To list current level)\n"
    "usage: POST /logging?level=<level>\t\t\t\t(To change global levels)\n"
    "usage: POST /logging?level={mod1}:{level1},{mod2}:{level2}\t"
    "(To change specific mods' logging level)\n"
    "\n"
    "hint: loglevel:\terror|warn|info|debug|trace|off\n"
    "hint: mod_name:\tthe module name, i.e. ztunnel::proxy\n";

struct Link {
  std::string_view path, description;
};
constexpr std::array<Link, 6> kLinks = {{
    {"debug/pprof/profile", "CPU profile (not available in this build)"},
    {"debug/pprof/heap", "heap profile (not available in this build)"},
    {"debug/pprof/heap/profiling", "switch heap profiling (not available in this build)"},
    {"quitquitquit", "shut down the server (POST)"},
    {"config_dump", "dump the current Ztunnel configuration"},
    {"logging", "show or change logging levels (POST)"},
}};

Response dashboard() {
  std::string page =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head><title>Ztunnel Admin</title></head>\n<body>\n"
      "<table>\n<tr><th>Command</th><th>Description</th></tr>\n";
  for (const Link& link : kLinks) {
    page += fmt::format("<tr><td><a href=\"{0}\">{0}</a></td><td>{1}</td></tr>\n", link.path,
                        link.description);
  }
  page += "</table>\n</body>\n</html>\n";
  return {200, "text/html; charset=utf-8", std::move(page)};
}

Response current_level() {
  return Response::text(
      fmt::format("current log level is {}\n", log::current_filter().to_string()));
}

// A global level counts in lower case only, as in Istio; scoped ones are the filter's to judge.
bool acceptable(std::string_view directives) {
  constexpr std::array<std::string_view, 6> kLevels = {"off",  "error", "warn",
                                                       "info", "debug", "trace"};
  for (size_t begin = 0; begin <= directives.size();) {
    const size_t end = std::min(directives.find(',', begin), directives.size());
    const std::string_view clause = directives.substr(begin, end - begin);
    begin = end + 1;
    const bool scoped = clause.find_first_of("=:") != std::string_view::npos;
    if (!scoped && std::ranges::find(kLevels, clause) == kLevels.end()) return false;
  }
  return true;
}

Response logging(const Request& request, const std::string& default_filter) {
  if (request.method != "POST") {
    return Response::text(fmt::format("Invalid HTTP method\n {}", kLoggingUsage), 405);
  }
  const auto parameters = request.parameters();
  const auto level = parameters.find("level");
  const bool has_level = level != parameters.end() && !level->second.empty();
  const bool reset = parameters.contains("reset");
  if (!has_level && !reset) return current_level();

  Result<log::Filter> filter = reset ? log::Filter::parse(default_filter) : log::current_filter();
  if (filter && has_level) {
    filter = acceptable(level->second) ? filter->with(level->second)
                                       : Result<log::Filter>(invalid("unknown level"));
  }
  if (!filter) {
    return Response::text(fmt::format("Invalid level provided: {}\n{}",
                                      has_level ? level->second : "", kLoggingUsage),
                          400);
  }
  log::set_filter(std::move(*filter));
  return current_level();
}

// Checks the parameters as the reference does, so that a script's mistakes show before the answer
// that there is no profiler.
Response cpu_profile(const Request& request) {
  const auto parameters = request.parameters();
  const auto in_range = [&](const char* name, uint64_t most) {
    const auto given = parameters.find(name);
    if (given == parameters.end()) return true;
    const auto value = config::parse_unsigned(given->second, most);
    return value && *value >= 1;
  };
  if (!in_range("seconds", 300)) {
    return Response::text("invalid seconds value; expected 1-300\n", 400);
  }
  if (!in_range("frequency", 1000)) {
    return Response::text("invalid frequency value; expected 1-1000\n", 400);
  }
  return Response::text("CPU profiling is not available in this build; use perf\n", 500);
}

Response heap_profiling(const Request& request) {
  const auto parameters = request.parameters();
  const auto activate = parameters.find("activate");
  if (activate != parameters.end() && activate->second != "true" && activate->second != "false") {
    return Response::text("invalid activate value; expected true or false\n", 400);
  }
  return Response::text("jemalloc not enabled\n", 500);
}

Response config_dump(const AdminCallbacks& callbacks) {
  std::string body;
  config::JsonText dump(body);
  dump.begin('{');
  for (const auto& [key, section] : callbacks.sections) {
    dump.key(key);
    section(dump);
  }
  dump.end();
  // Of a large mesh much more than the body was used on the way.
  constexpr size_t kLarge = size_t{1} << 20;
  if (body.size() > kLarge) return_free_memory();
  return {200, "application/json", std::move(body), true};
}

}  // namespace

void add_admin_endpoints(admin::Site& site, AdminCallbacks callbacks) {
  const auto shared = std::make_shared<const AdminCallbacks>(std::move(callbacks));
  site.on("/", [](const Request&) { return dashboard(); });
  site.on("/config_dump", [shared](const Request&) { return config_dump(*shared); });
  site.on("/logging",
          [shared](const Request& request) { return logging(request, shared->default_filter); });
  site.on(
      "/quitquitquit",
      [shared](const Request&) {
        shared->quit();
        return Response::text("shutdown now\n");
      },
      "POST");
  site.on("/debug/pprof/profile", cpu_profile);
  site.on("/debug/pprof/heap",
          [](const Request&) { return Response::text("jemalloc not enabled\n", 500); });
  site.on("/debug/pprof/heap/profiling", heap_profiling);
}

}  // namespace culvert::ztunnel
