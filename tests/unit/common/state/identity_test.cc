#include "common/state/identity.h"

#include "common/state/errors.h"

#include <gtest/gtest.h>

namespace culvert::state {
namespace {

TEST(IdentityTest, ParsesAndPrints) {
  const auto identity = Identity::parse("spiffe://td.example/ns/my.ns/sa/my-sa").value();
  EXPECT_EQ(identity, (Identity{"td.example", "my.ns", "my-sa"}));
  EXPECT_EQ(identity.to_string(), "spiffe://td.example/ns/my.ns/sa/my-sa");
}

TEST(IdentityTest, SegmentsMayBeEmpty) {
  EXPECT_EQ(Identity::parse("spiffe://td/ns//sa/").value(), (Identity{"td", "", ""}));
  EXPECT_EQ(Identity::parse("spiffe:///ns/a/sa/b").value(), (Identity{"", "a", "b"}));
}

TEST(IdentityTest, RejectsOtherShapes) {
  for (const char* text :
       {"", "spiffe://", "td/ns/ns/sa/sa", "https://td/ns/ns/sa/sa", "SPIFFE://td/ns/ns/sa/sa",
        "spiffe://td/ns/ns/sa", "spiffe://td/ns/ns/sa/sa/", "spiffe://td/ns/ns/sa/sa/more",
        "spiffe://td/ns/ns/sb/sa", "spiffe://td/foobar/ns/sa/sa", "spiffe://td/NS/ns/sa/sa"}) {
    const auto identity = Identity::parse(text);
    ASSERT_FALSE(identity) << text;
    EXPECT_EQ(identity.error().message(), std::string("invalid spiffe identity: ") + text);
  }
}

TEST(IdentityTest, HashKeepsPartsApart) {
  const std::hash<Identity> hash;
  EXPECT_EQ(hash({"a", "b", "c"}), hash({"a", "b", "c"}));
  EXPECT_NE(hash({"a", "b", "c"}), hash({"a", "c", "b"}));
  EXPECT_NE(hash({"ab", "", "c"}), hash({"a", "b", "c"}));
}

TEST(StateErrorTest, EveryErrorHasAText) {
  for (int value = 1; value <= static_cast<int>(Errc::kUnknownSourceWorkload); ++value) {
    EXPECT_NE(make_error_code(static_cast<Errc>(value)).message(), "unknown error") << value;
  }
  EXPECT_EQ(make_error_code(Errc::kUnknownWaypoint).message(), "unknown waypoint");
}

}  // namespace
}  // namespace culvert::state
