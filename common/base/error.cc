#include "common/base/error.h"

namespace culvert {
namespace {

class Category final : public std::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "culvert"; }
  [[nodiscard]] std::string message(int value) const override {
    switch (static_cast<Errc>(value)) {
      case Errc::kInvalid:
        return "invalid";
      case Errc::kLimit:
        return "limit exceeded";
      case Errc::kClosed:
        return "closed";
      case Errc::kCancelled:
        return "cancelled";
      case Errc::kTimedOut:
        return "timed out";
      case Errc::kMemory:
        return "memory budget is used up";
    }
    return "unknown error";
  }
};

}  // namespace

std::error_code make_error_code(Errc value) {
  static const Category category;
  return {static_cast<int>(value), category};
}

std::string Error::message() const {
  // The context is the whole message where the code's text would add nothing.
  const bool whole =
      code == make_error_code(Errc::kInvalid) || code == make_error_code(Errc::kMemory);
  if (whole && !context.empty()) return context;
  if (context.empty()) return code.message();
  if (!code) return context;
  // The system's errors say what happened to what the context names; our own name the error and the
  // context gives its details.
  const bool system =
      code.category() == std::system_category() || code.category() == std::generic_category();
  return system ? context + ": " + code.message() : code.message() + ": " + context;
}

Error system_error(int errno_value, std::string context) {
  return {std::error_code(errno_value, std::system_category()), std::move(context)};
}

}  // namespace culvert
