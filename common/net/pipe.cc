#include "common/net/pipe.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>

namespace culvert::net {
namespace {

constexpr unsigned kFlags = SPLICE_F_NONBLOCK | SPLICE_F_MOVE;

}  // namespace

std::unique_ptr<Pipe> Pipe::make() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_NONBLOCK | O_CLOEXEC) != 0) return nullptr;
  std::unique_ptr<Pipe> pipe(new Pipe(Fd(ends[0]), Fd(ends[1])));
  // Refused where the user's pipes have too many pages together: the default 64 KiB work too.
  ::fcntl(ends[1], F_SETPIPE_SZ, static_cast<int>(kCapacity));
  return pipe;
}

ssize_t Pipe::fill(int socket) {
  const ssize_t moved = ::splice(socket, nullptr, write_.get(), nullptr, kCapacity, kFlags);
  if (moved > 0) held_ += static_cast<size_t>(moved);
  return moved;
}

ssize_t Pipe::drain(int socket) {
  const ssize_t moved = ::splice(read_.get(), nullptr, socket, nullptr, held_, kFlags);
  if (moved > 0) held_ -= static_cast<size_t>(moved);
  return moved;
}

std::unique_ptr<Pipe> PipePool::take() {
  if (spare_.empty()) return Pipe::make();
  auto pipe = std::move(spare_.back());
  spare_.pop_back();
  return pipe;
}

void PipePool::give(std::unique_ptr<Pipe> pipe) {
  if (pipe != nullptr && pipe->held() == 0 && spare_.size() < kMaxSpare)
    spare_.push_back(std::move(pipe));
}

}  // namespace culvert::net
