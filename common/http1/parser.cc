#include "common/http1/parser.h"

#include "common/base/check.h"

namespace culvert::http1 {

MessageParser::MessageParser(const Limits& limits)
    : limits_(limits), fields_(limits, FieldReader::Section::kHeaders), body_(limits) {}

Result<Step> MessageParser::feed(Bytes input) {
  if (error_) return *error_;
  auto step = advance(input);
  if (!step) error_ = step.error();
  return step;
}

Result<Event> MessageParser::end_of_input() {
  if (error_) return *error_;
  switch (state_) {
    case State::kStart:
      if (!started()) return Event::kClosed;
      break;
    case State::kTunnel:
    case State::kEnd:
      return Event::kClosed;
    case State::kBody:
      if (framing_.kind == Framing::Kind::kUntilClose || !framing_.has_body()) {
        state_ = State::kEnd;
        return Event::kEnd;
      }
      break;
    case State::kFields:
    case State::kInformational:
      break;
  }
  error_ = Errc::kUnexpectedEnd;
  return *error_;
}

Result<Step> MessageParser::advance(Bytes input) {
  switch (state_) {
    case State::kInformational:
      clear_head();
      fields_.reset();
      state_ = State::kStart;
      [[fallthrough]];
    case State::kStart:
    case State::kFields:
      return read_head(input);
    case State::kBody:
      return read_body(input);
    case State::kEnd:
      return Step{.event = Event::kEnd, .consumed = 0, .data = {}};
    case State::kTunnel:
      break;
  }
  return Step{.event = Event::kTunnel, .consumed = 0, .data = {}};
}

Result<Step> MessageParser::read_head(Bytes input) {
  size_t used = 0;
  while (state_ == State::kStart) {
    auto consumed = read_start_line(input.subspan(used));
    if (!consumed) return consumed.error();
    used += *consumed;
    if (state_ == State::kStart && used == input.size()) {
      return Step{.event = Event::kNeedInput, .consumed = used, .data = {}};
    }
  }
  auto progress = fields_.read(input.subspan(used), lines_, head_fields());
  if (!progress) return progress.error();
  used += progress->consumed;
  if (!progress->complete) return Step{.event = Event::kNeedInput, .consumed = used, .data = {}};

  auto decision = head_complete();
  if (!decision) return decision.error();
  if (decision->informational) {
    state_ = State::kInformational;
    informational_seen_ = true;
    return Step{.event = Event::kInformational, .consumed = used, .data = {}};
  }
  framing_ = decision->framing;
  keep_alive_ = decision->keep_alive && framing_.kind != Framing::Kind::kUntilClose &&
                framing_.kind != Framing::Kind::kTunnel;
  if (auto started = body_.start(framing_); !started) return started.error();
  state_ = framing_.kind == Framing::Kind::kTunnel ? State::kTunnel : State::kBody;
  return Step{.event = Event::kHead, .consumed = used, .data = {}};
}

Result<size_t> MessageParser::read_start_line(Bytes input) {
  if (!lines_.has_partial() && !input.empty() && !may_start_with(static_cast<char>(input[0]))) {
    return Error(start_line_malformed());
  }
  const auto line = lines_.next(input, limits_.max_start_line);
  if (line.status == LineReader::Status::kPartial) return line.consumed;
  if (line.status != LineReader::Status::kLine)
    return line_error(line.status, start_line_too_long());
  auto taken = start_line(line.text);
  if (!taken) return taken.error();
  if (*taken) state_ = State::kFields;
  return line.consumed;
}

Result<Step> MessageParser::read_body(Bytes input) {
  auto step = body_.read(input);
  if (!step) return step.error();
  Event event = Event::kNeedInput;
  if (step->end) {
    state_ = State::kEnd;
    event = Event::kEnd;
  } else if (!step->data.empty()) {
    event = Event::kData;
  }
  return Step{.event = event, .consumed = step->consumed, .data = step->data};
}

void MessageParser::begin_message() {
  CULVERT_CHECK(state_ == State::kEnd && !error_);
  state_ = State::kStart;
  lines_ = {};
  fields_.reset();
  framing_ = {};
  keep_alive_ = false;
  informational_seen_ = false;
  clear_head();
}

}  // namespace culvert::http1
