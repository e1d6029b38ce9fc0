#include "ztunnel/open_connections.h"

#include "common/net/scope.h"
#include "common/state/store.h"
#include "tests/support/loop.h"
#include "tests/support/state_builders.h"
#include "ztunnel/errors.h"
#include "ztunnel/guarded_relay.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace culvert::ztunnel {
namespace {

using state::Policy;
using test::address;
using ::testing::Contains;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr auto kInfo = log::Level::kInfo;

// A global policy about these destination ports.
Policy policy(std::string name, Policy::Action action, std::vector<uint16_t> ports) {
  Policy result;
  result.name = std::move(name);
  result.namespace_ = "root";
  result.action = action;
  state::PolicyMatch match;
  match.destination_ports = std::move(ports);
  result.rules = {{{match}}};
  return result;
}

authz::Connection to_port(uint16_t port) {
  return {std::nullopt, address("10.0.0.1:1000"), {test::ip("10.0.0.2"), port}};
}

ConnectionEnds to(uint16_t port) {
  return {.client = address("10.0.0.1:1000"),
          .dialled = {test::ip("10.0.0.2"), port},
          .original = std::nullopt,
          .original_host = std::nullopt};
}

class OpenConnectionsTest : public ::testing::Test {
 protected:
  void check() { connections_.check_policies(*store_.commit(), *local_); }

  net::Reactor reactor_;
  OpenConnections connections_{"uid-1", kInfo};
  state::Store store_{""};
  state::WorkloadPtr local_ = state::Workload::make(test::pod("server", {"10.0.0.2"}));
};

TEST_F(OpenConnectionsTest, ListsWhatIsOpen) {
  const ConnectionEnds info{.client = address("10.0.0.1:1"),
                            .dialled = address("10.0.0.2:15008"),
                            .original = address("10.1.0.1:80"),
                            .original_host = std::nullopt,
                            .tunnelled = true};
  {
    const OpenConnections::Entry in(connections_, true, info);
    const OpenConnections::Entry out(connections_, false, info);
    const OpenConnections::Entry second(connections_, false, info);
    ASSERT_EQ(connections_.inbound().size(), 1U);
    const ConnectionInfo shown = connections_.inbound()[0];
    EXPECT_EQ(shown.src, "10.0.0.1:1");
    EXPECT_EQ(shown.original_dst, "10.1.0.1:80");
    EXPECT_EQ(shown.actual_dst, "10.0.0.2:15008");
    EXPECT_EQ(shown.protocol, "HBONE");
    EXPECT_TRUE(shown.has_original_dst);
    EXPECT_EQ(connections_.outbound().size(), 2U);
  }
  EXPECT_TRUE(connections_.inbound().empty());
  EXPECT_TRUE(connections_.outbound().empty());
}

TEST_F(OpenConnectionsTest, ANewDenyRevokesWhatItMatches) {
  OpenConnections::Entry denied(connections_, true, to(80));
  OpenConnections::Entry allowed(connections_, true, to(81));
  denied.guard(nullptr);
  allowed.guard(nullptr);
  check();
  EXPECT_FALSE(denied.revoked());
  store_.upsert_policy(policy("deny-80", Policy::Action::kDeny, {80}));
  const log::Capture capture;
  check();
  EXPECT_TRUE(denied.revoked());
  EXPECT_FALSE(allowed.revoked());
  EXPECT_THAT(capture.lines(),
              Contains(HasSubstr("connection 10.0.0.1:1000->10.0.0.2:80 (uid-1) closed because "
                                 "it's no longer allowed after a policy update")));
}

TEST_F(OpenConnectionsTest, ANewAllowRevokesTheOthers) {
  OpenConnections::Entry first(connections_, true, to(80)), second(connections_, true, to(81));
  first.guard(nullptr);
  second.guard(nullptr);
  store_.upsert_policy(policy("allow-80", Policy::Action::kAllow, {80}));
  check();
  EXPECT_FALSE(first.revoked());
  EXPECT_TRUE(second.revoked());
}

TEST_F(OpenConnectionsTest, RevokedStaysRevoked) {
  OpenConnections::Entry entry(connections_, true, to(80));
  entry.guard(nullptr);
  store_.upsert_policy(policy("deny-80", Policy::Action::kDeny, {80}));
  check();
  store_.remove_policy("root/deny-80");
  check();
  EXPECT_TRUE(entry.revoked());
}

TEST_F(OpenConnectionsTest, OnlyGuardedIncomingOnesAreChecked) {
  OpenConnections::Entry unguarded(connections_, true, to(80)),
      outgoing(connections_, false, to(80));
  outgoing.guard(nullptr);
  store_.upsert_policy(policy("deny-80", Policy::Action::kDeny, {80}));
  check();
  EXPECT_FALSE(unguarded.revoked());
  EXPECT_FALSE(outgoing.revoked());
}

TEST_F(OpenConnectionsTest, DecisionsAreLoggedAtTheLevelAskedFor) {
  auto dry = policy("dry-deny", Policy::Action::kDeny, {80});
  dry.dry_run = true;
  store_.upsert_policy(dry);
  dry.name = "dry-allow";
  dry.action = Policy::Action::kAllow;
  store_.upsert_policy(dry);
  const auto mesh = store_.commit();
  {
    const log::Capture capture;
    EXPECT_TRUE(check_policies(*mesh, *local_, to_port(80), log::Level::kInfo).allowed());
    EXPECT_THAT(capture.lines(),
                Contains(HasSubstr("dry-run: deny policy match\tpolicy=\"root/dry-deny\"")));
    EXPECT_THAT(capture.lines(),
                Contains(HasSubstr("dry-run: allow policy match\tpolicy=\"root/dry-allow\"")));
    EXPECT_THAT(capture.lines(), Each(HasSubstr("\tinfo\tstate\t")));
  }
  const log::Capture capture;
  check_policies(*mesh, *local_, to_port(80), log::Level::kDebug);
  EXPECT_THAT(capture.lines(), Not(Contains(HasSubstr("dry-run"))));  // the filter says info
}

TEST_F(OpenConnectionsTest, PoliciesTheMeshDoesNotHaveAreNamed) {
  auto spec = local_->spec();
  spec.authorization_policies = {"ns/gone"};
  local_ = state::Workload::make(spec);
  const log::Capture capture;
  EXPECT_TRUE(check_policies(*store_.commit(), *local_, to_port(80), kInfo).allowed());
  EXPECT_THAT(capture.lines(),
              Contains(HasSubstr("\twarn\tstate\tskipping unknown policy ns/gone")));
}

// ---- guarded relays

struct Endless final : net::Abandonable {
  explicit Endless(net::Reactor& reactor) : ended(reactor) {}
  net::Task<net::RelayOutcome> run() {
    while (!over) co_await ended.wait();
    co_return net::RelayOutcome{};
  }
  void end() {
    over = true;
    ended.wake_all();
  }
  void abandon() override {
    abandoned = true;
    end();
  }
  net::Event ended;
  bool over = false, abandoned = false;
};

class GuardedRelayTest : public OpenConnectionsTest {
 protected:
  void run() {
    const auto serve = [](Endless& work, OpenConnections::Entry& guard,
                          std::optional<Error>& out) -> net::Task<> {
      out = co_await run_guarded(work, guard);
    };
    entry_.guard(nullptr);
    scope_.spawn(serve(relay_, entry_, result_));
  }
  OpenConnections::Entry entry_{connections_, true, to(80)};
  Endless relay_{reactor_};
  std::optional<Error> result_;
  net::Scope scope_{reactor_};
};

TEST_F(GuardedRelayTest, RevocationAbandonsTheRelay) {
  run();
  EXPECT_FALSE(result_);
  store_.upsert_policy(policy("deny-80", Policy::Action::kDeny, {80}));
  check();
  test::run_until(reactor_, [&] { return result_.has_value(); });
  EXPECT_EQ(result_->code, Errc::kPolicyChange);
  EXPECT_TRUE(relay_.abandoned);
}

TEST_F(GuardedRelayTest, ARelaysOwnEndIsItsResult) {
  run();
  relay_.end();
  test::run_until(reactor_, [&] { return result_.has_value(); });
  EXPECT_FALSE(result_->code);
  // It is gone: nothing may be told to it any more.
  store_.upsert_policy(policy("deny-80", Policy::Action::kDeny, {80}));
  check();
  EXPECT_FALSE(relay_.abandoned);
}

}  // namespace
}  // namespace culvert::ztunnel
