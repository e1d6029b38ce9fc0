#include "common/admin/program.h"
#include "common/admin/version.h"
#include "common/base/log.h"
#include "common/base/machine.h"
#include "common/config/env.h"
#include "waypoint/app.h"
#include "waypoint/process_config.h"

namespace {

using culvert::admin::Version;
using culvert::waypoint::App;
using culvert::waypoint::ProcessConfig;

constexpr const char* kHelp =
    "Culvert waypoint: the L7 proxy of an ambient service mesh\n"
    "\n"
    "usage: waypoint [proxy [waypoint] [flags]]   run; configured by environment variables\n"
    "       waypoint version                      print what this binary is\n"
    "       waypoint help                         print this\n"
    "\n"
    "environment: WAYPOINT_CONFIG, the traffic's configuration, and LOCAL_CA_DIR or FAKE_CA=true,\n"
    "the development CA, are required; besides them what pilot-agent knows: POD_NAME,\n"
    "POD_NAMESPACE, SERVICE_ACCOUNT, TRUST_DOMAIN, INSTANCE_IP, PROXY_CONFIG, CONCURRENCY,\n"
    "TERMINATION_DRAIN_DURATION_SECONDS, MINIMUM_DRAIN_DURATION, EXIT_ON_ZERO_ACTIVE_CONNECTIONS,\n"
    "ISTIO_META_*; CULVERT_MEMORY_BUDGET, bytes that may be held for those who do not read;\n"
    "RUST_LOG and LOG_FORMAT for the log\n"
    "flags: --domain, --serviceCluster, --concurrency, --proxyLogLevel, --proxyComponentLogLevel,\n"
    "--log_output_level, --log_as_json\n";

int run(int argc, char** argv);
constexpr culvert::admin::Program kProgram{"waypoint", kHelp, run};

int fail(const culvert::Error& error) { return culvert::admin::fail(kProgram, error); }

int run(int argc, char** argv) {
  const auto around = culvert::waypoint::read_surroundings(argc, argv);
  auto config = ProcessConfig::from_env(culvert::config::process_env(), around);
  if (!config) return fail(config.error());
  if (auto started = culvert::log::start(config->log_format, config->log_filter, "waypoint");
      !started)
    return fail(started.error());
  const culvert::log::Target log{"main"};
  log.info("version: {}", Version::of(config->istio_version).line());
  log.info("configuration {}, {} workers, log filter {}", config->config_path,
           config->worker_threads, config->log_filter);
  for (const auto& warning : config->warnings) log.warn("{}", warning);
  culvert::raise_descriptor_limit();
  culvert::return_large_blocks();
  App app(std::move(*config));
  if (auto started = app.start(); !started) {
    log.error("cannot start: {}", started.error().message());
    culvert::log::stop();
    return fail(started.error());
  }
  app.run();
  culvert::log::stop();
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return culvert::admin::run_program(kProgram, argc, argv); }
