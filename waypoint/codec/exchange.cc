#include "waypoint/codec/exchange.h"

namespace culvert::waypoint {
namespace {

class Category final : public std::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "exchange"; }
  [[nodiscard]] std::string message(int value) const override {
    switch (static_cast<ExchangeErrc>(value)) {
      case ExchangeErrc::kPeerReset:
        return "the peer reset the exchange";
      case ExchangeErrc::kConnectionLost:
        return "the connection ended";
      case ExchangeErrc::kRefused:
        return "the peer did not process the request";
      case ExchangeErrc::kBadMessage:
        return "not valid HTTP";
      case ExchangeErrc::kTooLarge:
        return "over a limit";
      case ExchangeErrc::kConnectFailed:
        return "no connection";
      case ExchangeErrc::kOverflow:
        return "too many connections or requests";
    }
    return "unknown error " + std::to_string(value);
  }
};

}  // namespace

std::error_code make_error_code(ExchangeErrc value) {
  static const Category kCategory;
  return {static_cast<int>(value), kCategory};
}

}  // namespace culvert::waypoint
