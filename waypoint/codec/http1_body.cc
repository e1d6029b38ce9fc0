#include "waypoint/codec/http1_body.h"

#include "waypoint/codec/http1_errors.h"

namespace culvert::waypoint {

Http1Body::Http1Body(http1::MessageParser& parser, Http1Input& input)
    : parser_(parser), input_(input) {
  if (parser.framing().has_body()) return;
  complete_ = true;
  // Takes no input, but lets the parser know that the message is over.
  (void)parser.feed({});
}

void Http1Body::begin_tunnel() {
  tunnel_ = true;
  complete_ = false;
}

void Http1Body::release() {
  input_.consume(held_);
  held_ = 0;
}

net::Task<Result<BodyPiece>> Http1Body::read(Time deadline) {
  release();
  for (;;) {
    if (auto piece = tunnel_ ? next_of_tunnel() : next()) co_return std::move(*piece);
    if (!co_await input_.more(deadline)) co_return Error(culvert::Errc::kTimedOut);
  }
}

std::optional<Result<BodyPiece>> Http1Body::next_of_tunnel() {
  const Bytes data = input_.readable();
  if (!data.empty()) {
    return give({.event = http1::Event::kData, .consumed = data.size(), .data = data});
  }
  if (input_.error()) return connection_lost(*input_.error());
  if (!input_.eof()) return std::nullopt;
  return last_piece({});
}

std::optional<Result<BodyPiece>> Http1Body::next() {
  if (complete_) return last_piece({});
  auto step = ahead_ ? Result<http1::Step>(*ahead_) : parser_.feed(input_.readable());
  ahead_.reset();
  if (!step) {
    failed_ = true;
    return bad_message(step.error());
  }
  if (step->event == http1::Event::kData) return give(*step);
  wire_received_ += step->consumed;
  input_.consume(step->consumed);
  if (step->event == http1::Event::kEnd) return last_piece({});
  if (!input_.ended()) return std::nullopt;
  return at_end_of_input();
}

Result<BodyPiece> Http1Body::at_end_of_input() {
  // Only an orderly end completes a body that runs until the close.
  if (input_.error()) return connection_lost(*input_.error());
  const auto event = parser_.end_of_input();
  if (event && *event == http1::Event::kEnd) return last_piece({});
  return Error(ExchangeErrc::kConnectionLost, "ended within a body");
}

// Looks one step ahead, so that the end comes with the last piece and leaves in one write with it.
BodyPiece Http1Body::give(const http1::Step& step) {
  held_ += step.consumed;
  received_ += step.data.size();
  wire_received_ += step.consumed;
  if (tunnel_) return {.data = step.data};
  const auto ahead = parser_.feed(input_.readable().subspan(held_));
  if (!ahead) return {.data = step.data};  // the parser will say it again
  if (ahead->event == http1::Event::kData) {
    ahead_ = *ahead;
    return {.data = step.data};
  }
  held_ += ahead->consumed;
  wire_received_ += ahead->consumed;
  if (ahead->event == http1::Event::kEnd) return last_piece(step.data);
  return {.data = step.data};
}

BodyPiece Http1Body::last_piece(Bytes data) {
  complete_ = true;
  BodyPiece piece{.data = data, .end = true};
  if (!tunnel_) piece.trailers = std::move(parser_.trailers());
  return piece;
}

BodySize body_size(const http1::Framing& framing) {
  switch (framing.kind) {
    case http1::Framing::Kind::kNone:
      break;
    case http1::Framing::Kind::kLength:
      return {BodySize::Kind::kLength, framing.length};
    case http1::Framing::Kind::kChunked:
    case http1::Framing::Kind::kUntilClose:
      return {BodySize::Kind::kUnknown, 0};
    case http1::Framing::Kind::kTunnel:
      return {BodySize::Kind::kTunnel, 0};
  }
  return {};
}

http1::Framing framing_of(BodySize size) {
  switch (size.kind) {
    case BodySize::Kind::kNone:
      break;
    case BodySize::Kind::kLength:
      return http1::Framing::of_length(size.length);
    case BodySize::Kind::kUnknown:
      return http1::Framing::chunked();
    case BodySize::Kind::kTunnel:
      return http1::Framing::tunnel();
  }
  return http1::Framing::none();
}

}  // namespace culvert::waypoint
