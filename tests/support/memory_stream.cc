#include "tests/support/memory_stream.h"

#include <algorithm>
#include <cerrno>

namespace culvert::test {

struct MemoryStream::Pipe {
  Pipe(net::Reactor& reactor, size_t most) : capacity(most), changed(reactor) {}
  const size_t capacity;
  ByteQueue bytes;
  bool ended = false, reset = false;
  net::Event changed;
};

std::pair<std::unique_ptr<MemoryStream>, std::unique_ptr<MemoryStream>> MemoryStream::pair(
    net::Reactor& reactor, size_t capacity) {
  auto one = std::make_shared<Pipe>(reactor, capacity);
  auto other = std::make_shared<Pipe>(reactor, capacity);
  return {std::unique_ptr<MemoryStream>(new MemoryStream(one, other)),
          std::unique_ptr<MemoryStream>(new MemoryStream(other, one))};
}

MemoryStream::~MemoryStream() {
  if (!in_->ended || !out_->ended) reset();
}

bool MemoryStream::fails() {
  if (!operations_left_) return false;
  if (*operations_left_ > 0) {
    --*operations_left_;
    return false;
  }
  reset();
  return true;
}

net::Task<Result<size_t>> MemoryStream::read(MutableBytes to, Time deadline) {
  const std::shared_ptr<Pipe> pipe = in_;
  while (pipe->bytes.empty() && !pipe->ended && !pipe->reset) {
    if (!co_await pipe->changed.wait(deadline)) co_return Error(culvert::Errc::kTimedOut);
  }
  if (fails() || pipe->reset) co_return system_error(ECONNRESET);
  size_t n = std::min(to.size(), pipe->bytes.size());
  if (limit_) n = std::min(n, std::max<size_t>(1, limit_()));
  std::copy_n(pipe->bytes.readable().begin(), n, to.begin());
  pipe->bytes.consume(n);
  pipe->changed.wake_all();
  co_return n;
}

net::Task<Result<>> MemoryStream::write(Bytes from, Time deadline) {
  const std::shared_ptr<Pipe> pipe = out_;
  if (fails()) co_return system_error(ECONNRESET);
  while (!from.empty()) {
    while (pipe->bytes.size() >= pipe->capacity && !pipe->reset) {
      if (!co_await pipe->changed.wait(deadline)) co_return Error(culvert::Errc::kTimedOut);
    }
    if (pipe->reset || pipe->ended) co_return system_error(EPIPE);
    const size_t n = std::min(from.size(), pipe->capacity - pipe->bytes.size());
    pipe->bytes.append(from.first(n));
    pipe->changed.wake_all();
    from = from.subspan(n);
  }
  co_return Result<>{};
}

net::Task<Result<>> MemoryStream::shutdown_write() {
  if (fails() || out_->reset) co_return system_error(ECONNRESET);
  finish_output();
  co_return Result<>{};
}

void MemoryStream::reset() {
  for (Pipe* pipe : {in_.get(), out_.get()}) {
    pipe->reset = true;
    pipe->bytes.clear();
    pipe->changed.wake_all();
  }
}

void MemoryStream::put(std::string_view text) {
  if (out_->reset) return;
  out_->bytes.append(as_bytes(text));
  out_->changed.wake_all();
}

void MemoryStream::finish_output() {
  out_->ended = true;
  out_->changed.wake_all();
}

std::string MemoryStream::take() {
  std::string text(as_text(in_->bytes.readable()));
  in_->bytes.clear();
  in_->changed.wake_all();
  return text;
}

bool MemoryStream::ended() const { return in_->ended && in_->bytes.empty(); }

bool MemoryStream::was_reset() const { return in_->reset; }

}  // namespace culvert::test
