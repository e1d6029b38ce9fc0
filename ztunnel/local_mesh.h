#pragma once

#include "common/config/local_config.h"
#include "common/net/watched_file.h"
#include "common/state/store.h"

#include <memory>
#include <string>

namespace culvert::ztunnel {

// The mesh from a local file (LOCAL_XDS_PATH) or text (LOCAL_XDS): loaded at start, and again
// whenever the file changes. A file that does not parse is refused whole, counted and logged; what
// was loaded before stays. Control thread.
class LocalMesh {
 public:
  // `on_change` gets each new snapshot. `store` outlives it.
  LocalMesh(state::Store& store, UniqueFunction<void(const state::SnapshotPtr&)> on_change);

  // Error: the file cannot be read or parsed; fatal at start.
  Result<> load_file(net::Reactor& control, const std::string& path);
  Result<> load_text(const std::string& text);
  // What was loaded last, for /config_dump's staticConfig.
  [[nodiscard]] const config::LocalConfig& loaded() const { return loaded_; }
  [[nodiscard]] uint64_t rejected_reloads() const { return rejected_; }

 private:
  void reload(Result<std::string> text);
  Result<> apply(const std::string& text);

  state::Store& store_;
  UniqueFunction<void(const state::SnapshotPtr&)> on_change_;
  config::LocalConfig loaded_;
  uint64_t rejected_ = 0;
  std::unique_ptr<net::WatchedFile> file_;
};

}  // namespace culvert::ztunnel
