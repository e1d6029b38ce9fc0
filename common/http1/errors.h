#pragma once

#include <system_error>

namespace culvert::http1 {

// Why a message of a peer is refused, or one of ours cannot be written. After any of these the
// connection must be closed: where the next message begins is no longer known.
enum class Errc {
  kRequestLineMalformed = 1,
  kRequestLineTooLong,
  kTooManyEmptyLines,
  kMethodInvalid,
  kMethodTooLong,
  kTargetInvalid,
  kVersionUnsupported,
  kHttp10NotAccepted,
  kStatusLineMalformed,
  kBareLineFeed,
  kBareCarriageReturn,
  kLineFolding,
  kHeaderMalformed,
  kSpaceBeforeColon,
  kHeaderNameInvalid,
  kHeaderValueInvalid,
  kHeadersTooLarge,
  kTooManyHeaders,
  kHostMissing,
  kHostRepeated,
  kHostInvalid,
  kContentLengthInvalid,
  kContentLengthConflict,
  kContentLengthAndTransferEncoding,
  kTransferEncodingInvalid,
  kTransferEncodingUnsupported,
  kTransferEncodingInHttp10,
  kBodyOnConnect,
  kBodyTooLarge,
  kChunkSizeInvalid,
  kChunkLineTooLong,
  kChunkExtensionInvalid,
  kChunkNotTerminated,
  kTrailerForbidden,
  kTrailersTooLarge,
  kTooManyTrailers,
  kUnexpectedEnd,
  kUnexpectedSwitch,
  kTooManyInformational,
  // From the serialiser.
  kHeadNotWritable,
  kBodyNotAllowed,
  kBodyTooLong,
  kBodyTooShort,
};

std::error_code make_error_code(Errc value);

// What a server answers to the client whose request failed with this: 400, 413, 414, 426, 431, 501
// or 505. When a response of a server failed, the proxy answers 502 whatever the code.
[[nodiscard]] int http_status(Errc value);
// The same for the error of any feed(); 400 for codes of other categories.
[[nodiscard]] int http_status(const std::error_code& code);

}  // namespace culvert::http1

template <>
struct std::is_error_code_enum<culvert::http1::Errc> : std::true_type {};
