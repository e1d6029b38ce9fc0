#include "common/net/file_watch.h"

#include <sys/inotify.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <system_error>

namespace culvert::net {
namespace {

constexpr auto kSettleTime = std::chrono::milliseconds(100);

}  // namespace

FileWatch::FileWatch(Reactor& reactor, const std::string& path, UniqueFunction<void()> on_change)
    : reactor_(reactor), settled_(reactor, std::move(on_change)) {
  auto folder = std::filesystem::path(path).parent_path().string();
  if (folder.empty()) folder = ".";
  inotify_ = Fd(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  constexpr uint32_t kMask = IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_DELETE;
  if (!inotify_ || ::inotify_add_watch(inotify_.get(), folder.c_str(), kMask) < 0 ||
      !reactor_.add(inotify_.get(), EPOLLIN, *this))
    throw std::system_error(errno, std::system_category(), "cannot watch " + folder);
}

FileWatch::~FileWatch() { reactor_.remove(inotify_.get(), *this); }

void FileWatch::on_events(uint32_t /*events*/) {
  std::array<char, 4096> ignored;
  while (::read(inotify_.get(), ignored.data(), ignored.size()) > 0) {
  }
  // From the first event on: what else happens in the folder (a log) is not to postpone it for
  // ever.
  if (!settled_.armed()) settled_.arm_in(kSettleTime);
}

}  // namespace culvert::net
