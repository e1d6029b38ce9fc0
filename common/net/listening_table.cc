#include "common/net/listening_table.h"

#include <fmt/format.h>

#include <sstream>
#include <string>

namespace culvert::net {

std::vector<uint64_t> listening_sockets(std::istream& table, uint16_t port) {
  std::vector<uint64_t> inodes;
  const std::string wanted = fmt::format(":{:04X}", port);
  std::string line;
  std::getline(table, line);  // the names of the columns
  while (std::getline(table, line)) {
    std::istringstream columns(line);
    std::string number, local, remote, state, queues, timer, retransmits, user, timeout;
    uint64_t inode = 0;
    columns >> number >> local >> remote >> state >> queues >> timer >> retransmits >> user >>
        timeout >> inode;
    if (!columns || state != "0A") break;  // TCP_LISTEN
    if (local.find_first_not_of('0') == local.find(':') && local.ends_with(wanted))
      inodes.push_back(inode);
  }
  return inodes;
}

}  // namespace culvert::net
