#include "common/http1/body.h"

#include "common/http1/errors.h"

#include <algorithm>

namespace culvert::http1 {

BodyReader::BodyReader(const Limits& limits)
    : limits_(limits),
      fields_(limits, FieldReader::Section::kTrailers),
      trailers_(make_headers(limits)) {}

Result<> BodyReader::start(Framing framing) {
  framing_ = framing;
  budget_ = limits_.max_body;
  extensions_left_ = limits_.max_chunk_extensions;
  lines_ = {};
  fields_.reset();
  trailers_.clear();
  switch (framing.kind) {
    case Framing::Kind::kNone:
    case Framing::Kind::kTunnel:
      state_ = State::kEnd;
      break;
    case Framing::Kind::kLength:
      if (framing.length > limits_.max_body) return Error(Errc::kBodyTooLarge);
      left_ = framing.length;
      state_ = left_ == 0 ? State::kEnd : State::kData;
      break;
    case Framing::Kind::kUntilClose:
      left_ = UINT64_MAX;
      state_ = State::kData;
      break;
    case Framing::Kind::kChunked:
      state_ = State::kChunkLine;
      break;
  }
  return {};
}

Result<BodyReader::Step> BodyReader::read(Bytes input) {
  if (framing_.kind == Framing::Kind::kChunked) return read_chunked(input);
  if (state_ == State::kEnd) return Step{0, {}, true};
  const auto n = static_cast<size_t>(std::min<uint64_t>(left_, input.size()));
  if (n > budget_) return Error(Errc::kBodyTooLarge);
  budget_ -= n;
  if (framing_.kind == Framing::Kind::kLength) left_ -= n;
  if (left_ == 0) state_ = State::kEnd;
  return Step{n, input.first(n), false};
}

Result<BodyReader::Step> BodyReader::read_chunked(Bytes input) {
  size_t used = 0;
  while (true) {
    const Bytes rest = input.subspan(used);
    switch (state_) {
      case State::kChunkLine: {
        const size_t digits = std::min<size_t>(limits_.max_chunk_digits, 16);
        const auto line = lines_.next(rest, digits + extensions_left_ + 2);
        used += line.consumed;
        if (line.status == LineReader::Status::kPartial) return Step{used, {}, false};
        if (line.status != LineReader::Status::kLine) {
          return line_error(line.status, Errc::kChunkLineTooLong);
        }
        if (auto good = chunk_line(line.text); !good) return good.error();
        break;
      }
      case State::kChunkData: {
        if (rest.empty()) return Step{used, {}, false};
        const auto n = static_cast<size_t>(std::min<uint64_t>(left_, rest.size()));
        left_ -= n;
        if (left_ == 0) state_ = State::kChunkEnd;
        return Step{used + n, rest.first(n), false};
      }
      case State::kChunkEnd: {
        const auto line = lines_.next(rest, 2);
        used += line.consumed;
        if (line.status == LineReader::Status::kPartial) return Step{used, {}, false};
        if (line.status != LineReader::Status::kLine) return Error(Errc::kChunkNotTerminated);
        state_ = State::kChunkLine;
        break;
      }
      case State::kTrailers: {
        auto progress = fields_.read(rest, lines_, trailers_);
        if (!progress) return progress.error();
        used += progress->consumed;
        if (!progress->complete) return Step{used, {}, false};
        state_ = State::kEnd;
        break;
      }
      case State::kData:
      case State::kEnd:
        return Step{used, {}, true};
    }
  }
}

// chunk-size [ chunk-ext ], RFC 9112 section 7.1. White space after the size is refused although a
// grammar with BWS admits it: parsers disagree on it, and no current sender writes it.
Result<> BodyReader::chunk_line(std::string_view line) {
  uint64_t size = 0;
  size_t digits = 0;
  while (digits < line.size() && http::hex_value(line[digits]) >= 0) {
    if (digits == std::min<size_t>(limits_.max_chunk_digits, 16)) {
      return Error(Errc::kChunkSizeInvalid);
    }
    size = size * 16 + static_cast<uint64_t>(http::hex_value(line[digits]));
    ++digits;
  }
  if (digits == 0) return Error(Errc::kChunkSizeInvalid);
  const std::string_view extension = line.substr(digits);
  if (!extension.empty()) {
    if (extension.front() != ';' || !http::is_field_value(extension)) {
      return Error(Errc::kChunkExtensionInvalid);
    }
    if (extension.size() > extensions_left_) return Error(Errc::kChunkLineTooLong);
    extensions_left_ -= extension.size();
  }
  if (size > budget_) return Error(Errc::kBodyTooLarge);
  budget_ -= size;
  left_ = size;
  state_ = size == 0 ? State::kTrailers : State::kChunkData;
  return {};
}

}  // namespace culvert::http1
