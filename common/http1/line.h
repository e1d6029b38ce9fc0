#pragma once

#include "common/base/bytes.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace culvert::http1 {

// Cuts the input into lines that end in CRLF. A line that is whole in the input is a view into it;
// only one that the input splits is copied, and no byte is scanned for the end of line twice.
class LineReader {
 public:
  enum class Status : uint8_t { kLine, kPartial, kTooLong, kBareLineFeed, kBareCarriageReturn };
  struct Line {
    Status status;
    size_t consumed;        // of this input
    std::string_view text;  // without CRLF; valid until the next call and while the input is
  };

  // `limit` counts the bytes of the line with its CRLF and must be the same until the line is
  // complete. After a status other than kLine or kPartial the reader must not be used again.
  Line next(Bytes input, size_t limit);
  // Whether the beginning of a line is held.
  [[nodiscard]] bool has_partial() const { return !complete_ && !held_.empty(); }

 private:
  std::string held_;
  bool complete_ = false;  // held_ is the line that was given out last
};

}  // namespace culvert::http1
