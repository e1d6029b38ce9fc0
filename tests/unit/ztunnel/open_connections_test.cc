#include "ztunnel/open_connections.h"

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

class OpenConnectionsTest : public ::testing::Test {
 protected:
  void check() { connections_.check_policies(*store_.commit(), *local_); }

  net::Reactor reactor_;
  OpenConnections connections_{reactor_, "uid-1", kInfo};
  state::Store store_{""};
  state::WorkloadPtr local_ = state::Workload::make(test::pod("server", {"10.0.0.2"}));
};

TEST_F(OpenConnectionsTest, ListsWhatIsOpen) {
  const ConnectionInfo info{"10.0.0.1:1", "10.1.0.1:80", "10.0.0.2:15008", "HBONE", true};
  {
    const OpenConnections::Entry in(connections_, true, info);
    const OpenConnections::Entry out(connections_, false, info);
    const OpenConnections::Entry second(connections_, false, info);
    ASSERT_EQ(connections_.inbound().size(), 1U);
    EXPECT_EQ(connections_.inbound()[0].original_dst, "10.1.0.1:80");
    EXPECT_EQ(connections_.outbound().size(), 2U);
  }
  EXPECT_TRUE(connections_.inbound().empty());
  EXPECT_TRUE(connections_.outbound().empty());
}

TEST_F(OpenConnectionsTest, ANewDenyRevokesWhatItMatches) {
  OpenConnections::Entry denied(connections_, true, {"10.0.0.1:1000", "", "10.0.0.2:80", "TCP"});
  OpenConnections::Entry allowed(connections_, true, {});
  denied.guard(to_port(80));
  allowed.guard(to_port(81));
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
  OpenConnections::Entry first(connections_, true, {}), second(connections_, true, {});
  first.guard(to_port(80));
  second.guard(to_port(81));
  store_.upsert_policy(policy("allow-80", Policy::Action::kAllow, {80}));
  check();
  EXPECT_FALSE(first.revoked());
  EXPECT_TRUE(second.revoked());
}

TEST_F(OpenConnectionsTest, RevokedStaysRevoked) {
  OpenConnections::Entry entry(connections_, true, {});
  entry.guard(to_port(80));
  store_.upsert_policy(policy("deny-80", Policy::Action::kDeny, {80}));
  check();
  store_.remove_policy("root/deny-80");
  check();
  EXPECT_TRUE(entry.revoked());
}

TEST_F(OpenConnectionsTest, OnlyGuardedIncomingOnesAreChecked) {
  OpenConnections::Entry unguarded(connections_, true, {}), outgoing(connections_, false, {});
  outgoing.guard(to_port(80));
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

struct Endless {
  net::Event& never;
  bool& destroyed;
  struct Outcome {
    Error error;
  };
  net::Task<Outcome> run() {
    struct Mark {
      bool& flag;
      ~Mark() { flag = true; }
    } const mark{destroyed};
    co_await never.wait();
    co_return Outcome{};
  }
};

TEST_F(OpenConnectionsTest, RevocationAbandonsTheRelay) {
  OpenConnections::Entry entry(connections_, true, {});
  entry.guard(to_port(80));
  net::Event never(reactor_);
  bool destroyed = false;
  Endless relay{never, destroyed};
  net::Scope scope(reactor_);
  std::optional<Error> result;
  const auto serve = [](Endless& work, OpenConnections::Entry& guard, net::Reactor& reactor,
                        std::optional<Error>& out) -> net::Task<> {
    out = co_await run_guarded(work, guard, reactor);
  };
  scope.spawn(serve(relay, entry, reactor_, result));
  EXPECT_FALSE(result);
  store_.upsert_policy(policy("deny-80", Policy::Action::kDeny, {80}));
  check();
  test::run_until(reactor_, [&] { return result.has_value(); });
  EXPECT_EQ(result->code, Errc::kPolicyChange);
  EXPECT_TRUE(destroyed);
}

TEST_F(OpenConnectionsTest, ARelaysOwnEndIsItsResult) {
  OpenConnections::Entry entry(connections_, true, {});
  net::Event done(reactor_);
  bool destroyed = false;
  Endless relay{done, destroyed};
  net::Scope scope(reactor_);
  std::optional<Error> result;
  const auto serve = [](Endless& work, OpenConnections::Entry& guard, net::Reactor& reactor,
                        std::optional<Error>& out) -> net::Task<> {
    out = co_await run_guarded(work, guard, reactor);
  };
  scope.spawn(serve(relay, entry, reactor_, result));
  done.wake_all();
  test::run_until(reactor_, [&] { return result.has_value(); });
  EXPECT_FALSE(result->code);
}

}  // namespace
}  // namespace culvert::ztunnel
