#include "waypoint/codec/http1_output.h"

#include "common/base/check.h"
#include "waypoint/codec/exchange.h"
#include "waypoint/codec/http1_errors.h"

namespace culvert::waypoint {

// A write in progress. If it does not end well, or its task is destroyed, the peer may have got a
// part of it.
class Http1Output::Writing {
 public:
  explicit Writing(Http1Output& output) : output_(output) {
    CULVERT_CHECK(!output.writing_);
    output.writing_ = true;
  }
  ~Writing() {
    output_.writing_ = false;
    output_.broken_ |= !done;
    output_.changed_.wake_all();
  }
  Writing(const Writing&) = delete;
  Writing& operator=(const Writing&) = delete;
  bool done = false;

 private:
  Http1Output& output_;
};

net::Task<Result<>> Http1Output::ready(Time deadline) {
  while (writing_) {
    if (!co_await changed_.wait(deadline)) co_return Error(culvert::Errc::kTimedOut);
  }
  if (broken_) co_return Error(ExchangeErrc::kConnectionLost, "a write was given up");
  co_return Result<>{};
}

net::Task<Result<>> Http1Output::send(Bytes text, Time deadline) {
  if (broken_) co_return Error(ExchangeErrc::kConnectionLost, "a write was given up");
  Writing writing(*this);
  const auto done = co_await stream_.write(text, deadline);
  if (!done) co_return connection_lost(done.error());
  writing.done = true;
  sent_ += text.size();
  co_return Result<>{};
}

net::Task<Result<>> Http1Output::flush(Time deadline) {
  if (queue_.empty()) co_return Result<>{};
  auto done = co_await send(queue_.readable(), deadline);
  queue_.clear();
  co_return done;
}

net::Task<Result<>> Http1Output::write(Bytes data, Time deadline) {
  if (data.empty()) co_return Result<>{};
  const bool chunked = writer_.framing().kind == http1::Framing::Kind::kChunked;
  if (chunked && data.size() <= kCopied) {
    if (auto good = writer_.write(data, queue_); !good) co_return bad_message(good.error());
    if (auto done = co_await flush(deadline); !done) co_return done;
  } else {
    if (auto good = writer_.begin_data(data.size(), queue_); !good) {
      co_return bad_message(good.error());
    }
    if (auto done = co_await flush(deadline); !done) co_return done;
    if (auto done = co_await send(data, deadline); !done) co_return done;
    writer_.end_data(queue_);
    if (auto done = co_await flush(deadline); !done) co_return done;
  }
  body_sent_ += data.size();
  co_return Result<>{};
}

net::Task<Result<>> Http1Output::finish(const http::Headers& trailers, Time deadline) {
  if (auto good = writer_.finish(trailers, queue_); !good) co_return bad_message(good.error());
  if (writer_.framing().kind != http1::Framing::Kind::kTunnel) co_return co_await flush(deadline);
  if (shut_) co_return Result<>{};
  Writing writing(*this);
  const auto done = co_await stream_.shutdown_write();
  if (!done) co_return connection_lost(done.error());
  writing.done = shut_ = true;
  co_return Result<>{};
}

void Http1Output::rest() {
  if (!writing_ && queue_.capacity() > kKept) queue_.shrink();
}

}  // namespace culvert::waypoint
