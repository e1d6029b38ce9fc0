#pragma once

#include "common/base/bytes.h"
#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/net/task.h"

namespace culvert::net {

// A two-way byte stream that coroutines read and write: a TCP socket, or one HBONE stream. At most
// one read and one write at a time. Errors after which nothing more can be done; half-close is not
// an error.
class ByteStream {
 public:
  virtual ~ByteStream() = default;
  // At least one byte, or 0 at the end of input. Errc::kTimedOut at the deadline (the stream stays
  // usable).
  virtual Task<Result<size_t>> read(MutableBytes to, Time deadline = kNever) = 0;
  // All of `from`.
  virtual Task<Result<>> write(Bytes from, Time deadline = kNever) = 0;
  // No more output; input goes on. Everything written before is delivered first.
  virtual Task<Result<>> shutdown_write() = 0;
  // Ends both directions at once, as a reset. Pending reads and writes fail.
  virtual void reset() = 0;
};

}  // namespace culvert::net
