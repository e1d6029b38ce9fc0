#include "ztunnel/proxy_header.h"

#include "tests/support/state_builders.h"

#include <gtest/gtest.h>

#include <string_view>

namespace culvert::ztunnel {
namespace {

using test::address;

std::vector<uint8_t> bytes(std::initializer_list<std::vector<uint8_t>> parts) {
  std::vector<uint8_t> all;
  for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}
std::vector<uint8_t> text(std::string_view value) { return {value.begin(), value.end()}; }

const std::vector<uint8_t> kSignature = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
                                         0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};

TEST(ProxyHeaderTest, Ipv4WithIdentity) {
  const state::Identity identity{"td", "ns", "sa"};
  EXPECT_EQ(proxy_header(address("10.0.0.1:1025"), address("10.10.0.1:80"), identity),
            bytes({kSignature,
                   {0x21, 0x11, 0, 12 + 3 + 23},
                   {10, 0, 0, 1, 10, 10, 0, 1, 4, 1, 0, 80},
                   {0xd0, 0, 23},
                   text("spiffe://td/ns/ns/sa/sa")}));
}

TEST(ProxyHeaderTest, WithoutIdentity) {
  EXPECT_EQ(
      proxy_header(address("10.0.0.1:65535"), address("10.10.0.1:443"), std::nullopt),
      bytes({kSignature, {0x21, 0x11, 0, 12}, {10, 0, 0, 1, 10, 10, 0, 1, 255, 255, 1, 187}}));
}

TEST(ProxyHeaderTest, Ipv6) {
  std::vector<uint8_t> from(16), to(16);
  from[0] = to[0] = 0xfd;
  from[15] = 1;
  to[15] = 2;
  EXPECT_EQ(proxy_header(address("[fd00::1]:1"), address("[fd00::2]:2"), std::nullopt),
            bytes({kSignature, {0x21, 0x21, 0, 36}, from, to, {0, 1, 0, 2}}));
}

TEST(ProxyHeaderTest, MixedFamiliesHaveNoAddresses) {
  const state::Identity identity{"td", "ns", "sa"};
  EXPECT_EQ(
      proxy_header(address("10.0.0.1:1"), address("[fd00::2]:2"), identity),
      bytes({kSignature, {0x21, 0x01, 0, 3 + 23}, {0xd0, 0, 23}, text("spiffe://td/ns/ns/sa/sa")}));
}

TEST(ProxyHeaderTest, LongIdentityHasATwoByteLength) {
  const state::Identity identity{std::string(600, 'd'), "ns", "sa"};
  const auto header = proxy_header(address("10.0.0.1:1"), address("10.0.0.2:2"), identity);
  const size_t uri = identity.to_string().size();
  ASSERT_EQ(header.size(), 16 + 12 + 3 + uri);
  EXPECT_EQ(header[14] << 8 | header[15], static_cast<int>(12 + 3 + uri));
  EXPECT_EQ(header[29] << 8 | header[30], static_cast<int>(uri));
}

}  // namespace
}  // namespace culvert::ztunnel
