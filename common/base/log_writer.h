#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <string>
#include <thread>

namespace culvert::log {

// A bounded queue of lines and one thread that writes them to a file descriptor, up to kBatch lines
// per call. A line that follows another within kGather waits that long for more: waking the thread
// and writing cost much more than the line itself, and a busy proxy writes thousands a second. A
// line after a pause is written at once. A full queue blocks the producer, so no line is lost. If
// the descriptor fails (a closed pipe), lines are dropped: there is nobody left to tell.
class Writer {
 public:
  static constexpr size_t kMaxLines = 10'000;
  static constexpr size_t kBatch = 256;
  static constexpr std::chrono::milliseconds kGather{10};

  // Does not own `fd`. Starts the thread.
  explicit Writer(int fd, size_t max_lines = kMaxLines);
  // Writes what is queued, then joins.
  ~Writer();
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  // Any thread; waits while the queue is full.
  void push(std::string line);

 private:
  void run();

  const int fd_;
  const size_t max_lines_;
  std::mutex mutex_;
  std::condition_variable arrived_, not_full_;  // a first line, a whole batch, the end
  std::deque<std::string> lines_;
  bool stopping_ = false;
  std::thread thread_;  // last: starts when everything above exists
};

}  // namespace culvert::log
