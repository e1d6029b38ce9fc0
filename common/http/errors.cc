#include "common/http/errors.h"

#include <string>

namespace culvert::http {
namespace {

class Category final : public std::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "http"; }
  [[nodiscard]] std::string message(int value) const override {
    switch (static_cast<Errc>(value)) {
      case Errc::kInvalidHeaderName:
        return "header name is empty or has a byte that is not allowed in a token";
      case Errc::kInvalidHeaderValue:
        return "header value has a control character";
      case Errc::kTooManyHeaders:
        return "too many header fields";
      case Errc::kHeadersTooLarge:
        return "header fields are too large together";
      case Errc::kPathNotAbsolute:
        return "path does not start with a slash";
      case Errc::kPathInvalidCharacter:
        return "path has a space, a control character or a byte outside ASCII";
      case Errc::kPathFragment:
        return "path has a fragment (#)";
      case Errc::kPathEncodedNul:
        return "path has a percent-encoded NUL";
    }
    return "unknown error";
  }
};

}  // namespace

std::error_code make_error_code(Errc value) {
  static const Category category;
  return {static_cast<int>(value), category};
}

int http_status(Errc value) {
  const bool limit = value == Errc::kTooManyHeaders || value == Errc::kHeadersTooLarge;
  return limit ? 431 : 400;
}

}  // namespace culvert::http
