#include "ztunnel/errors.h"

#include "common/h2/errors.h"
#include "common/tls/errors.h"

namespace culvert::ztunnel {
namespace {

class Category final : public std::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "ztunnel"; }
  [[nodiscard]] std::string message(int value) const override {
    switch (static_cast<Errc>(value)) {
      case Errc::kSelfCall:
        return "attempted recursive call to ourselves";
      case Errc::kPolicyRejection:
        return "connection closed due to policy rejection";
      case Errc::kPolicyChange:
        return "connection closed due to policy change";
      case Errc::kConnectionFailed:
        return "connection failed";
      case Errc::kNetworkPolicy:
        return "connection timed out, maybe a NetworkPolicy is blocking HBONE port 15008";
      case Errc::kIpMismatch:
        return "ip mismatch";
      case Errc::kIdentity:
        return "identity error";
      case Errc::kDrain:
        return "connection closed due to connection drain";
      case Errc::kUnsupportedFeature:
        return "unsupported feature";
    }
    return "unknown error";
  }
};

}  // namespace

std::error_code make_error_code(Errc value) {
  static const Category category;
  return {static_cast<int>(value), category};
}

ResponseFlag response_flag(const Error& error) {
  if (!error.code) return ResponseFlag::kNone;
  const std::error_category& category = error.code.category();
  if (category == make_error_code(Errc::kDrain).category()) {
    switch (static_cast<Errc>(error.code.value())) {
      case Errc::kPolicyRejection:
      case Errc::kPolicyChange:
        return ResponseFlag::kDeny;
      case Errc::kNetworkPolicy:
        return ResponseFlag::kNetworkPolicy;
      case Errc::kIdentity:
        return ResponseFlag::kIdentityError;
      case Errc::kDrain:
        return ResponseFlag::kNone;  // our own shutdown is not a failure of the connection
      default:
        return ResponseFlag::kConnect;
    }
  }
  if (category == tls::make_error_code(tls::Errc::kHandshake).category())
    return ResponseFlag::kTlsFailure;
  if (category == h2::make_error_code(h2::Errc::kHandshake).category())
    return ResponseFlag::kH2HandshakeFailure;
  return ResponseFlag::kConnect;
}

}  // namespace culvert::ztunnel
