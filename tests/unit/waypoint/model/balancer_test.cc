#include "waypoint/model/balancer.h"

#include "tests/unit/waypoint/support.h"

#include <gtest/gtest.h>

#include <numeric>

namespace culvert::waypoint {
namespace {

std::vector<uint32_t> shares(const Balancer& balancer, size_t picks,
                             const std::vector<size_t>& avoid = {}) {
  test::Seeded random;
  const std::vector<uint32_t> idle(balancer.size());
  std::vector<uint32_t> out(balancer.size());
  for (size_t i = 0; i < picks; ++i) ++out[balancer.pick(idle, avoid, random).value()];
  return out;
}

// Requests that stay: each pick adds one to the active count.
std::vector<uint32_t> load(const Balancer& balancer, size_t picks) {
  test::Seeded random;
  std::vector<uint32_t> active(balancer.size());
  for (size_t i = 0; i < picks; ++i) ++active[balancer.pick(active, {}, random).value()];
  return active;
}

TEST(Balancer, NobodyToAsk) {
  test::Seeded random;
  EXPECT_EQ(Balancer().pick({}, {}, random), std::nullopt);
  const EndpointState states[] = {{Health::kUnhealthy}, {Health::kDraining}, {Health::kHealthy, 0}};
  const Balancer balancer(states);
  EXPECT_EQ(balancer.usable(), 0U);
  EXPECT_EQ(balancer.pick(std::vector<uint32_t>(3), {}, random), std::nullopt);
}

TEST(Balancer, OnlyHealthyOnesWithWeight) {
  const EndpointState states[] = {
      {Health::kUnhealthy}, {}, {Health::kHealthy, 0}, {}, {Health::kDraining}};
  const auto share = shares(Balancer(states), 1000);
  EXPECT_EQ(share[0] + share[2] + share[4], 0U);
  EXPECT_GT(share[1], 400U);
  EXPECT_GT(share[3], 400U);
}

TEST(Balancer, TheLessBusyOfTwoWins) {
  const EndpointState states[] = {{}, {}};
  const Balancer balancer(states);
  test::Seeded random;
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(balancer.pick(std::vector<uint32_t>{5, 4}, {}, random), 1U);
    EXPECT_EQ(balancer.pick(std::vector<uint32_t>{0, 1}, {}, random), 0U);
  }
}

TEST(Balancer, WeightsHoldWithoutLoad) {
  const EndpointState states[] = {{Health::kHealthy, 1}, {Health::kHealthy, 3}};
  const auto share = shares(Balancer(states), 10'000);
  EXPECT_NEAR(share[1], 7500, 300);
}

TEST(Balancer, WeightsHoldUnderLoad) {
  const EndpointState states[] = {{Health::kHealthy, 1}, {Health::kHealthy, 3}};
  const auto active = load(Balancer(states), 4000);
  EXPECT_NEAR(active[0], 1000, 5);
  EXPECT_NEAR(active[1], 3000, 5);
}

TEST(Balancer, LoadSpreadsEvenly) {
  const std::vector<EndpointState> states(100);
  const auto active = load(Balancer(states), 10'000);
  for (const uint32_t count : active) EXPECT_NEAR(count, 100, 8);
}

TEST(Balancer, AvoidsHostsAlreadyTried) {
  const std::vector<EndpointState> states(4);
  const auto share = shares(Balancer(states), 1000, {0, 2});
  EXPECT_EQ(share[0] + share[2], 0U);
  EXPECT_GT(share[1], 400U);
  EXPECT_GT(share[3], 400U);
}

TEST(Balancer, FindsTheOneThatIsLeftAmongMany) {
  const std::vector<EndpointState> states(500);
  std::vector<size_t> avoid(500);
  std::iota(avoid.begin(), avoid.end(), 0);
  avoid.erase(avoid.begin() + 321);
  EXPECT_EQ(shares(Balancer(states), 20, avoid)[321], 20U);
}

TEST(Balancer, AHostTriedBeforeIsBetterThanNone) {
  const std::vector<EndpointState> states(2);
  const auto share = shares(Balancer(states), 100, {0, 1});
  EXPECT_EQ(share[0] + share[1], 100U);
  const EndpointState one[] = {{}};
  EXPECT_EQ(shares(Balancer(one), 1, {0})[0], 1U);
}

TEST(Balancer, LowestPriorityFirst) {
  const EndpointState states[] = {
      {Health::kHealthy, 1, 1}, {Health::kHealthy, 1, 0}, {Health::kUnhealthy, 1, 0}};
  EXPECT_EQ(shares(Balancer(states), 100)[1], 100U);
  // A retry leaves the priority rather than asking the same host.
  EXPECT_EQ(shares(Balancer(states), 100, {1})[0], 100U);
}

}  // namespace
}  // namespace culvert::waypoint
