#include "common/net/address.h"

#include <gtest/gtest.h>

#include <netinet/in.h>

#include <set>
#include <vector>

namespace culvert::net {
namespace {

IpAddress ip(std::string_view text) { return IpAddress::parse(text).value(); }
Cidr cidr(std::string_view text) { return Cidr::parse(text).value(); }

TEST(IpAddressTest, PrintsWhatItParses) {
  for (const char* text : {"0.0.0.0", "10.0.0.1", "255.255.255.255", "::", "::1", "fd00::1",
                           "1::", "2001:db8:0:1:1:1:1:1", "2001:db8::1:0:0:1", "1:2:3:4:5:6:7:8"}) {
    EXPECT_EQ(ip(text).to_string(), text);
  }
}

TEST(IpAddressTest, PrintsIpv6AsRfc5952Asks) {
  EXPECT_EQ(ip("2001:DB8:0:0:0:0:0:1").to_string(), "2001:db8::1");
  EXPECT_EQ(ip("0:0:0:0:0:0:0:0").to_string(), "::");
  EXPECT_EQ(ip("1:0:0:2:0:0:0:3").to_string(), "1:0:0:2::3");    // the longest run
  EXPECT_EQ(ip("1:0:0:2:3:0:0:4").to_string(), "1::2:3:0:0:4");  // the first of equals
  EXPECT_EQ(ip("1:2:3:4:5:6:0:8").to_string(), "1:2:3:4:5:6:0:8");
  EXPECT_EQ(ip("::0102:0304").to_string(), "::102:304");
}

TEST(IpAddressTest, RejectsWhatIsNotAnAddress) {
  using namespace std::string_view_literals;
  for (const auto text :
       {""sv, " "sv, "10.0.0"sv, "10.0.0.256"sv, "10.0.0.1 "sv, "10.0.0.1/8"sv, "[::1]"sv,
        "fe80::1%eth0"sv, "1:2:3:4:5:6:7"sv, "1::2::3"sv, "example.com"sv, "10.0.0.1\0x"sv,
        "01.2.3.4"sv, "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb"sv}) {
    EXPECT_FALSE(IpAddress::parse(text)) << text;
  }
}

TEST(IpAddressTest, FourOrSixteenBytesOnly) {
  const std::vector<uint8_t> bytes(17, 0);
  for (size_t n = 0; n <= bytes.size(); ++n) {
    const auto parsed = IpAddress::from_bytes({bytes.data(), n});
    EXPECT_EQ(parsed.has_value(), n == 4 || n == 16) << n;
    if (!parsed) {
      EXPECT_EQ(parsed.error().message(),
                "failed to parse address, had " + std::to_string(n) + " bytes");
    }
  }
  EXPECT_EQ(*IpAddress::from_bytes({bytes.data(), 4}), IpAddress::any_v4());
  EXPECT_EQ(*IpAddress::from_bytes({bytes.data(), 16}), IpAddress::any_v6());
}

TEST(IpAddressTest, MappedIpv4IsIpv4) {
  EXPECT_EQ(ip("::ffff:10.0.0.1"), ip("10.0.0.1"));
  EXPECT_EQ(ip("::ffff:10.0.0.1").to_string(), "10.0.0.1");
  const std::array<uint8_t, 16> mapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1};
  EXPECT_EQ(*IpAddress::from_bytes(mapped), ip("10.0.0.1"));
  EXPECT_TRUE(ip("::ffff:10.0.0.1").is_v4());
  EXPECT_FALSE(ip("::10.0.0.1").is_v4());
}

TEST(IpAddressTest, Classifies) {
  EXPECT_TRUE(ip("127.0.0.1").is_loopback());
  EXPECT_TRUE(ip("127.255.0.3").is_loopback());
  EXPECT_TRUE(IpAddress::loopback_v6().is_loopback());
  EXPECT_FALSE(ip("128.0.0.1").is_loopback());
  EXPECT_FALSE(ip("::2").is_loopback());
  EXPECT_TRUE(IpAddress::any_v4().is_unspecified());
  EXPECT_TRUE(IpAddress::any_v6().is_unspecified());
  EXPECT_FALSE(ip("0.0.0.1").is_unspecified());
  EXPECT_NE(IpAddress::any_v4(), IpAddress::any_v6());
}

TEST(IpAddressTest, HashesSpread) {
  // Pods of a node differ in the last byte only, IPv6 ones perhaps in a middle one: no two may
  // collide in the low 16 bits much more often than chance (65,536 values, 2,048 keys: about 32
  // expected).
  std::set<size_t> low;
  std::set<size_t> high;
  for (int i = 0; i < 1024; ++i) {
    const auto byte = static_cast<uint8_t>(i & 0xff);
    const auto next = static_cast<uint8_t>(i >> 8);
    for (const auto& address :
         {IpAddress::v4({10, 244, next, byte}),
          IpAddress::v6({0xfd, 0, next, byte, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1})}) {
      const size_t hash = std::hash<IpAddress>{}(address);
      low.insert(hash & 0xffff);
      high.insert(hash >> 48);
    }
  }
  EXPECT_GT(low.size(), 1950U);
  EXPECT_GT(high.size(), 1950U);
}

TEST(IpAddressTest, EveryByteReachesTheHash) {
  const auto base = std::hash<IpAddress>{}(IpAddress{});
  for (size_t i = 0; i < 16; ++i) {
    std::array<uint8_t, 16> bytes{};
    bytes[i] = 1;
    EXPECT_NE(std::hash<IpAddress>{}(IpAddress::v6(bytes)), base) << i;
  }
}

TEST(SocketAddressTest, PrintsWhatItParses) {
  for (const char* text : {"10.0.0.1:80", "[fd00::1]:15008", "[::]:0", "0.0.0.0:65535"}) {
    EXPECT_EQ(SocketAddress::parse(text).value().to_string(), text);
  }
  EXPECT_EQ(SocketAddress::parse("[::ffff:10.0.0.1]:80").value().to_string(), "10.0.0.1:80");
}

TEST(SocketAddressTest, RejectsWhatIsNotASocketAddress) {
  for (const char* text : {"", ":", "10.0.0.1", "10.0.0.1:", ":80", "10.0.0.1:65536", "10.0.0.1:-1",
                           "10.0.0.1:+1", "10.0.0.1: 80", "fd00::1:80", "[fd00::1]",
                           "[10.0.0.1]:80", "[]:80", "[fd00::1]80", "host:80", "10.0.0.1:80x"}) {
    EXPECT_FALSE(SocketAddress::parse(text)) << text;
  }
}

TEST(SocketAddressTest, RoundTripsThroughSockaddr) {
  sockaddr_storage storage;
  const SocketAddress four{ip("10.0.0.1"), 8080};
  EXPECT_EQ(four.to_sockaddr(AF_INET, storage), sizeof(sockaddr_in));
  EXPECT_EQ(storage.ss_family, AF_INET);
  EXPECT_EQ(SocketAddress::from(storage), four);
  // A dual-stack socket speaks of the same peer in mapped form.
  EXPECT_EQ(four.to_sockaddr(AF_INET6, storage), sizeof(sockaddr_in6));
  EXPECT_EQ(storage.ss_family, AF_INET6);
  EXPECT_EQ(SocketAddress::from(storage), four);
  const SocketAddress six{ip("fd00::1"), 15008};
  six.to_sockaddr(AF_INET6, storage);
  EXPECT_EQ(SocketAddress::from(storage), six);
  storage = {};
  storage.ss_family = AF_UNIX;
  EXPECT_EQ(SocketAddress::from(storage), SocketAddress{});
}

TEST(SocketAddressDeathTest, Ipv6DoesNotFitAnIpv4Socket) {
  sockaddr_storage storage;
  const SocketAddress six{IpAddress::loopback_v6(), 1};
  EXPECT_DEATH(six.to_sockaddr(AF_INET, storage), "invariant broken");
}

TEST(SocketAddressTest, PortReachesTheHash) {
  const std::hash<SocketAddress> hash;
  EXPECT_NE(hash({ip("10.0.0.1"), 80}), hash({ip("10.0.0.1"), 81}));
  EXPECT_NE(hash({ip("10.0.0.1"), 80}), hash({ip("10.0.0.2"), 80}));
}

TEST(CidrTest, ParsesAndPrints) {
  for (const char* text :
       {"10.0.0.0/8", "127.0.0.1/24", "0.0.0.0/0", "10.0.0.1/32", "fd00::/64", "::/0", "::1/128"}) {
    EXPECT_EQ(cidr(text).to_string(), text);
  }
  for (const char* text : {"", "/8", "10.0.0.1", "10.0.0.0/", "10.0.0.0/33", "fd00::/129",
                           "10.0.0.0/-1", "10.0.0.0/8/8", "x/8", "::ffff:10.0.0.0/95"}) {
    EXPECT_FALSE(Cidr::parse(text)) << text;
  }
  EXPECT_EQ(cidr("::ffff:10.0.0.0/104"), cidr("10.0.0.0/8"));
}

TEST(CidrTest, LengthCountsFromTheFamilysStart) {
  EXPECT_TRUE(Cidr::make(ip("10.0.0.0"), 32));
  EXPECT_FALSE(Cidr::make(ip("10.0.0.0"), 33));
  EXPECT_TRUE(Cidr::make(ip("fd00::"), 128));
  EXPECT_FALSE(Cidr::make(ip("fd00::"), 129));
}

TEST(CidrTest, ContainsIgnoresHostBits) {
  EXPECT_TRUE(cidr("10.1.2.3/8").contains(ip("10.255.0.1")));
  EXPECT_FALSE(cidr("10.1.2.3/8").contains(ip("11.0.0.1")));
  EXPECT_TRUE(cidr("10.0.0.128/25").contains(ip("10.0.0.200")));
  EXPECT_FALSE(cidr("10.0.0.128/25").contains(ip("10.0.0.127")));
  EXPECT_TRUE(cidr("10.0.0.1/32").contains(ip("10.0.0.1")));
  EXPECT_FALSE(cidr("10.0.0.1/32").contains(ip("10.0.0.0")));
  EXPECT_TRUE(cidr("fd00::/13").contains(ip("fd07::1")));
  EXPECT_FALSE(cidr("fd00::/13").contains(ip("fd08::1")));
  EXPECT_TRUE(cidr("::1/128").contains(ip("::1")));
}

TEST(CidrTest, NeverAcrossFamilies) {
  EXPECT_FALSE(cidr("0.0.0.0/0").contains(ip("::1")));
  EXPECT_FALSE(cidr("::/0").contains(ip("10.0.0.1")));
  EXPECT_TRUE(cidr("0.0.0.0/0").contains(ip("::ffff:10.0.0.1")));
}

}  // namespace
}  // namespace culvert::net
