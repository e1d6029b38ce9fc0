#include "common/base/log_writer.h"

#include <poll.h>
#include <pthread.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <vector>

namespace culvert::log {
namespace {

// Everything or, if the descriptor is broken, nothing more.
void write_all(int fd, std::vector<std::string>& lines) {
  std::array<iovec, Writer::kBatch> parts{};
  size_t count = 0;
  for (std::string& line : lines) parts[count++] = {line.data(), line.size()};
  iovec* next = parts.data();
  while (count > 0) {
    const ssize_t written = ::writev(fd, next, static_cast<int>(count));
    if (written < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN) return;
      // Standard output may be a pipe somebody else made non-blocking.
      pollfd writable{fd, POLLOUT, 0};
      ::poll(&writable, 1, -1);
      continue;
    }
    size_t rest = static_cast<size_t>(written);
    while (count > 0 && rest >= next->iov_len) {
      rest -= next->iov_len;
      ++next;
      --count;
    }
    if (count > 0) {
      next->iov_base = static_cast<char*>(next->iov_base) + rest;
      next->iov_len -= rest;
    }
  }
}

}  // namespace

Writer::Writer(int fd, size_t max_lines)
    : fd_(fd), max_lines_(max_lines), thread_([this] { run(); }) {}

Writer::~Writer() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  arrived_.notify_one();
  thread_.join();
}

void Writer::push(std::string line) {
  {
    std::unique_lock lock(mutex_);
    not_full_.wait(lock, [this] { return lines_.size() < max_lines_; });
    lines_.push_back(std::move(line));
    // A writer that is busy looks at the queue again by itself; one that gathers, when its time is
    // up.
    if (lines_.size() != 1 && lines_.size() != kBatch) return;
  }
  arrived_.notify_one();
}

void Writer::run() {
  pthread_setname_np(pthread_self(), "log");
  // Signals belong to the main thread; a closed pipe must be an error value, not SIGPIPE.
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);

  std::vector<std::string> batch;
  std::chrono::steady_clock::time_point gather_until;
  for (;;) {
    batch.clear();
    {
      std::unique_lock lock(mutex_);
      arrived_.wait(lock, [this] { return stopping_ || !lines_.empty(); });
      arrived_.wait_until(lock, gather_until,
                          [this] { return stopping_ || lines_.size() >= kBatch; });
      if (lines_.empty()) return;
      const size_t count = std::min(lines_.size(), kBatch);
      std::move(lines_.begin(), lines_.begin() + static_cast<std::ptrdiff_t>(count),
                std::back_inserter(batch));
      lines_.erase(lines_.begin(), lines_.begin() + static_cast<std::ptrdiff_t>(count));
    }
    not_full_.notify_all();
    write_all(fd_, batch);
    gather_until = std::chrono::steady_clock::now() + kGather;
  }
}

}  // namespace culvert::log
