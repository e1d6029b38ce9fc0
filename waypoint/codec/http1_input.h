#pragma once

#include "common/base/bytes.h"
#include "common/base/error.h"
#include "common/net/byte_stream.h"
#include "common/net/event.h"
#include "common/net/scope.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

namespace culvert::waypoint {

// The input of one HTTP/1 connection. A task of its own always has a read pending while there is
// room, so that the end of the connection is noticed whatever else goes on; what nobody takes fills
// the buffer and then stays with the sender. One read is never cancelled for another: the bytes
// that it just got would be lost.
//
// The buffer is small while the connection is idle, grows when it was filled, and is given back
// when nothing came for a while. Bytes never move while they are readable. Worker thread.
class Http1Input {
 public:
  static constexpr size_t kSmall = 1024, kLarge = 16 * 1024;
  static constexpr std::chrono::seconds kKeepLarge{10};

  // `changed` is woken by every arrival and by the end. All references outlive it.
  Http1Input(net::Reactor& reactor, net::ByteStream& stream, net::Event& changed,
             std::chrono::milliseconds keep_large = kKeepLarge);
  Http1Input(const Http1Input&) = delete;
  Http1Input& operator=(const Http1Input&) = delete;

  // Begins to read. Call once.
  void start() { reader_.spawn(read_all()); }

  // What came and was not consumed. Stays where it is until it is.
  [[nodiscard]] Bytes readable() const { return {data_.get() + begin_, end_ - begin_}; }
  void consume(size_t n);
  // False: the deadline came before a byte or the end.
  net::Task<bool> more(Time deadline);

  // Nothing comes behind what is readable. After a failure, nothing can be sent either.
  [[nodiscard]] bool ended() const { return eof_ || error_.has_value(); }
  [[nodiscard]] bool eof() const { return eof_; }
  [[nodiscard]] const std::optional<Error>& error() const { return error_; }
  [[nodiscard]] size_t capacity() const { return capacity_; }

 private:
  net::Task<> read_all();
  void make_room(size_t capacity);

  net::ByteStream& stream_;
  net::Event& changed_;
  const std::chrono::milliseconds keep_large_;
  net::Event room_;  // all was consumed
  std::unique_ptr<uint8_t[]> data_;
  size_t capacity_ = 0, begin_ = 0, end_ = 0;
  bool eof_ = false;
  std::optional<Error> error_;
  net::Scope reader_;  // last: its task uses everything above
};

}  // namespace culvert::waypoint
