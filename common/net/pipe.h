#pragma once

#include "common/net/fd.h"

#include <cstddef>
#include <memory>
#include <vector>

namespace culvert::net {

// A pipe for splice(2): bytes go from socket to socket through it without being copied into the
// process. Non-blocking.
class Pipe {
 public:
  static constexpr size_t kCapacity = 1024 * 1024;  // what an unprivileged process may ask for
  // nullptr: the process is out of descriptors or pipe memory; copying works without.
  static std::unique_ptr<Pipe> make();

  // Moves what `socket` has, as far as there is room; as ::splice(2): bytes, 0 at the end of input,
  // -1 with errno.
  ssize_t fill(int socket);
  // Moves what is in the pipe to `socket`; -1 with errno.
  ssize_t drain(int socket);
  [[nodiscard]] size_t held() const { return held_; }

 private:
  Pipe(Fd read, Fd write) : read_(std::move(read)), write_(std::move(write)) {}
  Fd read_, write_;
  size_t held_ = 0;
};

// The pipes of one worker: a connection has one only while it moves bytes. Not thread-safe.
class PipePool {
 public:
  static constexpr size_t kMaxSpare = 8;
  // nullptr as Pipe::make.
  std::unique_ptr<Pipe> take();
  // Empty ones are used again; one that holds bytes is closed with them.
  void give(std::unique_ptr<Pipe> pipe);

 private:
  std::vector<std::unique_ptr<Pipe>> spare_;
};

}  // namespace culvert::net
