#pragma once

#include "common/net/byte_stream.h"
#include "common/net/event.h"

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace culvert::test {

// One end of a connection in memory: bounded in both directions, with half-close and reset. The
// test may hold one end and use the functions without coroutines, which never wait.
class MemoryStream final : public net::ByteStream {
 public:
  // Two ends; each direction holds up to `capacity` bytes that nobody read.
  static std::pair<std::unique_ptr<MemoryStream>, std::unique_ptr<MemoryStream>> pair(
      net::Reactor& reactor, size_t capacity = 64 * 1024);
  ~MemoryStream() override;  // a reset, unless both directions have ended
  MemoryStream(const MemoryStream&) = delete;
  MemoryStream& operator=(const MemoryStream&) = delete;

  net::Task<Result<size_t>> read(MutableBytes to, Time deadline = kNever) override;
  net::Task<Result<>> write(Bytes from, Time deadline = kNever) override;
  net::Task<Result<>> shutdown_write() override;
  void reset() override;

  // Sends at once, whatever the capacity.
  void put(std::string_view text);
  void finish_output();
  // All that came and was not read.
  std::string take();
  // The other end has ended its output, and all of it was read.
  [[nodiscard]] bool ended() const;
  [[nodiscard]] bool was_reset() const;

  // At most so many bytes in one read: splits the input as a network does.
  void limit_reads(std::function<size_t()> limit) { limit_ = std::move(limit); }
  // The operation (read, write, shutdown) after so many others resets the connection.
  void fail_after(size_t operations) { operations_left_ = operations; }

 private:
  struct Pipe;
  MemoryStream(std::shared_ptr<Pipe> in, std::shared_ptr<Pipe> out)
      : in_(std::move(in)), out_(std::move(out)) {}
  [[nodiscard]] bool fails();

  std::shared_ptr<Pipe> in_, out_;
  std::function<size_t()> limit_;
  std::optional<size_t> operations_left_;
};

}  // namespace culvert::test
