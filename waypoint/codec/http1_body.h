#pragma once

#include "common/http1/parser.h"
#include "common/net/event.h"
#include "waypoint/codec/exchange.h"
#include "waypoint/codec/http1_input.h"

#include <cstdint>
#include <optional>

namespace culvert::waypoint {

// The body of one message of HTTP/1, or what follows an upgrade, out of the connection's input.
// Pieces are views into that. Worker thread.
class Http1Body final : public BodyReader {
 public:
  // `parser` has just given the message's head. References outlive it.
  Http1Body(http1::MessageParser& parser, Http1Input& input);
  Http1Body(const Http1Body&) = delete;
  Http1Body& operator=(const Http1Body&) = delete;

  net::Task<Result<BodyPiece>> read(Time deadline) override;
  // From now on opaque bytes until the input ends. Only after a head without a body.
  void begin_tunnel();
  // The piece that was given last is not needed any more.
  void release();

  // The end was read, or there is nothing to read.
  [[nodiscard]] bool complete() const { return complete_; }
  // It is not valid HTTP: nothing that follows can be understood.
  [[nodiscard]] bool failed() const { return failed_; }
  // Bytes of the body so far, and with what frames them.
  [[nodiscard]] uint64_t received() const { return received_; }
  [[nodiscard]] uint64_t wire_received() const { return wire_received_; }

 private:
  [[nodiscard]] std::optional<Result<BodyPiece>> next();
  [[nodiscard]] std::optional<Result<BodyPiece>> next_of_tunnel();
  [[nodiscard]] Result<BodyPiece> at_end_of_input();
  BodyPiece give(const http1::Step& step);
  BodyPiece last_piece(Bytes data);

  http1::MessageParser& parser_;
  Http1Input& input_;
  size_t held_ = 0;                   // of the input: what was given out, and what frames it
  std::optional<http1::Step> ahead_;  // parsed behind that, not yet given
  bool tunnel_ = false, complete_ = false, failed_ = false;
  uint64_t received_ = 0, wire_received_ = 0;
};

// The size of a message's body as its framing has it.
[[nodiscard]] BodySize body_size(const http1::Framing& framing);
[[nodiscard]] http1::Framing framing_of(BodySize size);

}  // namespace culvert::waypoint
