#include "common/http1/fields.h"

#include "common/http/errors.h"
#include "common/http/hop_by_hop.h"
#include "common/http1/errors.h"

#include <algorithm>
#include <array>

namespace culvert::http1 {
namespace {

constexpr std::array<std::string_view, 8> kForbiddenTrailers = {
    "host",         "content-length", "trailer",       "content-encoding",
    "content-type", "content-range",  "authorization", "expect"};

Error as_http1(const Error& error) {
  if (error.code == http::Errc::kInvalidHeaderValue) return Errc::kHeaderValueInvalid;
  if (error.code == http::Errc::kInvalidHeaderName) return Errc::kHeaderNameInvalid;
  if (error.code == http::Errc::kTooManyHeaders) return Errc::kTooManyHeaders;
  return Errc::kHeadersTooLarge;
}

}  // namespace

FieldReader::FieldReader(const Limits& limits, Section section)
    : max_bytes_(section == Section::kHeaders ? limits.max_header_bytes : limits.max_trailer_bytes),
      max_fields_(section == Section::kHeaders ? limits.max_headers : limits.max_trailers),
      section_(section) {}

Result<FieldReader::Progress> FieldReader::read(Bytes input, LineReader& lines,
                                                http::Headers& out) {
  const bool headers = section_ == Section::kHeaders;
  const Errc too_large = headers ? Errc::kHeadersTooLarge : Errc::kTrailersTooLarge;
  size_t consumed = 0;
  while (true) {
    // The empty line at the end does not count and must fit after the last byte that does; no other
    // line is as short as two bytes.
    const size_t room = max_bytes_ - bytes_;
    const auto line = lines.next(input.subspan(consumed), std::max<size_t>(room, 2));
    consumed += line.consumed;
    if (line.status == LineReader::Status::kPartial) return Progress{consumed, false};
    if (line.status != LineReader::Status::kLine) return line_error(line.status, too_large);
    if (line.text.empty()) return Progress{consumed, true};
    if (fields_ == max_fields_) {
      return Error(headers ? Errc::kTooManyHeaders : Errc::kTooManyTrailers);
    }
    bytes_ += line.text.size() + 2;
    ++fields_;
    if (auto added = add(line.text, out); !added) return added.error();
  }
}

Result<> FieldReader::add(std::string_view line, http::Headers& out) {
  if (line.front() == ' ' || line.front() == '\t') return Error(Errc::kLineFolding);
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return Error(Errc::kHeaderMalformed);
  const std::string_view name = line.substr(0, colon);
  if (!name.empty() && (name.back() == ' ' || name.back() == '\t')) {
    return Error(Errc::kSpaceBeforeColon);
  }
  if (auto added = out.add(name, line.substr(colon + 1)); !added) return as_http1(added.error());
  if (section_ == Section::kTrailers && is_forbidden_trailer(out[out.size() - 1].name)) {
    return Error(Errc::kTrailerForbidden);
  }
  return {};
}

Error line_error(LineReader::Status status, Error too_long) {
  switch (status) {
    case LineReader::Status::kBareLineFeed:
      return Errc::kBareLineFeed;
    case LineReader::Status::kBareCarriageReturn:
      return Errc::kBareCarriageReturn;
    default:
      return too_long;
  }
}

http::Headers make_headers(const Limits& limits) {
  constexpr size_t kMost = size_t{1} << 28;
  const http::HeaderLimits ours;
  // A field counts at most 4 bytes more in Headers than its shortest line has.
  const size_t bytes = std::min(kMost, limits.max_header_bytes + limits.max_trailer_bytes +
                                           4 * (limits.max_headers + limits.max_trailers));
  const size_t fields = std::min(kMost, std::max(limits.max_headers, limits.max_trailers));
  return http::Headers({.max_bytes = static_cast<uint32_t>(bytes) + ours.max_bytes,
                        .max_fields = static_cast<uint32_t>(fields) + ours.max_fields});
}

bool is_forbidden_trailer(std::string_view name) {
  return http::is_hop_by_hop(name) ||
         std::ranges::find(kForbiddenTrailers, name) != kForbiddenTrailers.end();
}

}  // namespace culvert::http1
