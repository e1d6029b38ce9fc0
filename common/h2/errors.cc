#include "common/h2/errors.h"

#include "common/h2/headers.h"

namespace culvert::h2 {
namespace {

class Category final : public std::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "h2"; }
  [[nodiscard]] std::string message(int value) const override {
    switch (static_cast<Errc>(value)) {
      case Errc::kHandshake:
        return "http2 handshake failed";
      case Errc::kProtocol:
        return "the peer broke the HTTP/2 protocol";
      case Errc::kStreamReset:
        return "stream reset by the peer";
      case Errc::kRefused:
        return "stream refused by the peer";
      case Errc::kConnectionLost:
        return "connection lost";
      case Errc::kGoingAway:
        return "the connection takes no new streams";
      case Errc::kPingTimeout:
        return "no answer to HTTP/2 PING";
      case Errc::kFlood:
        return "the peer floods us with useless HTTP/2 frames";
      case Errc::kDraining:
        return "connection closed due to connection drain";
    }
    return "unknown HTTP/2 error";
  }
};

}  // namespace

std::error_code make_error_code(Errc value) {
  static const Category category;
  return {static_cast<int>(value), category};
}

std::string_view to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::kNoError:
      return "NO_ERROR";
    case ErrorCode::kProtocolError:
      return "PROTOCOL_ERROR";
    case ErrorCode::kInternalError:
      return "INTERNAL_ERROR";
    case ErrorCode::kFlowControlError:
      return "FLOW_CONTROL_ERROR";
    case ErrorCode::kSettingsTimeout:
      return "SETTINGS_TIMEOUT";
    case ErrorCode::kStreamClosed:
      return "STREAM_CLOSED";
    case ErrorCode::kFrameSizeError:
      return "FRAME_SIZE_ERROR";
    case ErrorCode::kRefusedStream:
      return "REFUSED_STREAM";
    case ErrorCode::kCancel:
      return "CANCEL";
    case ErrorCode::kCompressionError:
      return "COMPRESSION_ERROR";
    case ErrorCode::kConnectError:
      return "CONNECT_ERROR";
    case ErrorCode::kEnhanceYourCalm:
      return "ENHANCE_YOUR_CALM";
    case ErrorCode::kInadequateSecurity:
      return "INADEQUATE_SECURITY";
    case ErrorCode::kHttp11Required:
      return "HTTP_1_1_REQUIRED";
  }
  return "unknown error code";
}

}  // namespace culvert::h2
