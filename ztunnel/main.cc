#include "common/admin/program.h"
#include "common/admin/version.h"
#include "common/base/log.h"
#include "common/base/machine.h"
#include "common/config/env.h"
#include "ztunnel/app.h"
#include "ztunnel/surroundings.h"

namespace {

using culvert::admin::Version;
using culvert::ztunnel::App;
using culvert::ztunnel::Config;

constexpr const char* kHelp =
    "Culvert ztunnel: the node proxy of an ambient service mesh\n"
    "\n"
    "usage: ztunnel [proxy [...]]   run; configured by environment variables\n"
    "       ztunnel version         print what this binary is\n"
    "       ztunnel help            print this\n"
    "\n"
    "environment, with the names and defaults of Istio's ztunnel: LOCAL_XDS_PATH, the mesh's "
    "state,\n"
    "and LOCAL_CA_DIR or FAKE_CA=true, the development CA, are required; besides them PROXY_MODE\n"
    "(shared, dedicated), INPOD_UDS, NODE_NAME, POD_NAME, POD_NAMESPACE, SERVICE_ACCOUNT, "
    "NETWORK,\n"
    "ISTIO_META_*, PROXY_CONFIG, ZTUNNEL_WORKER_THREADS, TERMINATION_GRACE_PERIOD_SECONDS,\n"
    "CONNECTION_TERMINATION_DEADLINE, POOL_*, HTTP2_*, TLS12_ENABLED, COMPLIANCE_POLICY and "
    "others;\n"
    "CULVERT_MEMORY_BUDGET and CULVERT_WORKLOAD_MEMORY_BUDGET, bytes that may be held for those\n"
    "who do not read, by the process and by one pod;\n"
    "RUST_LOG and LOG_FORMAT for the log. What is set and not understood is an error.\n";

int run(int argc, char** argv);
constexpr culvert::admin::Program kProgram{"ztunnel", kHelp, run};

int fail(const culvert::Error& error) { return culvert::admin::fail(kProgram, error); }

int run(int argc, char** argv) {
  auto around = culvert::ztunnel::read_surroundings(argc, argv);
  if (!around) return fail(around.error());
  auto config = Config::from_env(culvert::config::process_env(), *around);
  if (!config) return fail(config.error());
  if (auto started = culvert::log::start(config->logging.format, config->logging.filter, "ztunnel");
      !started)
    return fail(started.error());
  const culvert::log::Target log{"main"};
  log.info("version: {}", Version::of(config->istio_version).line());
  for (const auto& warning : config->warnings) log.warn("{}", warning);
  culvert::raise_descriptor_limit();
  culvert::return_large_blocks();
  App app(std::move(*config));
  if (auto started = app.start(); !started) {
    log.error("cannot start: {}", started.error().message());
    culvert::log::stop();
    return fail(started.error());
  }
  const bool clean = app.run();
  culvert::log::stop();
  return clean ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) { return culvert::admin::run_program(kProgram, argc, argv); }
