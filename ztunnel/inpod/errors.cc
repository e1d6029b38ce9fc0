#include "ztunnel/inpod/errors.h"

namespace culvert::ztunnel::inpod {
namespace {

class Category final : public std::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "inpod"; }
  [[nodiscard]] std::string message(int value) const override {
    switch (static_cast<Errc>(value)) {
      case Errc::kReadMessage:
        return "failure to read message";
      case Errc::kStartProxy:
        return "failure to start proxy";
      case Errc::kProcessMessage:
        return "failure to process message";
    }
    return "unknown error";
  }
};

}  // namespace

std::error_code make_error_code(Errc value) {
  static const Category category;
  return {static_cast<int>(value), category};
}

std::string nack_text(const Error& error) { return error.code.message() + " : " + error.context; }

}  // namespace culvert::ztunnel::inpod
