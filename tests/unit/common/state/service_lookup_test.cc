#include "common/state/store.h"
#include "tests/support/state_builders.h"

#include <gtest/gtest.h>

namespace culvert::state {
namespace {

using test::cidr;
using test::ip;

ServiceSpec in_namespace(std::string ns, const std::vector<std::string_view>& vips,
                         const std::vector<std::string_view>& cidrs = {}) {
  ServiceSpec service = test::service("shared", vips);
  service.namespace_ = std::move(ns);
  service.hostname = "shared.example.com";
  for (const auto prefix : cidrs) service.cidr_vips.push_back({"", cidr(prefix)});
  return service;
}

class ServiceLookupTest : public testing::Test {
 protected:
  // The namespace of what a VIP means to a client, "" for nothing.
  std::string vip(std::string_view address, std::optional<std::string_view> client = std::nullopt,
                  std::string_view network = "") {
    const auto found = store_.commit()->service_by_vip(network, ip(address), client);
    return std::string(found ? found->ns() : "");
  }
  std::string host(std::optional<std::string_view> client = std::nullopt) {
    const auto found = store_.commit()->service_by_host("shared.example.com", client);
    return std::string(found ? found->ns() : "");
  }
  void add(std::string ns, const std::vector<std::string_view>& vips,
           const std::vector<std::string_view>& cidrs = {}, bool canonical = false,
           Visibility visibility = Visibility::kPublic) {
    ServiceSpec service = in_namespace(std::move(ns), vips, cidrs);
    service.canonical = canonical;
    service.visibility = visibility;
    store_.upsert_service(std::move(service));
  }
  Store store_{""};
};

TEST_F(ServiceLookupTest, SharedVipInSeveralNamespaces) {
  add("a", {"10.0.0.1"});
  add("b", {"10.0.0.1"});
  EXPECT_EQ(vip("10.0.0.1", "b"), "b");
  EXPECT_EQ(vip("10.0.0.1", "x"), "a");  // the first
  EXPECT_EQ(vip("10.0.0.1"), "a");
  add("c", {"10.0.0.1"}, {}, true);
  add("d", {"10.0.0.1"}, {}, true);
  EXPECT_EQ(vip("10.0.0.1", "x"), "d");  // the last canonical one
  EXPECT_EQ(vip("10.0.0.1", "a"), "a");
  EXPECT_EQ(host("b"), "b");
  EXPECT_EQ(host("x"), "d");

  EXPECT_TRUE(store_.remove_address("d/shared.example.com"));
  EXPECT_EQ(vip("10.0.0.1", "x"), "c");
  EXPECT_TRUE(store_.remove_address("c/shared.example.com"));
  EXPECT_TRUE(store_.remove_address("a/shared.example.com"));
  EXPECT_EQ(vip("10.0.0.1", "x"), "b");
  EXPECT_TRUE(store_.remove_address("b/shared.example.com"));
  EXPECT_EQ(vip("10.0.0.1", "x"), "");
  EXPECT_EQ(host(), "");
}

// Istio's ztunnel lets the later one erase the earlier one for good.
TEST_F(ServiceLookupTest, SharedVipInOneNamespace) {
  ServiceSpec first = in_namespace("a", {"10.0.0.1"});
  first.hostname = "first.example.com";
  ServiceSpec second = in_namespace("a", {"10.0.0.1"});
  second.hostname = "second.example.com";
  store_.upsert_service(first);
  store_.upsert_service(second);
  const auto found = [&] {
    return std::string(store_.commit()->service_by_vip("", ip("10.0.0.1"), "x")->hostname());
  };
  EXPECT_EQ(found(), "second.example.com");
  store_.upsert_service(first);  // an update keeps its place
  EXPECT_EQ(found(), "second.example.com");
  EXPECT_TRUE(store_.remove_address("a/second.example.com"));
  EXPECT_EQ(found(), "first.example.com");
}

TEST_F(ServiceLookupTest, VisibilityOfVips) {
  add("a", {"10.0.0.1"}, {"10.1.0.0/16"}, false, Visibility::kNamespace);
  EXPECT_EQ(vip("10.0.0.1", "a"), "a");
  EXPECT_EQ(vip("10.0.0.1", "b"), "");
  EXPECT_EQ(vip("10.0.0.1"), "a");  // not enforced
  EXPECT_EQ(vip("10.1.2.3", "a"), "a");
  EXPECT_EQ(vip("10.1.2.3", "b"), "");
  EXPECT_EQ(vip("10.1.2.3"), "a");
}

TEST_F(ServiceLookupTest, VisibilityOfHosts) {
  add("a", {}, {}, true, Visibility::kNamespace);
  add("b", {});
  EXPECT_EQ(host("a"), "a");
  EXPECT_EQ(host("c"), "b");
  EXPECT_EQ(host(), "a");
}

TEST_F(ServiceLookupTest, InvisibleExactVipFallsThroughToCidr) {
  add("a", {"10.0.0.1"}, {}, false, Visibility::kNamespace);
  add("b", {}, {"10.0.0.0/8"});
  EXPECT_EQ(vip("10.0.0.1", "a"), "a");
  EXPECT_EQ(vip("10.0.0.1", "c"), "b");
}

TEST_F(ServiceLookupTest, CidrMatch) {
  add("a", {}, {"10.1.2.3/16", "fd00:1::/32"});
  EXPECT_EQ(vip("10.1.255.255"), "a");  // host bits of the prefix do not count
  EXPECT_EQ(vip("10.2.0.0"), "");
  EXPECT_EQ(vip("fd00:1:ffff::1"), "a");
  EXPECT_EQ(vip("fd00:2::1"), "");
}

TEST_F(ServiceLookupTest, LongestPrefixWins) {
  add("a", {}, {"10.0.0.0/8", "fd00::/16"});
  add("b", {}, {"10.1.0.0/16", "fd00:1::/32"});
  add("c", {}, {"10.1.1.0/24", "fd00:1:1::/48"});
  EXPECT_EQ(vip("10.1.1.1"), "c");
  EXPECT_EQ(vip("10.1.2.1"), "b");
  EXPECT_EQ(vip("10.2.1.1"), "a");
  EXPECT_EQ(vip("fd00:1:1::1"), "c");
  EXPECT_EQ(vip("fd00:1:2::1"), "b");
  EXPECT_EQ(vip("fd00:2::1"), "a");
}

TEST_F(ServiceLookupTest, CidrsDoNotCrossFamilies) {
  add("a", {}, {"0.0.0.0/0"});
  EXPECT_EQ(vip("10.0.0.1"), "a");
  EXPECT_EQ(vip("fd00::1"), "");
  add("b", {}, {"::/0"});
  EXPECT_EQ(vip("fd00::1"), "b");
  EXPECT_EQ(vip("10.0.0.1"), "a");
}

TEST_F(ServiceLookupTest, ExactBeforeCidr) {
  add("a", {"10.0.0.1", "fd00::1"});
  add("b", {}, {"10.0.0.0/24", "fd00::/64"});
  EXPECT_EQ(vip("10.0.0.1", "b"), "a");
  EXPECT_EQ(vip("fd00::1", "b"), "a");
  EXPECT_EQ(vip("10.0.0.2"), "b");
  EXPECT_EQ(vip("fd00::2"), "b");
}

TEST_F(ServiceLookupTest, ExactIpv4BesideCidrIpv6) {
  add("a", {"10.0.0.1"}, {"fd00::/64"});
  EXPECT_EQ(vip("10.0.0.1"), "a");
  EXPECT_EQ(vip("10.0.0.2"), "");
  EXPECT_EQ(vip("fd00::5"), "a");
}

TEST_F(ServiceLookupTest, NetworksAreSeparate) {
  ServiceSpec service = in_namespace("a", {});
  service.vips = {{"n1", ip("10.9.0.1")}};
  service.cidr_vips = {{"n1", cidr("10.0.0.0/8")}};
  store_.upsert_service(service);
  EXPECT_EQ(vip("10.9.0.1", "a", "n1"), "a");
  EXPECT_EQ(vip("10.9.0.1", "a", "n2"), "");
  EXPECT_EQ(vip("10.0.0.1", "a", "n1"), "a");
  EXPECT_EQ(vip("10.0.0.1", "a", ""), "");
}

TEST_F(ServiceLookupTest, OverlappingCidrsInNamespaces) {
  add("a", {}, {"10.0.0.0/16"});
  add("b", {}, {"10.0.0.0/16"});
  EXPECT_EQ(vip("10.0.0.1", "a"), "a");
  EXPECT_EQ(vip("10.0.0.1", "b"), "b");
  EXPECT_EQ(vip("10.0.0.1", "c"), "a");  // the first of equals
  add("d", {}, {"10.0.0.0/16"}, true);
  EXPECT_EQ(vip("10.0.0.1", "c"), "d");
}

TEST_F(ServiceLookupTest, OwnNamespaceBeatsALongerPrefix) {
  add("a", {}, {"10.0.0.0/16"});
  add("b", {}, {"10.0.0.0/24"}, true);
  EXPECT_EQ(vip("10.0.0.1", "a"), "a");
  EXPECT_EQ(vip("10.0.0.1", "c"), "b");
}

TEST_F(ServiceLookupTest, RemovalCleansCidrs) {
  add("a", {"10.9.0.1"}, {"10.0.0.0/8", "10.0.0.0/16"});
  EXPECT_EQ(vip("10.0.0.1"), "a");
  EXPECT_TRUE(store_.remove_address("a/shared.example.com"));
  EXPECT_EQ(vip("10.0.0.1"), "");
  EXPECT_EQ(vip("10.9.0.1"), "");
}

TEST_F(ServiceLookupTest, AnUpdateMovesVips) {
  add("a", {"10.0.0.1", "10.0.0.2"}, {"10.1.0.0/16", "10.2.0.0/16"});
  add("a", {"10.0.0.2", "10.0.0.3"}, {"10.2.0.0/16", "10.3.0.0/16"});
  EXPECT_EQ(vip("10.0.0.1"), "");
  EXPECT_EQ(vip("10.0.0.2"), "a");
  EXPECT_EQ(vip("10.0.0.3"), "a");
  EXPECT_EQ(vip("10.1.0.1"), "");
  EXPECT_EQ(vip("10.2.0.1"), "a");
  EXPECT_EQ(vip("10.3.0.1"), "a");
  EXPECT_EQ(store_.commit()->services().size(), 1U);
}

// Istio's ztunnel adds the CIDRs again on each endpoint change and then finds the oldest.
TEST_F(ServiceLookupTest, EndpointChangesShowBehindCidrs) {
  add("a", {"10.9.0.1"}, {"10.0.0.0/8"});
  for (const char* name : {"x", "y", "z"}) {
    store_.upsert_workload(test::pod(name, {}), {{{"a", "shared.example.com"}, {{80, 8080}}}});
    store_.commit();
  }
  const auto snapshot = store_.commit();
  const auto by_cidr = snapshot->service_by_vip("", ip("10.0.0.1"), std::nullopt);
  EXPECT_EQ(by_cidr->endpoint_count(), 3U);
  EXPECT_EQ(by_cidr, snapshot->service_by_vip("", ip("10.9.0.1"), std::nullopt));
  EXPECT_EQ(by_cidr, snapshot->service_by_host("shared.example.com", std::nullopt));
  EXPECT_EQ(by_cidr, snapshot->service_by_key({"a", "shared.example.com"}));
}

TEST_F(ServiceLookupTest, AddressListedTwiceIsRemovedOnce) {
  add("a", {"10.0.0.1", "10.0.0.1"}, {"10.1.0.0/16", "10.1.2.3/16"});
  EXPECT_EQ(vip("10.1.0.1"), "a");
  add("a", {});
  EXPECT_EQ(vip("10.0.0.1"), "");
  EXPECT_EQ(vip("10.1.0.1"), "");
}

// Two spellings of one prefix: dropping one must not drop the other.
TEST_F(ServiceLookupTest, PrefixThatOnlyChangesItsHostBitsStays) {
  add("a", {}, {"10.1.0.0/16", "10.1.2.3/16"});
  add("a", {}, {"10.1.2.3/16"});
  EXPECT_EQ(vip("10.1.0.1"), "a");
}

TEST_F(ServiceLookupTest, BestServiceHonoursThePreferredNamespace) {
  add("a", {});
  add("b", {});
  const auto best = [&](std::optional<std::string_view> client) {
    const auto best_one =
        best_service(store_.commit()->services_by_host("shared.example.com"), client, "b");
    return std::string(best_one->ns());
  };
  EXPECT_EQ(best("x"), "b");
  EXPECT_EQ(best("a"), "a");
  add("c", {}, {}, true);
  EXPECT_EQ(best("x"), "c");
  EXPECT_EQ(best_service({}, std::nullopt), nullptr);
}

TEST_F(ServiceLookupTest, ServicesAreListedByHostThenInsertion) {
  add("z", {});
  add("a", {});
  store_.upsert_service(test::service("alpha", {}));
  const auto all = store_.commit()->services();
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[0]->hostname(), "alpha.ns.svc");
  EXPECT_EQ(all[1]->ns(), "z");
  EXPECT_EQ(all[2]->ns(), "a");
}

}  // namespace
}  // namespace culvert::state
