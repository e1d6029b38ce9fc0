#pragma once

#include <cstddef>
#include <cstdint>

namespace culvert::http1 {

// What a peer may send. A message at a limit passes, one byte or field over it fails with the code
// named. How long it may take is for the caller's deadlines.
struct Limits {
  size_t max_start_line = 8 * 1024;      // with CRLF: kRequestLineTooLong, kStatusLineMalformed
  size_t max_method = 64;                // kMethodTooLong
  size_t max_header_bytes = 60 * 1024;   // lines with CRLF, Envoy's default: kHeadersTooLarge
  size_t max_headers = 100;              // Envoy's default: kTooManyHeaders
  size_t max_trailer_bytes = 16 * 1024;  // kTrailersTooLarge
  size_t max_trailers = 100;             // kTooManyTrailers
  uint64_t max_body = UINT64_MAX;        // decoded bytes: kBodyTooLarge
  size_t max_chunk_digits = 16;          // at most 16: kChunkSizeInvalid
  // Over all chunks of a message, so that one-byte chunks cannot carry megabytes:
  // kChunkLineTooLong.
  size_t max_chunk_extensions = 4 * 1024;
  size_t max_informational = 16;  // 1xx before the response: kTooManyInformational
};

}  // namespace culvert::http1
