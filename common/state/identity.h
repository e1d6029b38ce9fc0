#pragma once

#include "common/base/result.h"

#include <compare>
#include <functional>
#include <string>
#include <string_view>

namespace culvert::state {

// A SPIFFE identity of a Kubernetes service account: spiffe://<trust
// domain>/ns/<namespace>/sa/<account>.
struct Identity {
  std::string trust_domain;
  std::string namespace_;
  std::string service_account;

  // Exactly that shape: five segments after the scheme with "ns" and "sa" literal (segments may be
  // empty), else `invalid spiffe identity: <text>`, as Istio's ztunnel parses it.
  static Result<Identity> parse(std::string_view uri);
  [[nodiscard]] std::string to_string() const;
  // Without the scheme: "cluster.local/ns/shop/sa/web", as policies name it.
  [[nodiscard]] std::string principal() const;

  auto operator<=>(const Identity&) const = default;
};

}  // namespace culvert::state

template <>
struct std::hash<culvert::state::Identity> {
  size_t operator()(const culvert::state::Identity& identity) const noexcept;
};
