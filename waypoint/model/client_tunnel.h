#pragma once

#include "common/net/address.h"
#include "common/state/identity.h"
#include "waypoint/model/authz.h"
#include "waypoint/model/model.h"

#include <memory>
#include <optional>
#include <string>

namespace culvert::waypoint {

// One CONNECT that was accepted: who asked, and for what. What is known of the client comes from
// its certificate and its address alone, never from headers.
struct ClientTunnel {
  net::SocketAddress client;  // the TCP peer: the client pod
  std::string principal;      // "spiffe://…", empty if the certificate has none
  std::optional<state::Identity> identity;
  std::string authority;  // of the CONNECT
  ModelPtr model;         // in which `destination` was found; keeps its pointers alive
  Destination destination;

  // What policies may look at; `request` is added by HTTP. Points into this.
  [[nodiscard]] AuthzFacts facts() const {
    AuthzFacts out;
    out.principal = principal;
    out.identity = identity ? &*identity : nullptr;
    out.source_ip = client.ip;
    out.remote_ip = client.ip;
    out.destination = destination.address;
    return out;
  }
  // Whose name metrics give as the destination's: the upstream's, or while there is none that of
  // the CONNECT. nullptr: a workload's own address.
  [[nodiscard]] const ServiceRef* service(const UpstreamPtr& upstream) const {
    if (upstream != nullptr) return &upstream->service;
    return destination.service == nullptr ? nullptr : &destination.service->ref;
  }
};
using ClientTunnelPtr = std::shared_ptr<const ClientTunnel>;

// The same CONNECT under a newer model (or, with none, as it was); nullptr: not served any more.
[[nodiscard]] ClientTunnelPtr under(const ClientTunnelPtr& tunnel, const ModelPtr& newest);

}  // namespace culvert::waypoint
