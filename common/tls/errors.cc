#include "common/tls/errors.h"

#include <string>

namespace culvert::tls {
namespace {

class Category final : public std::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "tls"; }
  [[nodiscard]] std::string message(int value) const override {
    switch (static_cast<Errc>(value)) {
      case Errc::kHandshake:
        return "tls handshake error";
      case Errc::kRecord:
        return "tls record error";
      case Errc::kAlert:
        return "tls alert from the peer";
      case Errc::kIdentity:
      case Errc::kTrustDomain:
        return "identity verification error";
      case Errc::kUntrusted:
        return "certificate verification error";
      case Errc::kNoCertificate:
        return "peer presented no certificate";
      case Errc::kBadCertificate:
        return "bad certificate material";
    }
    return "unknown tls error";
  }
};

}  // namespace

std::error_code make_error_code(Errc value) {
  static const Category category;
  return {static_cast<int>(value), category};
}

}  // namespace culvert::tls
