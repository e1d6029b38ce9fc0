#pragma once

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/http/headers.h"
#include "common/http1/serializer.h"
#include "common/net/byte_stream.h"
#include "common/net/event.h"

#include <cstddef>
#include <cstdint>

namespace culvert::waypoint {

// The output of one HTTP/1 connection: heads, then bodies in their framing. Once a write has failed
// or was abandoned halfway, nothing more can be written. Errors are those of an exchange. Worker
// thread; one caller at a time.
class Http1Output {
 public:
  // `changed` is woken when a write is over. References outlive it.
  Http1Output(net::ByteStream& stream, net::Event& changed) : stream_(stream), changed_(changed) {}
  Http1Output(const Http1Output&) = delete;
  Http1Output& operator=(const Http1Output&) = delete;

  // Waits for the end of a write that another task has begun.
  net::Task<Result<>> ready(Time deadline);
  // Where heads are serialised; only while no write is pending.
  [[nodiscard]] ByteQueue& queue() { return queue_; }
  // The head in the queue is followed by a body of this kind.
  void begin(http1::BodyWriter writer) { writer_ = writer; }

  // Sends what is queued.
  net::Task<Result<>> flush(Time deadline);
  net::Task<Result<>> write(Bytes data, Time deadline);
  // Ends the body; that of a tunnel by ending the stream's output.
  net::Task<Result<>> finish(const http::Headers& trailers, Time deadline);
  // `text` lives until then; no body state changes.
  net::Task<Result<>> send(Bytes text, Time deadline);

  [[nodiscard]] bool broken() const { return broken_; }
  // The stream's output was ended.
  [[nodiscard]] bool shut() const { return shut_; }
  // All bytes ever sent; those of bodies.
  [[nodiscard]] uint64_t sent() const { return sent_; }
  [[nodiscard]] uint64_t body_sent() const { return body_sent_; }
  // Between messages: gives memory back that only a body needed.
  void rest();

 private:
  class Writing;
  // Up to here a chunk is copied, to leave in one write with what frames it.
  static constexpr size_t kCopied = 16 * 1024;
  static constexpr size_t kKept = 4 * 1024;

  net::ByteStream& stream_;
  net::Event& changed_;
  ByteQueue queue_;
  http1::BodyWriter writer_;
  bool writing_ = false, broken_ = false, shut_ = false;
  uint64_t sent_ = 0, body_sent_ = 0;
};

}  // namespace culvert::waypoint
