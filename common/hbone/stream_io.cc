#include "common/hbone/stream_io.h"

#include "common/h2/errors.h"

#include <algorithm>

namespace culvert::hbone {

StreamIo::StreamIo(std::unique_ptr<Stream> stream)
    : stream_(std::move(stream)), readable_(stream_->reactor()), written_(stream_->reactor()) {
  stream_->attach(this);
}

StreamIo::~StreamIo() { stream_->attach(nullptr); }

net::Task<Result<size_t>> StreamIo::read(MutableBytes to, Time deadline) {
  reading_ = to;
  read_bytes_ = 0;
  // The buffer is the caller's: nothing may point to it once this call is over, however it ends.
  struct Release {
    MutableBytes& reading;
    ~Release() { reading = {}; }
  } const release{reading_};
  stream_->take_input();
  while (read_bytes_ == 0) {
    if (input_ended_) co_return size_t{0};
    if (failure_) co_return *failure_;
    const bool in_time = co_await readable_.wait(deadline);
    // What came at the same moment is in the caller's buffer already.
    if (!in_time && read_bytes_ == 0) co_return Error(culvert::Errc::kTimedOut);
  }
  co_return read_bytes_;
}

net::Task<Result<>> StreamIo::write(Bytes from, Time deadline) {
  writing_ = from;
  struct Release {
    Bytes& writing;
    ~Release() { writing = {}; }
  } const release{writing_};
  stream_->more_output();
  while (!writing_.empty()) {
    if (failure_) co_return *failure_;
    if (finish_) co_return Error(culvert::Errc::kClosed);
    if (!co_await written_.wait(deadline)) co_return Error(culvert::Errc::kTimedOut);
  }
  co_return Result<>{};
}

net::Task<Result<>> StreamIo::shutdown_write() {
  finish_ = true;
  stream_->more_output();
  while (!finished_) {
    if (failure_) co_return *failure_;
    co_await written_.wait();
  }
  co_return Result<>{};
}

void StreamIo::reset() {
  stream_->reset(h2::ErrorCode::kConnectError);
  if (!failure_) failure_ = Error(culvert::Errc::kCancelled);
  readable_.wake_all();
  written_.wake_all();
}

size_t StreamIo::on_data(std::span<const iovec> pieces) {
  size_t taken = 0;
  for (const iovec& piece : pieces) {
    const size_t n = std::min(piece.iov_len, reading_.size());
    std::copy_n(static_cast<const uint8_t*>(piece.iov_base), n, reading_.begin());
    reading_ = reading_.subspan(n);
    taken += n;
  }
  read_bytes_ += taken;
  if (taken > 0) readable_.wake_all();
  return taken;
}

void StreamIo::on_end() {
  input_ended_ = true;
  readable_.wake_all();
}

void StreamIo::on_reset(const Error& error) {
  if (!failure_) failure_ = error;
  readable_.wake_all();
  written_.wake_all();
}

h2::TunnelStream::Produced StreamIo::produce(std::span<const iovec> to) {
  size_t given = 0;
  for (const iovec& part : to) {
    const size_t n = std::min(part.iov_len, writing_.size());
    std::copy_n(writing_.begin(), n, static_cast<uint8_t*>(part.iov_base));
    writing_ = writing_.subspan(n);
    given += n;
  }
  const bool end = finish_ && writing_.empty();
  if (writing_.empty()) written_.wake_all();
  finished_ |= end;
  return {.bytes = given, .end = end};
}

}  // namespace culvert::hbone
