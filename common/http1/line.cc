#include "common/http1/line.h"

#include <algorithm>
#include <cstring>

namespace culvert::http1 {
namespace {

// `line` ends in LF. The only CR must be the byte before it: parsers that end lines at a lone CR or
// LF would see other messages in these bytes than we do (RFC 9112 section 2.2).
LineReader::Line checked(std::string_view line, size_t consumed) {
  const size_t cr = line.find('\r');
  if (cr == std::string_view::npos) return {LineReader::Status::kBareLineFeed, consumed, {}};
  if (cr != line.size() - 2) return {LineReader::Status::kBareCarriageReturn, consumed, {}};
  return {LineReader::Status::kLine, consumed, line.substr(0, cr)};
}

}  // namespace

LineReader::Line LineReader::next(Bytes input, size_t limit) {
  if (complete_) {
    // A large line must not pin its memory while the connection idles.
    held_ = {};
    complete_ = false;
  }
  const std::string_view text = as_text(input);
  const size_t room = limit - std::min(limit, held_.size());
  const size_t lf = text.substr(0, room).find('\n');
  if (lf == std::string_view::npos) {
    if (text.size() >= room) return {Status::kTooLong, 0, {}};
    held_.append(text);
    return {Status::kPartial, text.size(), {}};
  }
  if (held_.empty()) return checked(text.substr(0, lf + 1), lf + 1);
  held_.append(text.substr(0, lf + 1));
  complete_ = true;
  return checked(held_, lf + 1);
}

}  // namespace culvert::http1
