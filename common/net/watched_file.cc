#include "common/net/watched_file.h"

#include "common/base/file.h"

namespace culvert::net {

WatchedFile::WatchedFile(Reactor& reactor, std::string path,
                         UniqueFunction<void(Result<std::string>)> on_change)
    : path_(std::move(path)),
      on_change_(std::move(on_change)),
      watch_(reactor, path_, [this] { changed(); }) {}

Result<std::string> WatchedFile::read() {
  auto text = read_file(path_);
  if (text) last_ = *text;
  return text;
}

void WatchedFile::changed() {
  auto text = read_file(path_);
  if (text) {
    if (*text == last_) return;
    last_ = *text;
  }
  on_change_(std::move(text));
}

}  // namespace culvert::net
