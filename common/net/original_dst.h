#pragma once

#include "common/net/address.h"

namespace culvert::net {

// Where a redirected connection was going before the REDIRECT rule: SO_ORIGINAL_DST, then its IPv6
// form, else the socket's own local address, which is right for a socket that was not redirected or
// came by TPROXY.
SocketAddress original_destination(int fd);

}  // namespace culvert::net
