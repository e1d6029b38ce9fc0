#pragma once

#include "common/base/log.h"
#include "common/base/machine.h"
#include "common/base/result.h"
#include "common/config/env.h"
#include "waypoint/model/model.h"

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace culvert::waypoint {

// What the configuration depends on besides the environment variables, as a value.
struct Surroundings {
  std::vector<std::string> args;  // argv[1..], "proxy" first
  unsigned cpus = 1;              // that this process may use
  MemoryUse memory;               // likewise
  bool ipv6 = true;               // IPv6 sockets can be made
  bool ipv6_loopback = true;      // ::1 can be bound
};
Surroundings read_surroundings(int argc, const char* const* argv);

// What the process is told at start, in the words of Istio's pilot-agent, so that the stock
// Deployment of a waypoint works with another image: environment variables first, then PROXY_CONFIG
// (the pod's ProxyConfig, whose proxyMetadata counts as environment), then the command line, then
// defaults. Immutable afterwards. Traffic configuration is not in here: see config_yaml.h.
struct ProcessConfig {
  std::string config_path;  // WAYPOINT_CONFIG, required
  // Who we are by the platform: ISTIO_META_WORKLOAD_NAME, POD_NAMESPACE, SERVICE_ACCOUNT (or
  // ISTIO_META_SERVICE_ACCOUNT), TRUST_DOMAIN, --domain, ISTIO_META_CLUSTER_ID (or CLUSTER_ID),
  // ISTIO_META_NETWORK. The file's section `waypoint` wins over all of it.
  Self self;
  bool identity_given = false;  // POD_NAMESPACE and SERVICE_ACCOUNT: a file that says otherwise is
                                // worth a warning
  std::string pod_name;         // POD_NAME
  std::string instance_ip;      // INSTANCE_IP

  std::string ca_dir;  // LOCAL_CA_DIR, or that of FAKE_CA=true: a development CA on disk, required
  std::chrono::nanoseconds secret_ttl = std::chrono::hours(24);  // SECRET_TTL

  // CONCURRENCY, PROXY_CONFIG's concurrency, --concurrency, else ISTIO_CPU_LIMIT, else the CPUs; 0
  // means the CPUs.
  unsigned worker_threads = 1;

  // CULVERT_MEMORY_BUDGET: what may be held for those who do not read (MemoryAccount).
  uint64_t memory_budget = 0;

  struct Drain {
    // TERMINATION_DRAIN_DURATION_SECONDS, or PROXY_CONFIG's terminationDrainDuration: from SIGTERM
    // to the end of what is still open.
    std::chrono::nanoseconds duration = std::chrono::seconds(5);
    // EXIT_ON_ZERO_ACTIVE_CONNECTIONS: waits for connections to end as long as it takes instead.
    bool until_idle = false;
    // How long clients that do not know yet may still come: MINIMUM_DRAIN_DURATION (5 s) with
    // until_idle, else half of the duration.
    std::chrono::nanoseconds accepting = std::chrono::milliseconds(2500);
  } drain;

  bool ipv6 = true;             // listeners are dual-stack: IPV6_ENABLED, where the machine can
  bool ipv6_loopback = true;    // the admin port is also on ::1
  uint16_t admin_port = 15000;  // PROXY_CONFIG's proxyAdminPort
  uint16_t stats_port = 15020;  // PROXY_CONFIG's statsPort

  // LOG_FORMAT=json, --log_as_json
  log::Format log_format = log::Format::kText;
  // RUST_LOG alone if it is set; else --log_output_level for everything, and --proxyLogLevel for
  // what happens to single connections ("waypoint::proxy"). --proxyComponentLogLevel is checked,
  // but names parts of Envoy.
  std::string log_filter = "info";
  std::string istio_version = "unknown";  // ISTIO_META_ISTIO_VERSION

  std::vector<std::string> warnings;  // for the log, once it runs

  // Pure. All errors at once, joined by "; ".
  static Result<ProcessConfig> from_env(const culvert::config::Env& env,
                                        const Surroundings& around);
};

}  // namespace culvert::waypoint
