#pragma once

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/http/headers.h"
#include "common/http1/fields.h"
#include "common/http1/framing.h"
#include "common/http1/limits.h"
#include "common/http1/line.h"

#include <cstddef>
#include <cstdint>

namespace culvert::http1 {

// Decodes one body after another (RFC 9112 sections 6 and 7). Data is handed out as views into the
// input.
class BodyReader {
 public:
  explicit BodyReader(const Limits& limits);

  // Fails if the declared length is over the limit.
  Result<> start(Framing framing);

  struct Step {
    size_t consumed;  // of the input; covers `data`
    Bytes data;
    bool end;  // the body is complete; never together with data
  };
  // Without data and end, all input was consumed and more is needed.
  Result<Step> read(Bytes input);

  // Valid once the end was reported.
  [[nodiscard]] http::Headers& trailers() { return trailers_; }

 private:
  enum class State : uint8_t { kData, kChunkLine, kChunkData, kChunkEnd, kTrailers, kEnd };

  Result<Step> read_chunked(Bytes input);
  Result<> chunk_line(std::string_view line);

  Limits limits_;
  Framing framing_;
  State state_ = State::kEnd;
  uint64_t left_ = 0;    // of the body, or of the chunk
  uint64_t budget_ = 0;  // what max_body still allows
  size_t extensions_left_ = 0;
  LineReader lines_;
  FieldReader fields_;
  http::Headers trailers_;
};

}  // namespace culvert::http1
