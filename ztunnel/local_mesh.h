#pragma once

#include "common/base/file.h"
#include "common/base/unique_function.h"
#include "common/config/json_text.h"
#include "common/config/local_config.h"
#include "common/net/event.h"
#include "common/net/file_watch.h"
#include "common/state/store.h"
#include "ztunnel/config.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace culvert::ztunnel {

// The mesh from a local file (LOCAL_XDS_PATH) or text (LOCAL_XDS): loaded at start, and again
// whenever the file changes. A file that does not parse is refused whole, counted and logged; what
// was loaded before stays. The text, which may be large, is read once, in pieces, and not kept.
// Control thread.
class LocalMesh {
 public:
  // `on_change` gets each new snapshot; `on_rejected` hears of each changed file that cannot be
  // used. `store` outlives it.
  LocalMesh(state::Store& store, UniqueFunction<void(const state::SnapshotPtr&)> on_change,
            UniqueFunction<void()> on_rejected);

  // Error: the file cannot be read or parsed; fatal at start.
  Result<> load_file(net::Reactor& control, const std::string& path);
  Result<> load_text(const std::string& text);

 private:
  Result<> read_and_publish();
  void publish(const config::LocalCounts& counts);
  void reload();

  state::Store& store_;
  UniqueFunction<void(const state::SnapshotPtr&)> on_change_;
  UniqueFunction<void()> on_rejected_;
  std::string path_;
  // Of the file that was read last, whether it could be used or not.
  std::optional<FileVersion> version_;  // none: it may change without showing
  std::optional<uint64_t> digest_;
  std::unique_ptr<net::FileWatch> watch_;
  std::unique_ptr<net::Timer> tidy_;
};

// What the local file or text says now, for /config_dump's staticConfig: read anew, as Istio's
// ztunnel does; empty lists if there is none or it cannot be used. Any thread.
void write_static_config(const Config::Xds& source, config::JsonText& out);

}  // namespace culvert::ztunnel
