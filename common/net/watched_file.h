#pragma once

#include "common/base/result.h"
#include "common/base/unique_function.h"
#include "common/net/file_watch.h"

#include <string>

namespace culvert::net {

// The text of a file, now and whenever it changes. Its reactor's thread.
class WatchedFile {
 public:
  // `on_change` gets each new text, or why the file cannot be read; not called while the text is
  // what it was. Throws std::system_error when the file's folder cannot be watched.
  WatchedFile(Reactor& reactor, std::string path,
              UniqueFunction<void(Result<std::string>)> on_change);

  // The text as it is now, with which later ones are compared. The watch began earlier, so no
  // change in between is missed.
  Result<std::string> read();
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  void changed();

  std::string path_;
  std::string last_;
  UniqueFunction<void(Result<std::string>)> on_change_;
  FileWatch watch_;
};

}  // namespace culvert::net
