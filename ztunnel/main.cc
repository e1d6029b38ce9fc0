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
    "environment, with the names and defaults of Istio's ztunnel (docs/configuration.md):\n"
    "  required   LOCAL_XDS_PATH or LOCAL_XDS, the mesh's state; LOCAL_CA_DIR or FAKE_CA=true, "
    "the\n"
    "             development CA; PROXY_WORKLOAD_INFO if PROXY_MODE=dedicated\n"
    "  this node  PROXY_MODE (shared, dedicated), INPOD_UDS, INPOD_PORT_REUSE, NODE_NAME, "
    "NETWORK,\n"
    "             POD_NAME, POD_NAMESPACE, SERVICE_ACCOUNT, TRUST_DOMAIN, INSTANCE_IP,\n"
    "             ISTIO_META_*, ISTIO_METAJSON_*, CLUSTER_ID, PROXY_CONFIG, SECRET_TTL\n"
    "  threads    ZTUNNEL_WORKER_THREADS, ZTUNNEL_CPU_LIMIT, ZTUNNEL_RESOURCE_CPU_LIMIT,\n"
    "             ZTUNNEL_RESOURCE_CPU_REQUEST\n"
    "  end        TERMINATION_GRACE_PERIOD_SECONDS, CONNECTION_TERMINATION_DEADLINE\n"
    "  tunnels    POOL_*, HTTP2_*, TLS12_ENABLED, COMPLIANCE_POLICY, ENABLE_RESPONSE_BAGGAGE\n"
    "  sockets    KEEPALIVE_*, USER_TIMEOUT_ENABLED, ENABLE_ORIG_SRC, PACKET_MARK, IPV6_ENABLED,\n"
    "             LOCALHOST_APP_TUNNEL\n"
    "  memory     CULVERT_MEMORY_BUDGET, CULVERT_WORKLOAD_MEMORY_BUDGET: bytes that may be held "
    "for\n"
    "             those who do not read, by the process and by one pod\n"
    "  log        RUST_LOG, LOG_FORMAT, AUTHZ_POLICY_INFO_LOGGING\n"
    "A value that is not understood is an error.\n";

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
