#include "ztunnel/surroundings.h"

#include "common/config/env.h"

#include <fmt/format.h>

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

namespace culvert::ztunnel {
namespace {

Result<std::string> read_file(const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) return system_error(errno != 0 ? errno : EIO, path);
  std::string content{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (file.bad()) return system_error(EIO, path);
  return content;
}

unsigned usable_cpus() {
  unsigned cpus = std::max(1U, std::thread::hardware_concurrency());
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) {
    cpus = static_cast<unsigned>(std::max(1, CPU_COUNT(&allowed)));
  }
  // A container sees its own cgroup as the root of the hierarchy.
  if (const auto cpu_max = read_file("/sys/fs/cgroup/cpu.max")) {
    if (const auto granted = cgroup_cpus(*cpu_max)) cpus = std::min(cpus, *granted);
  }
  return cpus;
}

}  // namespace

std::optional<unsigned> cgroup_cpus(std::string_view cpu_max) {
  const size_t space = cpu_max.find(' ');
  if (space == std::string_view::npos) return std::nullopt;
  std::string_view period_text = cpu_max.substr(space + 1);
  if (period_text.ends_with('\n')) period_text.remove_suffix(1);
  const auto quota = config::parse_unsigned(cpu_max.substr(0, space), UINT32_MAX);
  const auto period = config::parse_unsigned(period_text, UINT32_MAX);
  if (!quota || !period || *period == 0) return std::nullopt;
  return static_cast<unsigned>(std::max<uint64_t>(1, (*quota + *period - 1) / *period));
}

Result<Surroundings> read_surroundings(int argc, const char* const* argv) {
  Surroundings around;
  if (argc > 1) around.args.assign(argv + 1, argv + argc);
  around.exists = [](const std::string& path) {
    std::error_code error;
    return std::filesystem::exists(path, error);
  };
  around.cpus = usable_cpus();

  auto mesh = read_file(kMeshConfigPath);
  if (mesh) {
    around.mesh_config = std::move(*mesh);
  } else if (mesh.error().code != std::errc::no_such_file_or_directory &&
             mesh.error().code != std::errc::not_a_directory) {
    return invalid(fmt::format("error parsing proxy config: failed parsing mesh config file {}",
                               mesh.error().message()));
  }
  if (auto disabled = read_file("/proc/sys/net/ipv6/conf/lo/disable_ipv6")) {
    around.ipv6_loopback = !disabled->starts_with('1');
  } else {
    around.warnings.push_back(
        fmt::format("cannot tell whether IPv6 is enabled on lo ({}); assuming that it is",
                    disabled.error().message()));
  }
  if (auto resolv_conf = read_file("/etc/resolv.conf")) {
    around.resolv_conf = std::move(*resolv_conf);
  } else {
    around.warnings.push_back(fmt::format("{}; workloads known by hostname only will not resolve",
                                          resolv_conf.error().message()));
  }
  return around;
}

}  // namespace culvert::ztunnel
