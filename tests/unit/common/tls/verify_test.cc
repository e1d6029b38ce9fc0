#include "common/tls/verify.h"

#include "common/tls/credential_impl.h"
#include "common/tls/errors.h"
#include "common/tls/pem.h"
#include "tests/unit/common/tls/engine_fixture.h"

#include <gtest/gtest.h>
#include <openssl/pool.h>
#include <openssl/ssl.h>

// The cache of verified chains, and what needs a clock of its own.
namespace culvert::tls {
namespace {

class VerifyTest : public EngineTest {
 protected:
  using Chain = bssl::UniquePtr<STACK_OF(CRYPTO_BUFFER)>;

  static Chain chain(const CredentialPem& pem) {
    Chain list(sk_CRYPTO_BUFFER_new_null());
    std::vector<std::string> texts{pem.leaf};
    texts.insert(texts.end(), pem.intermediates.begin(), pem.intermediates.end());
    for (const auto& text : texts) {
      const auto blocks = certificate_blocks(text, "test").value();
      for (const auto& der : blocks) {
        bssl::PushToStack(list.get(), bssl::UniquePtr<CRYPTO_BUFFER>(
                                          CRYPTO_BUFFER_new(der.data(), der.size(), nullptr)));
      }
    }
    return list;
  }

  std::optional<Refusal> verify(const Credential& own, const Chain& presented,
                                Role role = Role::kServer, WallTime now = WallClock::now()) {
    identity_.reset();
    const PeerCheck check{cache_, own.impl(), role, expected_, now};
    return verify_peer(check, presented.get(), identity_);
  }

  ChainCache cache_;
  std::optional<state::Identity> identity_;
  const CredentialPtr own_ = server_credential();
};

TEST_P(VerifyTest, ASecondLookIsAHit) {
  const auto peer = chain(ca_.credential_pem(spec(client_id_)));
  EXPECT_FALSE(verify(*own_, peer));
  EXPECT_EQ(cache_.stats().hits, 0U);
  EXPECT_FALSE(verify(*own_, peer));
  EXPECT_EQ(cache_.stats().hits, 1U);
  EXPECT_EQ(identity_, test::identity("demo", "client"));
}

TEST_P(VerifyTest, ARenewedCertificateOfOursWithTheSameRootsKeepsTheCache) {
  const auto peer = chain(ca_.credential_pem(spec(client_id_)));
  EXPECT_FALSE(verify(*own_, peer));
  EXPECT_FALSE(verify(*server_credential(), peer));
  EXPECT_EQ(cache_.stats().hits, 1U);
}

TEST_P(VerifyTest, OtherRootsDoNotProfit) {
  const auto peer = chain(ca_.credential_pem(spec(client_id_)));
  EXPECT_FALSE(verify(*own_, peer));
  const test::TestCa other("other");
  const auto refused = verify(*other.credential(server_id_), peer);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->error.code, code(Errc::kUntrusted));
  EXPECT_EQ(cache_.stats().hits, 0U);
}

TEST_P(VerifyTest, TheOtherRoleDoesNotProfit) {
  test::CertSpec server_only = spec(server_id_);
  server_only.usages = {{test::CertSpec::Usage::kServer}};
  const auto peer = chain(ca_.credential_pem(server_only));
  EXPECT_FALSE(verify(*own_, peer, Role::kClient));
  const auto refused = verify(*own_, peer, Role::kServer);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->alert, SSL_AD_UNSUPPORTED_CERTIFICATE);
}

TEST_P(VerifyTest, AnotherPresentationIsLookedAtAnew) {
  const auto pem = ca_.intermediate("issuing").credential_pem(spec(client_id_));
  EXPECT_FALSE(verify(*own_, chain(pem)));
  auto bare = pem;
  bare.intermediates.clear();
  EXPECT_TRUE(verify(*own_, chain(bare)));
}

TEST_P(VerifyTest, RefusalsAreNotRemembered) {
  const test::TestCa other("other");
  const auto peer = chain(other.credential_pem(spec(client_id_)));
  EXPECT_TRUE(verify(*own_, peer));
  EXPECT_TRUE(verify(*own_, peer));
  EXPECT_EQ(cache_.size(), 0U);
}

TEST_P(VerifyTest, TheNameIsCheckedOnHitsToo) {
  const auto peer = chain(ca_.credential_pem(spec(test::spiffe("demo", "impostor"))));
  for (int i = 0; i < 2; ++i) {
    const auto refused = verify(*own_, peer, Role::kClient);
    ASSERT_TRUE(refused);
    EXPECT_EQ(refused->error.code, code(Errc::kIdentity));
    EXPECT_FALSE(identity_);
  }
  EXPECT_EQ(cache_.stats().hits, 1U);
}

TEST_P(VerifyTest, AHitEndsWithTheEarliestCertificateOnThePath) {
  const WallTime now = WallClock::now();
  test::CertSpec brief;
  brief.not_after = now + std::chrono::minutes(10);
  const auto issuing = ca_.intermediate("brief", brief);
  const auto peer = chain(issuing.credential_pem(spec(client_id_)));
  EXPECT_FALSE(verify(*own_, peer, Role::kServer, now));
  EXPECT_FALSE(verify(*own_, peer, Role::kServer, now + std::chrono::minutes(9)));
  EXPECT_EQ(cache_.stats().hits, 1U);
  const auto refused = verify(*own_, peer, Role::kServer, now + std::chrono::minutes(11));
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->alert, SSL_AD_CERTIFICATE_EXPIRED);
  EXPECT_EQ(cache_.size(), 0U);
}

TEST_P(VerifyTest, AClockThatWentBackIsNoticed) {
  const WallTime now = WallClock::now();
  test::CertSpec young = spec(client_id_);
  young.not_before = now - std::chrono::minutes(1);
  const auto peer = chain(ca_.credential_pem(young));
  EXPECT_FALSE(verify(*own_, peer, Role::kServer, now));
  EXPECT_TRUE(verify(*own_, peer, Role::kServer, now - std::chrono::minutes(2)));
}

TEST_P(VerifyTest, OwnCertificateWithoutSpiffeIdSkipsTheTrustDomain) {
  test::CertSpec nameless;
  nameless.dns_names = {"server.example"};
  const auto peer = chain(ca_.credential_pem(spec(test::spiffe("demo", "client", "other.domain"))));
  EXPECT_TRUE(verify(*own_, peer));
  EXPECT_FALSE(verify(*ca_.credential(nameless), peer));
  EXPECT_EQ(identity_, test::identity("demo", "client", "other.domain"));
}

TEST_P(VerifyTest, NothingPresentedIsRefused) {
  const auto refused = verify(*own_, Chain(sk_CRYPTO_BUFFER_new_null()));
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->error.code, code(Errc::kNoCertificate));
  EXPECT_EQ(refused->alert, SSL_AD_CERTIFICATE_REQUIRED);
}

TEST_P(VerifyTest, JunkBesideThePathIsAllowedUpToALimit) {
  auto pem = ca_.intermediate("issuing").credential_pem(spec(client_id_));
  while (pem.intermediates.size() < 15) {
    pem.intermediates.insert(pem.intermediates.begin(), test::TestCa("junk").pem());
  }
  EXPECT_FALSE(verify(*own_, chain(pem)));
  pem.intermediates.push_back(test::TestCa("junk").pem());
  EXPECT_TRUE(verify(*own_, chain(pem)));
}

TEST_P(VerifyTest, LongListsOfNamesAreCutInMessages) {
  test::CertSpec many;
  for (int i = 0; i < 100; ++i) many.uris.push_back(test::spiffe("demo", "sa" + std::to_string(i)));
  const auto refused = verify(*own_, chain(ca_.credential_pem(many)), Role::kClient);
  ASSERT_TRUE(refused);
  EXPECT_NE(refused->error.message().find("(100 in total)"), std::string::npos);
  EXPECT_EQ(refused->error.message().find("sa8"), std::string::npos);
}

// The second connection of a peer is a hit on both sides, across new engines of one context.
TEST_P(VerifyTest, EnginesShareTheCacheOfTheirContext) {
  const auto client = client_credential(), server = server_credential();
  Wire w(client, server, expected_, options(), options());
  w.run();
  EXPECT_EQ(w.server_context->cache_stats().hits, 0U);
  EXPECT_EQ(w.server_context->cache_stats().misses, 1U);
  w.connect(client, server, expected_);
  w.run();
  ASSERT_TRUE(w.client.done && w.server.done);
  EXPECT_EQ(w.server_context->cache_stats().hits, 1U);
  EXPECT_EQ(w.client_context->cache_stats().hits, 1U);
  EXPECT_EQ(w.server.engine->peer().identity, test::identity("demo", "client"));
}

CULVERT_WITH_BOTH_RECORD_LAYERS(VerifyTest);

}  // namespace
}  // namespace culvert::tls
