#include "common/base/log_writer.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <future>
#include <string>

namespace culvert::log {
namespace {

struct Pipe {
  Pipe() { EXPECT_EQ(::pipe(ends.data()), 0); }
  ~Pipe() {
    close_read();
    close_write();
  }
  void close_read() { close_end(0); }
  void close_write() { close_end(1); }
  void close_end(size_t i) {
    if (ends[i] >= 0) ::close(ends[i]);
    ends[i] = -1;
  }
  std::array<int, 2> ends{-1, -1};
};

std::string read_to_end(int fd) {
  std::string all;
  std::array<char, 65536> chunk{};
  for (ssize_t n = 0; (n = ::read(fd, chunk.data(), chunk.size())) > 0;) {
    all.append(chunk.data(), static_cast<size_t>(n));
  }
  return all;
}

TEST(LogWriter, WritesEverythingInOrderBeforeItEnds) {
  Pipe pipe;
  auto reader = std::async(std::launch::async, read_to_end, pipe.ends[0]);
  std::string expected;
  {
    Writer writer(pipe.ends[1]);
    for (int i = 0; i < 5000; ++i) {
      const std::string line = "line " + std::to_string(i) + "\n";
      expected += line;
      writer.push(line);
    }
  }
  pipe.close_write();
  EXPECT_EQ(reader.get(), expected);
}

TEST(LogWriter, AFullQueueBlocksTheProducerUntilThereIsRoom) {
  Pipe pipe;
  constexpr size_t kLimit = 4;
  const std::string line(32 * 1024, 'x');  // three fill the pipe, nobody reads yet
  constexpr size_t kLines = 2 * Writer::kBatch + 40;
  std::atomic<size_t> pushed = 0;
  std::string read;
  {
    Writer writer(pipe.ends[1], kLimit);
    auto producer = std::async(std::launch::async, [&] {
      for (size_t i = 0; i < kLines; ++i) {
        writer.push(line);
        ++pushed;
      }
    });
    // At most one batch is in the writer's hands and `kLimit` are queued: the producer cannot be
    // done.
    EXPECT_EQ(producer.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
    EXPECT_LE(pushed.load(), Writer::kBatch + kLimit + 4);
    auto reader = std::async(std::launch::async, [&] {
      std::array<char, 65536> chunk{};
      while (read.size() < kLines * line.size()) {
        const ssize_t n = ::read(pipe.ends[0], chunk.data(), chunk.size());
        if (n <= 0) break;
        read.append(chunk.data(), static_cast<size_t>(n));
      }
    });
    producer.get();
    reader.get();
  }
  EXPECT_EQ(pushed.load(), kLines);
  EXPECT_EQ(read.size(), kLines * line.size());
}

TEST(LogWriter, ABrokenDescriptorDoesNotStopTheProcess) {
  Pipe pipe;
  const auto previous = std::signal(SIGPIPE, SIG_IGN);
  pipe.close_read();
  {
    Writer writer(pipe.ends[1], 2);
    for (int i = 0; i < 100; ++i) writer.push("nobody reads this\n");
  }
  std::signal(SIGPIPE, previous);
}

}  // namespace
}  // namespace culvert::log
