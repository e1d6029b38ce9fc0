#pragma once

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/http/headers.h"
#include "common/http1/limits.h"
#include "common/http1/line.h"

#include <cstddef>
#include <string_view>

namespace culvert::http1 {

// Reads a field section (RFC 9112 section 5): lines `name: value`, up to and with the empty line.
// Used for headers and for trailers; strict in everything on which two parsers could disagree.
class FieldReader {
 public:
  enum class Section : uint8_t { kHeaders, kTrailers };

  explicit FieldReader(const Limits& limits, Section section);

  struct Progress {
    size_t consumed;
    bool complete;
  };
  // Adds what it reads to `out`. Uses the caller's line reader, which may hold the start of a line.
  Result<Progress> read(Bytes input, LineReader& lines, http::Headers& out);
  // For the next message.
  void reset() { bytes_ = fields_ = 0; }

 private:
  Result<> add(std::string_view line, http::Headers& out);

  size_t max_bytes_, max_fields_;
  Section section_;
  size_t bytes_ = 0, fields_ = 0;
};

// The error of a line reader as ours; `too_long` is what kTooLong means in the caller's place.
[[nodiscard]] Error line_error(LineReader::Status status, Error too_long);

// An empty field container that can hold what `limits` lets in, and as much again of our own.
[[nodiscard]] http::Headers make_headers(const Limits& limits);

// Fields that must not be taken from trailers (RFC 9110 section 6.5.1): they frame, address or
// steer the message, which is decided long before they arrive. `name` in lower case.
[[nodiscard]] bool is_forbidden_trailer(std::string_view name);

}  // namespace culvert::http1
