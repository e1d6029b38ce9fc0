#pragma once

#include <cstdint>
#include <istream>
#include <vector>

namespace culvert::net {

// The inodes of the sockets that listen at `port` of the wildcard address, by a table as in
// /proc/net/tcp and tcp6. Reads no further than it must: those that listen come first, before what
// may be many connections. A line that it does not understand is the end.
std::vector<uint64_t> listening_sockets(std::istream& table, uint16_t port);

}  // namespace culvert::net
