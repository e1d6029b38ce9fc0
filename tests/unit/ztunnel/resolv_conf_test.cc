#include "ztunnel/resolv_conf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace culvert::ztunnel {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(ResolvConf, ServersAndTheLastSearchList) {
  const auto resolver = parse_resolv_conf(
      "search old\n\n# x\nnameserver\t10.0.0.10\r\nnameserver fd00::a\nsearch a.b c.d");
  EXPECT_THAT(resolver.name_servers, ElementsAre("10.0.0.10", "fd00::a"));
  EXPECT_THAT(resolver.search, ElementsAre("a.b", "c.d"));
}

TEST(ResolvConf, OtherLinesAreIgnored) {
  const auto resolver = parse_resolv_conf("nameserver\n \noptions ndots:5\nsearch\n");
  EXPECT_THAT(resolver.name_servers, IsEmpty());
  EXPECT_THAT(resolver.search, IsEmpty());
}

}  // namespace
}  // namespace culvert::ztunnel
