#include "common/net/listening_table.h"

#include <gtest/gtest.h>

#include <sstream>
#include <string>

namespace culvert::net {
namespace {

using Inodes = std::vector<uint64_t>;

Inodes read(const std::string& lines, uint16_t port) {
  std::istringstream table(
      "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout "
      "inode\n" +
      lines);
  return listening_sockets(table, port);
}

std::string line(const char* local, const char* state, int inode) {
  return std::string("   0: ") + local + " 00000000:0000 " + state +
         " 00000000:00000000 00:00000000 00000000     0        0 " + std::to_string(inode) +
         " 1 0000000000000000 100 0 0 10 0\n";
}

TEST(ListeningTable, ThoseOfThePortAtTheWildcardAddress) {
  EXPECT_EQ(read(line("00000000:3AA0", "0A", 11) + line("0100007F:3AA0", "0A", 12) +
                     line("00000000:3A98", "0A", 13) + line("00000000:3AA0", "0A", 14),
                 15008),
            (Inodes{11, 14}));
  EXPECT_EQ(read(line("00000000000000000000000000000000:0050", "0A", 7) +
                     line("00000000000000000000000001000000:0050", "0A", 8),
                 80),
            Inodes{7});
}

TEST(ListeningTable, EndsWhereConnectionsBegin) {
  EXPECT_EQ(read(line("00000000:3AA0", "0A", 1) + line("00000000:3AA0", "01", 2) +
                     line("00000000:3AA0", "0A", 3),
                 15008),
            Inodes{1});
}

TEST(ListeningTable, WhatIsNoTableHasNone) {
  EXPECT_EQ(read("", 80), Inodes{});
  EXPECT_EQ(read("nonsense\n", 80), Inodes{});
  std::istringstream nothing;
  EXPECT_EQ(listening_sockets(nothing, 80), Inodes{});
}

}  // namespace
}  // namespace culvert::net
