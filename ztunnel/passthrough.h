#pragma once

#include "ztunnel/pod_proxy.h"

namespace culvert::ztunnel {

// One plaintext connection to a pod from outside the mesh (redirected to 15006): policies see it
// without an identity; then it is carried to the application.
net::Task<> serve_passthrough(PodProxy& proxy, net::Fd accepted, net::SocketAddress client);

}  // namespace culvert::ztunnel
