#include "waypoint/process_config.h"

#include "common/base/file.h"
#include "common/config/memory_budget.h"
#include "common/config/proxy_config.h"
#include "common/net/address.h"
#include "waypoint/command_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string_view>
#include <utility>

namespace culvert::waypoint {
namespace {

using culvert::config::Env;
using culvert::config::EnvReader;
using culvert::config::ProxyConfig;
using std::chrono::nanoseconds;
using std::chrono::seconds;

// FAKE_CA's folder: the image's root file system is read-only except for /tmp.
constexpr const char* kFakeCaDir = "/tmp/culvert-development-ca";
constexpr unsigned kMostThreads = 4096;  // more is a typing error

std::optional<std::string> non_empty(const EnvReader& env, const std::string& name) {
  auto value = env.text(name);
  return value && !value->empty() ? value : std::nullopt;
}

// The first of several variables that is set.
void read_name(const EnvReader& env, std::initializer_list<const char*> names, std::string& out) {
  for (const char* name : names) {
    if (auto value = non_empty(env, name)) {
      out = std::move(*value);
      return;
    }
  }
}

std::optional<ProxyConfig> read_proxy_config(const Env& env, std::string& error) {
  const auto text = env.find("PROXY_CONFIG");
  if (text == env.end() || text->second.empty()) return std::nullopt;
  auto parsed = culvert::config::parse_proxy_config(text->second);
  if (parsed) return std::move(*parsed);
  error = fmt::format("invalid env var PROXY_CONFIG ({})", parsed.error().message());
  return std::nullopt;
}

void read_self(const EnvReader& env, const CommandLine& line, ProcessConfig& config) {
  Self& self = config.self;
  config.identity_given =
      non_empty(env, "POD_NAMESPACE").has_value() && non_empty(env, "SERVICE_ACCOUNT").has_value();
  read_name(env, {"ISTIO_META_WORKLOAD_NAME"}, self.name);
  self.service_account = self.name;
  read_name(env, {"POD_NAMESPACE"}, self.namespace_);
  read_name(env, {"SERVICE_ACCOUNT", "ISTIO_META_SERVICE_ACCOUNT"}, self.service_account);
  read_name(env, {"TRUST_DOMAIN"}, self.trust_domain);
  read_name(env, {"ISTIO_META_CLUSTER_ID", "CLUSTER_ID"}, self.cluster_id);
  read_name(env, {"ISTIO_META_NETWORK"}, self.network);
  // --domain is "<namespace>.svc.<cluster domain>".
  constexpr std::string_view kService = ".svc.";
  const size_t service = line.domain.find(kService);
  if (service != std::string::npos) {
    self.cluster_domain = line.domain.substr(service + kService.size());
  }
  config.pod_name = env.text("POD_NAME", "");
}

void read_instance_ip(EnvReader& env, ProcessConfig& config) {
  config.instance_ip = env.text("INSTANCE_IP", "");
  if (config.instance_ip.empty()) return;
  if (const auto ip = net::IpAddress::parse(config.instance_ip); !ip) {
    env.reject("INSTANCE_IP", ip.error().message());
  }
}

void read_ca(EnvReader& env, ProcessConfig& config) {
  const bool fake = env.boolean("FAKE_CA", false);
  config.ca_dir = non_empty(env, "LOCAL_CA_DIR").value_or(fake ? kFakeCaDir : "");
  config.secret_ttl = env.duration("SECRET_TTL", config.secret_ttl);
  if (config.secret_ttl <= nanoseconds(0)) env.reject("SECRET_TTL", "must be more than 0");
  if (config.ca_dir.empty()) {
    env.fail(
        "no certificate authority: set LOCAL_CA_DIR to a folder for a development CA (this build "
        "does not fetch certificates from CA_ADDR)");
  }
  if (const auto address = non_empty(env, "CA_ADDR")) {
    config.warnings.push_back(
        fmt::format("CA_ADDR {} is not used: certificates come from the development CA", *address));
  }
}

void read_threads(EnvReader& env, const ProxyConfig& proxy_config, const CommandLine& line,
                  unsigned cpus, ProcessConfig& config) {
  const auto own = env.optional_number<uint16_t>("CONCURRENCY");
  const auto limit = env.cpu_quantity("ISTIO_CPU_LIMIT");
  uint64_t threads = own.value_or(proxy_config.concurrency.value_or(line.concurrency.value_or(0)));
  const bool given = own || proxy_config.concurrency || line.concurrency;
  if (!given && limit) threads = *limit;
  if (threads == 0) threads = cpus;
  config.worker_threads = static_cast<unsigned>(std::clamp<uint64_t>(threads, 1, kMostThreads));
}

void read_drain(EnvReader& env, const ProxyConfig& proxy_config, ProcessConfig& config) {
  auto& drain = config.drain;
  drain.duration = proxy_config.termination_drain_duration.value_or(drain.duration);
  if (const auto given = env.optional_number<uint32_t>("TERMINATION_DRAIN_DURATION_SECONDS")) {
    drain.duration = seconds(*given);
  }
  drain.until_idle = env.boolean("EXIT_ON_ZERO_ACTIVE_CONNECTIONS", false);
  const auto minimum = env.duration("MINIMUM_DRAIN_DURATION", seconds(5));
  drain.accepting = drain.until_idle ? minimum : drain.duration / 2;
}

void read_ports(EnvReader& env, const ProxyConfig& proxy_config, const Surroundings& around,
                ProcessConfig& config) {
  config.ipv6 = env.boolean("IPV6_ENABLED", true) && around.ipv6;
  config.ipv6_loopback = config.ipv6 && around.ipv6_loopback;
  config.admin_port = proxy_config.proxy_admin_port.value_or(config.admin_port);
  config.stats_port = proxy_config.stats_port.value_or(config.stats_port);
}

void read_logging(EnvReader& env, const CommandLine& line, ProcessConfig& config) {
  const bool json = line.log_as_json || env.equals("LOG_FORMAT", "json");
  config.log_format = json ? log::Format::kJson : log::Format::kText;
  config.log_filter =
      non_empty(env, "RUST_LOG")
          .value_or(fmt::format("{},waypoint::proxy={}", line.output_level, line.proxy_level));
  if (const auto filter = log::Filter::parse(config.log_filter); !filter) {
    env.reject("RUST_LOG", filter.error().message());
  }
}

}  // namespace

Surroundings read_surroundings(int argc, const char* const* argv) {
  Surroundings around;
  if (argc > 1) around.args.assign(argv + 1, argv + argc);
  around.cpus = usable_cpus();
  around.memory = memory_use();
  std::error_code ignored;
  around.ipv6 = std::filesystem::exists("/proc/net/if_inet6", ignored);
  const auto disabled = read_file("/proc/sys/net/ipv6/conf/lo/disable_ipv6");
  around.ipv6_loopback = disabled && !disabled->starts_with('1');
  return around;
}

Result<ProcessConfig> ProcessConfig::from_env(const Env& given, const Surroundings& around) {
  std::string proxy_config_error;
  const ProxyConfig proxy_config =
      read_proxy_config(given, proxy_config_error).value_or(ProxyConfig());
  Env merged = given;
  merged.insert(proxy_config.proxy_metadata.begin(), proxy_config.proxy_metadata.end());
  EnvReader env(merged);
  if (!proxy_config_error.empty()) env.fail(proxy_config_error);
  const CommandLine line = parse_command_line(around.args, env);

  ProcessConfig config;
  config.istio_version = env.text("ISTIO_META_ISTIO_VERSION", config.istio_version);
  config.config_path = env.text("WAYPOINT_CONFIG", "");
  if (config.config_path.empty()) {
    env.fail(
        "no configuration: set WAYPOINT_CONFIG to a file (this build does not speak xDS to "
        "istiod)");
  }
  read_self(env, line, config);
  read_instance_ip(env, config);
  read_ca(env, config);
  read_threads(env, proxy_config, line, around.cpus, config);
  config.memory_budget = culvert::config::process_memory_budget(env, around.memory);
  read_drain(env, proxy_config, config);
  read_ports(env, proxy_config, around, config);
  read_logging(env, line, config);
  if (auto result = env.result(); !result) return result.error();
  return config;
}

}  // namespace culvert::waypoint
