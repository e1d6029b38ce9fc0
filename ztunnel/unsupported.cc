#include "ztunnel/unsupported.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>

namespace culvert::ztunnel {
namespace {

// Of xDS and of certificates from istiod, and of the resolver of workloads known by host name.
constexpr std::array kNames{"XDS_ADDRESS",      "XDS_ROOT_CA",
                            "ALT_XDS_HOSTNAME", "CA_ADDRESS",
                            "CA_ROOT_CA",       "AUTH_TOKEN",
                            "ALT_CA_HOSTNAME",  "XDS_ON_DEMAND",
                            "CLUSTER_DOMAIN",   "PREFERED_SERVICE_NAMESPACE"};
constexpr std::array kPrefixes{"XDS_HEADER_", "CA_HEADER_"};

std::vector<std::string> without_effect(const config::Env& all) {
  std::vector<std::string> names;
  for (const char* name : kNames)
    if (const auto found = all.find(name); found != all.end() && !found->second.empty())
      names.emplace_back(name);
  for (const char* prefix : kPrefixes)
    for (auto it = all.lower_bound(prefix); it != all.end() && it->first.starts_with(prefix); ++it)
      names.push_back(it->first);
  return names;
}

}  // namespace

void report_unsupported(const config::Env& all, config::EnvReader& env, Config& config) {
  // A list that is not read would let the revoked in.
  if (config.tls.crl_path)
    env.reject("CRL_PATH", "this build checks no revocation lists; unset it to run without");
  if (!config.proxy && config.dns_proxy)
    env.reject("ENABLE_PROXY", "leaves nothing to run: the DNS proxy is not in this build");
  if (config.dns_proxy)
    config.warnings.push_back(fmt::format(
        "the DNS proxy is not in this build, nothing listens on port {}: DNS must not be "
        "redirected "
        "to it (ambient.dnsCapture=false of istio-cni); ISTIO_META_DNS_CAPTURE=false ends this "
        "warning",
        config.listeners.dns.port()));
  if (config.listeners.socks5)
    config.warnings.push_back(fmt::format(
        "UNSTABLE_ENABLE_SOCKS5: no SOCKS5 proxy is in this build, nothing listens on port {}",
        config.listeners.socks5->port));
  if (const auto names = without_effect(all); !names.empty())
    config.warnings.push_back(fmt::format(
        "without effect, as the mesh's state comes from a local file, certificates from "
        "a development CA, and host names are not resolved: {}",
        fmt::join(names, ", ")));
}

}  // namespace culvert::ztunnel
