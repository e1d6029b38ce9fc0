#pragma once

#include "common/base/bytes.h"
#include "common/h2/headers.h"
#include "common/net/reactor.h"

#include <sys/uio.h>

#include <cstdint>
#include <optional>
#include <span>

namespace culvert::h2 {

class TunnelSession;
using StreamId = int32_t;

// One stream of a TunnelSession: what it is told, and what the session keeps of it (so a stream is
// one object, found without a look-up). Owned by its user. One that dies before on_closed must be
// detached first. Callbacks come only from feed(), end_of_read(), fill() and fail().
class TunnelStream : public net::intrusive::list_base_hook<net::AutoUnlink> {
 public:
  TunnelStream(const TunnelStream&) = delete;
  TunnelStream& operator=(const TunnelStream&) = delete;

  // The request (server) or final response (client) head. `end`: no data follows; on_end comes too.
  virtual void on_head(Head head, bool end) = 0;
  // Bytes, in pieces as they lie in the input: gathered over what came for the stream without
  // another's between, 64 of them at most. Valid only during the call. Window is given back with
  // TunnelSession::consume as they are taken.
  virtual void on_data(std::span<const iovec> pieces) = 0;
  // END_STREAM: clean end of input.
  virtual void on_end() = 0;
  // The stream is gone; last call. kNoError when both sides had ended it, else RST_STREAM's code
  // (also our own) or the reason the connection died.
  virtual void on_closed(ErrorCode code) = 0;

  struct Produced {
    size_t bytes = 0;
    bool end = false;    // END_STREAM after these bytes
    bool again = false;  // there may be more now, though `to` was not filled
  };
  // Asked for output when window and connection have room: fills `to` from the front, each part
  // before the next. Fewer bytes than it holds, no end and not again: resume() when there is more.
  virtual Produced produce(std::span<const iovec> to) = 0;

 protected:
  TunnelStream() = default;
  ~TunnelStream() = default;

 private:
  friend class TunnelSession;
  StreamId id_ = 0;
  bool has_more_ = false;  // it gave all it was asked for last: it is asked for a batch next
  // Pieces in a row, since it last gave many records at once, that were all it had; as far as they
  // matter. It begins as one that never did.
  uint8_t small_pieces_ = UINT8_MAX;
  bool head_received_ = false, input_ended_ = false, output_ended_ = false;
  bool can_produce_ = false;  // resume() was called since it last had nothing
  bool answered_ = false;     // our head was sent
  uint8_t informational_ = 0;
  std::optional<ErrorCode> closing_;  // over, or reset by us: on_closed follows
  int64_t send_window_ = 0;
  int64_t receive_window_ = 0;  // what the peer may still send
  uint32_t window_ = 0;         // what receive_window_ is kept at
  uint32_t unreturned_ = 0;     // consumed, and not yet given back to the peer
};

}  // namespace culvert::h2
