#include "common/state/errors.h"

#include <string>

namespace culvert::state {
namespace {

class Category final : public std::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "state"; }
  [[nodiscard]] std::string message(int value) const override {
    switch (static_cast<Errc>(value)) {
      case Errc::kUnknownWaypoint:
        return "unknown waypoint";
      case Errc::kUnknownNetworkGateway:
        return "unknown network gateway";
      case Errc::kNoValidDestination:
        return "no valid routing destination for workload";
      case Errc::kNoHealthyUpstream:
        return "no healthy upstream";
      case Errc::kNoService:
        return "no service for target address";
      case Errc::kNoHostname:
        return "no service or workload for hostname";
      case Errc::kNoPortForServices:
        return "requested service found, but cannot resolve port";
      case Errc::kNoIpForService:
        return "requested service found, but has no IP addresses";
      case Errc::kUnknownSourceWorkload:
        return "failed to fetch information about local workload";
    }
    return "unknown error";
  }
};

}  // namespace

std::error_code make_error_code(Errc value) {
  static const Category category;
  return {static_cast<int>(value), category};
}

}  // namespace culvert::state
