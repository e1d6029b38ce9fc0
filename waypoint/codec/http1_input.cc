#include "waypoint/codec/http1_input.h"

#include "common/base/check.h"

namespace culvert::waypoint {

Http1Input::Http1Input(net::Reactor& reactor, net::ByteStream& stream, net::Event& changed,
                       std::chrono::milliseconds keep_large)
    : stream_(stream),
      changed_(changed),
      keep_large_(keep_large),
      room_(reactor),
      reader_(reactor) {}

void Http1Input::consume(size_t n) {
  CULVERT_CHECK(n <= end_ - begin_);
  begin_ += n;
  // The offsets stay: a read into the rest of the buffer may be pending.
  if (n > 0 && begin_ == end_) room_.wake_all();
}

net::Task<bool> Http1Input::more(Time deadline) {
  while (readable().empty() && !ended()) {
    if (!co_await changed_.wait(deadline)) co_return false;
  }
  co_return true;
}

// Only while nothing is readable and no read is pending.
void Http1Input::make_room(size_t capacity) {
  begin_ = end_ = 0;
  if (capacity == capacity_) return;
  data_ = std::make_unique_for_overwrite<uint8_t[]>(capacity);
  capacity_ = capacity;
}

net::Task<> Http1Input::read_all() {
  make_room(kSmall);
  for (;;) {
    const bool full = end_ == capacity_;
    while (end_ == capacity_ && begin_ != end_) co_await room_.wait();
    if (begin_ == end_) make_room(full ? kLarge : capacity_);
    const Time give_back = capacity_ > kSmall ? Clock::now() + keep_large_ : kNever;
    const MutableBytes space(data_.get() + end_, capacity_ - end_);
    const auto got = co_await stream_.read(space, give_back);
    if (got && *got > 0) {
      end_ += *got;
      changed_.wake_all();
    } else if (got) {
      eof_ = true;
      break;
    } else if (got.error().code != culvert::Errc::kTimedOut) {
      error_ = got.error();
      break;
    } else if (begin_ == end_) {
      make_room(kSmall);
    }
  }
  changed_.wake_all();
}

}  // namespace culvert::waypoint
