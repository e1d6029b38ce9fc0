#pragma once

#include "common/net/event.h"
#include "common/net/fd.h"

#include <string>

namespace culvert::net {

// Tells when a file may have changed: written, replaced by rename, or swapped behind a symbolic
// link as Kubernetes does with mounted ConfigMaps. Watches the file's folder, so the file may also
// come later. Several events within a moment are one.
class FileWatch final : private Watch {
 public:
  // Throws std::system_error when the folder cannot be watched. `on_change` runs on the reactor.
  FileWatch(Reactor& reactor, const std::string& path, UniqueFunction<void()> on_change);
  ~FileWatch();
  FileWatch(const FileWatch&) = delete;
  FileWatch& operator=(const FileWatch&) = delete;

 private:
  void on_events(uint32_t events) override;

  Reactor& reactor_;
  Fd inotify_;
  Timer settled_;
};

}  // namespace culvert::net
