#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

namespace culvert::admin {

// What this binary is. The keys are those of Istio's ztunnel, which tools read; "rustVersion"
// carries the C++ compiler's.
struct Version {
  std::string version, git_revision, rust_version, build_profile, build_status, istio_version,
      crypto_provider;

  // Build-time facts, and the given ISTIO_META_ISTIO_VERSION.
  static Version of(std::string istio_version);
  // version.BuildInfo{Version:"…", GitRevision:"…", …}, without a line feed.
  [[nodiscard]] std::string line() const;
  [[nodiscard]] nlohmann::json to_json() const;
};

}  // namespace culvert::admin
