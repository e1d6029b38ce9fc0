#include "ztunnel/surroundings.h"

#include "common/base/file.h"

#include <fmt/format.h>

#include <filesystem>

namespace culvert::ztunnel {

Result<Surroundings> read_surroundings(int argc, const char* const* argv) {
  Surroundings around;
  if (argc > 1) around.args.assign(argv + 1, argv + argc);
  around.exists = [](const std::string& path) {
    std::error_code error;
    return std::filesystem::exists(path, error);
  };
  around.cpus = usable_cpus();
  around.memory = memory_use();

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
    around.warnings.push_back(
        fmt::format("no resolver in /config_dump: {}", resolv_conf.error().message()));
  }
  return around;
}

}  // namespace culvert::ztunnel
