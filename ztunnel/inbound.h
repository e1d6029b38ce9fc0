#pragma once

#include "ztunnel/pod_proxy.h"

namespace culvert::ztunnel {

// One tunnel from the mesh to a pod (15008): TLS with the pod's certificate, then each CONNECT
// stream checked (method, authority, destination, policies), answered, and carried to the
// application.
net::Task<> serve_tunnel(PodProxy& proxy, net::Fd accepted, net::SocketAddress client);

}  // namespace culvert::ztunnel
