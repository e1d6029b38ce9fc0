#include "ztunnel/credentials.h"

#include "tests/support/fake_signer.h"
#include "tests/support/loop.h"
#include "tests/support/test_ca.h"

#include <gmock/gmock.h>

#include <optional>

namespace culvert::ztunnel {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using namespace std::chrono_literals;

// One thread is both the control thread and the worker.
class CredentialsTest : public ::testing::Test {
 protected:
  CredentialsTest() { source_.add_worker(worker_); }

  tls::CredentialPtr certificate(Duration validity = 1h) {
    test::CertSpec spec;
    spec.uris = {test::spiffe("demo", "web")};
    spec.not_before = WallClock::now() - 2h;
    spec.not_after = WallClock::now() + validity;
    return ca_.credential(spec);
  }
  void ask() {
    const auto keep = [](CredentialsTest& test) -> net::Task<> {
      test.answer_.emplace(co_await test.worker_.get(test.web_));
    };
    answer_.reset();
    scope_.spawn(keep(*this));
  }
  void wait_for_request() {
    test::run_until(reactor_, [&] { return !signer_.pending.empty(); });
  }
  void wait_for_answer() {
    test::run_until(reactor_, [&] { return answer_.has_value(); });
  }
  // Everything that was posted until now.
  void settle() {
    bool done = false;
    reactor_.post([&] { done = true; });
    test::run_until(reactor_, [&] { return done; });
  }
  void get(tls::CredentialPtr certificate) {
    ask();
    wait_for_request();
    signer_.answer_next(std::move(certificate));
    wait_for_answer();
  }

  const state::Identity web_ = test::identity("demo", "web");
  test::TestCa ca_;
  test::FakeSigner signer_;
  net::Reactor reactor_;
  CredentialSource source_{reactor_, signer_};
  Credentials worker_{reactor_, source_};
  std::optional<Result<tls::CredentialPtr>> answer_;
  net::Scope scope_{reactor_};
};

TEST_F(CredentialsTest, IsKeptWhileItIsNeeded) {
  const auto first = certificate();
  get(first);
  source_.keep_only({web_});
  settle();
  ask();
  wait_for_answer();
  EXPECT_EQ(**answer_, first);
  EXPECT_THAT(signer_.asked, ElementsAre("web"));
}

TEST_F(CredentialsTest, ForgottenIsGoneAndComesNewWhenAskedAgain) {
  get(certificate());
  source_.keep_only({test::identity("demo", "other")});
  settle();
  EXPECT_THAT(source_.entries(), IsEmpty());
  const auto second = certificate();
  get(second);
  EXPECT_EQ(**answer_, second);
}

TEST_F(CredentialsTest, WhoeverWaitsIsTold) {
  ask();
  wait_for_request();
  source_.keep_only({});
  wait_for_answer();
  ASSERT_FALSE(*answer_);
  EXPECT_THAT(answer_->error().message(), HasSubstr("no longer needed"));
}

TEST_F(CredentialsTest, ARequestThatCrossesTheForgettingIsAnswered) {
  get(certificate(-1h));  // expired: the worker asks the source again
  ask();
  source_.keep_only({});
  const auto second = certificate();
  wait_for_request();
  signer_.answer_next(second);
  wait_for_answer();
  EXPECT_EQ(**answer_, second);
}

}  // namespace
}  // namespace culvert::ztunnel
