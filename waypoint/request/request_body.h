#pragma once

#include "common/net/event.h"
#include "common/net/scope.h"
#include "waypoint/codec/exchange.h"
#include "waypoint/request/request_record.h"

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace culvert::waypoint {

// The body of a client's request on its way to the tries, of which a later one may need it again,
// and to mirrors. Reads the client only as fast as somebody takes: one piece is on its way at a
// time, except that the first `replay_limit` bytes are kept, and are read ahead. Nothing is read
// before the first next(), so that a client that waits for "100 Continue" gets it only when an
// endpoint is there. Worker thread.
class RequestBody {
 public:
  struct Options {
    uint64_t replay_limit = 0;
    std::optional<uint64_t> copy_limit;  // for mirrors; absent: none wants a copy
  };
  // `changed` is woken whenever anything here has changed. References outlive it.
  RequestBody(net::Reactor& reactor, ServerExchange& exchange, RequestRecord& record,
              Options options, net::Event& changed);
  RequestBody(const RequestBody&) = delete;
  RequestBody& operator=(const RequestBody&) = delete;

  // The bytes from `position` on, as many as there are now; all before it have been taken. Waits
  // for some. One caller at a time. Errors are those of reading the client.
  struct Part {
    Bytes data;  // valid until the next call of next()
    bool end = false;
  };
  net::Task<Result<Part>> next(uint64_t position);
  [[nodiscard]] const http::Headers& trailers() const { return trailers_; }

  // Whether a new try can have the body from its beginning.
  [[nodiscard]] bool replayable() const { return !lost_; }
  // When the last of it came; absent: not yet. Requests without a body: from the beginning.
  [[nodiscard]] const std::optional<Time>& completed() const { return completed_; }
  // Why the client's body will not come to its end.
  [[nodiscard]] const std::optional<Error>& error() const { return error_; }
  [[nodiscard]] Time last_activity() const { return last_activity_; }
  // The whole body; null before it is complete, if there is no copy, or if it was too long for one.
  [[nodiscard]] std::shared_ptr<const std::vector<uint8_t>> copy() const;

 private:
  static constexpr size_t kChunk = 16 * 1024;
  struct Chunk {
    std::array<uint8_t, kChunk> bytes;
    size_t size = 0;
  };

  net::Task<> read_all();
  void take(Bytes data);
  void store(Bytes data);
  [[nodiscard]] Bytes stored_at(uint64_t position) const;

  ServerExchange& exchange_;
  RequestRecord& record_;
  Options options_;
  net::Event& changed_;
  bool started_ = false;
  std::vector<std::unique_ptr<Chunk>> chunks_;  // full but for the last: addresses do not move
  uint64_t stored_ = 0;                         // bytes in chunks_, from the body's beginning
  uint64_t total_ = 0;                          // bytes read
  Bytes live_;              // the piece after what is stored, kept by nobody but the codec
  bool streaming_ = false;  // past the replay limit: nothing is stored any more
  bool lost_ = false;       // a live piece was given away
  std::shared_ptr<std::vector<uint8_t>> copy_;
  http::Headers trailers_;
  std::optional<Time> completed_;
  std::optional<Error> error_;
  Time last_activity_;
  net::Scope reader_;  // last: its task uses everything above
};

}  // namespace culvert::waypoint
