#include "common/http1/errors.h"

#include <string>

namespace culvert::http1 {
namespace {

const char* text_of(Errc value) {
  switch (value) {
    case Errc::kRequestLineMalformed:
      return "request line is not 'method target HTTP/x.y'";
    case Errc::kRequestLineTooLong:
      return "request line exceeds the limit";
    case Errc::kTooManyEmptyLines:
      return "more than one empty line before the request";
    case Errc::kMethodInvalid:
      return "method is not an upper-case token";
    case Errc::kMethodTooLong:
      return "method exceeds the limit";
    case Errc::kTargetInvalid:
      return "request target has none of the four forms, or not the one for its method";
    case Errc::kVersionUnsupported:
      return "version is neither HTTP/1.0 nor HTTP/1.1";
    case Errc::kHttp10NotAccepted:
      return "HTTP/1.0 is not accepted here";
    case Errc::kStatusLineMalformed:
      return "status line is not 'HTTP/1.x status reason', or too long";
    case Errc::kBareLineFeed:
      return "line ends in LF without CR";
    case Errc::kBareCarriageReturn:
      return "CR without LF";
    case Errc::kLineFolding:
      return "header line starts with white space (obsolete line folding)";
    case Errc::kHeaderMalformed:
      return "header line has no colon";
    case Errc::kSpaceBeforeColon:
      return "white space between header name and colon";
    case Errc::kHeaderNameInvalid:
      return "header name is empty or not a token";
    case Errc::kHeaderValueInvalid:
      return "header value has a control character";
    case Errc::kHeadersTooLarge:
      return "header fields exceed the size limit";
    case Errc::kTooManyHeaders:
      return "more header fields than the limit";
    case Errc::kHostMissing:
      return "HTTP/1.1 request without Host";
    case Errc::kHostRepeated:
      return "more than one Host";
    case Errc::kHostInvalid:
      return "Host is not host[:port]";
    case Errc::kContentLengthInvalid:
      return "Content-Length is not a number";
    case Errc::kContentLengthConflict:
      return "Content-Length values differ";
    case Errc::kContentLengthAndTransferEncoding:
      return "both Content-Length and Transfer-Encoding";
    case Errc::kTransferEncodingInvalid:
      return "Transfer-Encoding does not end in exactly one 'chunked'";
    case Errc::kTransferEncodingUnsupported:
      return "Transfer-Encoding has a coding other than 'chunked'";
    case Errc::kTransferEncodingInHttp10:
      return "Transfer-Encoding in HTTP/1.0";
    case Errc::kBodyOnConnect:
      return "CONNECT with a body";
    case Errc::kBodyTooLarge:
      return "body exceeds the limit";
    case Errc::kChunkSizeInvalid:
      return "chunk size is not hexadecimal or has too many digits";
    case Errc::kChunkLineTooLong:
      return "chunk extensions exceed the limit";
    case Errc::kChunkExtensionInvalid:
      return "chunk extension has a control character or no semicolon";
    case Errc::kChunkNotTerminated:
      return "chunk is not followed by CRLF";
    case Errc::kTrailerForbidden:
      return "trailer field that frames or addresses a message";
    case Errc::kTrailersTooLarge:
      return "trailer fields exceed the size limit";
    case Errc::kTooManyTrailers:
      return "more trailer fields than the limit";
    case Errc::kUnexpectedEnd:
      return "connection ended inside a message";
    case Errc::kUnexpectedSwitch:
      return "101 response to a request that did not ask for an upgrade, or without Upgrade";
    case Errc::kTooManyInformational:
      return "more 1xx responses than the limit";
    case Errc::kHeadNotWritable:
      return "head cannot be written as HTTP/1";
    case Errc::kBodyNotAllowed:
      return "body on a message that has none";
    case Errc::kBodyTooLong:
      return "body is longer than its Content-Length";
    case Errc::kBodyTooShort:
      return "body is shorter than its Content-Length";
  }
  return "unknown error";
}

class Category final : public std::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "http1"; }
  [[nodiscard]] std::string message(int value) const override {
    return text_of(static_cast<Errc>(value));
  }
};

const std::error_category& category() {
  static const Category instance;
  return instance;
}

}  // namespace

std::error_code make_error_code(Errc value) { return {static_cast<int>(value), category()}; }

int http_status(Errc value) {
  switch (value) {
    case Errc::kRequestLineTooLong:
      return 414;
    case Errc::kMethodTooLong:
    case Errc::kTransferEncodingUnsupported:
      return 501;
    case Errc::kVersionUnsupported:
      return 505;
    case Errc::kHttp10NotAccepted:
      return 426;
    case Errc::kHeadersTooLarge:
    case Errc::kTooManyHeaders:
    case Errc::kTrailersTooLarge:
    case Errc::kTooManyTrailers:
      return 431;
    case Errc::kBodyTooLarge:
    case Errc::kChunkLineTooLong:
      return 413;
    default:
      return 400;
  }
}

int http_status(const std::error_code& code) {
  return code.category() == category() ? http_status(static_cast<Errc>(code.value())) : 400;
}

}  // namespace culvert::http1
