#pragma once

#include "common/net/watched_file.h"
#include "waypoint/config/config_yaml.h"

#include <cstdint>
#include <memory>
#include <string>

namespace culvert::waypoint {

// WAYPOINT_CONFIG: read at start, and again whenever it changes. A version that cannot be used is
// refused whole, logged with all its errors and counted; the model before it stays. Control thread.
class ConfigFile {
 public:
  // `on_model` gets each new model; what it returns as an error refuses that version.
  // `on_rejected` is called for each version refused. Throws std::system_error when the file's
  // folder cannot be watched.
  ConfigFile(net::Reactor& control, std::string path, Self defaults,
             UniqueFunction<Result<>(const ModelPtr&)> on_model,
             UniqueFunction<void()> on_rejected);

  // The first version; a file that is missing or bad is logged and waited for.
  void load();

 private:
  void take(const Result<std::string>& text);
  Result<> apply(const Result<std::string>& text);

  Self defaults_;
  UniqueFunction<Result<>(const ModelPtr&)> on_model_;
  UniqueFunction<void()> on_rejected_;
  bool loaded_ = false;
  net::WatchedFile file_;
};

}  // namespace culvert::waypoint
