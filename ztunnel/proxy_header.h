#pragma once

#include "common/net/address.h"
#include "common/state/identity.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace culvert::ztunnel {

// A PROXY protocol version 2 header for an application that asked for it: who connects, where to,
// and, in the TLV 0xD0 that Istio's ztunnel uses, the SPIFFE id of the peer. Addresses of different
// families: AF_UNSPEC.
std::vector<uint8_t> proxy_header(const net::SocketAddress& source,
                                  const net::SocketAddress& destination,
                                  const std::optional<state::Identity>& identity);

}  // namespace culvert::ztunnel
