#include "common/admin/version.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

// Set by this folder's CMakeLists.txt.
#ifndef CULVERT_VERSION
#define CULVERT_VERSION "unknown"
#define CULVERT_GIT_REVISION "unknown"
#define CULVERT_BUILD_STATUS "unknown"
#define CULVERT_BUILD_PROFILE "unknown"
#endif

namespace culvert::admin {

Version Version::of(std::string istio_version) {
  return {CULVERT_VERSION,      CULVERT_GIT_REVISION,     __VERSION__, CULVERT_BUILD_PROFILE,
          CULVERT_BUILD_STATUS, std::move(istio_version), "boringssl"};
}

std::string Version::line() const {
  return fmt::format(
      R"(version.BuildInfo{{Version:"{}", GitRevision:"{}", RustVersion:"{}", BuildProfile:"{}", )"
      R"(BuildStatus:"{}", IstioVersion:"{}", CryptoProvider:"{}"}})",
      version, git_revision, rust_version, build_profile, build_status, istio_version,
      crypto_provider);
}

nlohmann::json Version::to_json() const {
  return {{"version", version},
          {"gitRevision", git_revision},
          {"rustVersion", rust_version},
          {"buildProfile", build_profile},
          {"buildStatus", build_status},
          {"istioVersion", istio_version},
          {"cryptoProvider", crypto_provider}};
}

}  // namespace culvert::admin
