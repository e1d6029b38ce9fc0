#pragma once

#include "ztunnel/pod_proxy.h"

namespace culvert::ztunnel {

// One connection a pod made (redirected to 15001): finds where it was going, decides the route, and
// carries it to its end.
net::Task<> serve_outbound(PodProxy& proxy, net::Fd accepted, net::SocketAddress client);

}  // namespace culvert::ztunnel
