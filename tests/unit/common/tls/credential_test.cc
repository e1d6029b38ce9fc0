#include "common/base/log.h"
#include "common/tls/credential_impl.h"
#include "common/tls/engine.h"
#include "common/tls/errors.h"
#include "tests/support/test_ca.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

namespace culvert::tls {
namespace {

using test::CertSpec;
using test::TestCa;
using ::testing::HasSubstr;

class CredentialTest : public ::testing::Test {
 protected:
  CredentialPem good() {
    CertSpec spec;
    spec.uris = {test::spiffe("demo", "app")};
    return ca_.credential_pem(spec);
  }
  static void expect_error(const CredentialPem& pem, const std::string& text) {
    const auto made = Credential::make(pem);
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, make_error_code(Errc::kBadCertificate));
    EXPECT_THAT(made.error().message(), HasSubstr(text));
  }
  TestCa ca_;
};

TEST_F(CredentialTest, SaysWhatIsInIt) {
  const TestCa issuing = ca_.intermediate("issuing");
  CertSpec spec;
  spec.uris = {test::spiffe("demo", "app")};
  spec.not_before = WallClock::from_time_t(1'700'000'000);
  spec.not_after = WallClock::from_time_t(1'900'000'000);
  const auto credential = issuing.credential(spec);
  EXPECT_EQ(credential->identity(), test::identity("demo", "app"));
  EXPECT_EQ(credential->not_before(), spec.not_before);
  EXPECT_EQ(credential->not_after(), spec.not_after);
  ASSERT_EQ(credential->chain().size(), 2U);
  EXPECT_EQ(credential->chain()[0].valid_from, spec.not_before);
  EXPECT_EQ(credential->chain()[0].expiration, spec.not_after);
  EXPECT_THAT(credential->chain()[0].serial_number, ::testing::MatchesRegex("[0-9]+"));
  EXPECT_EQ(credential->chain()[1].pem, issuing.pem());
  ASSERT_EQ(credential->roots().size(), 1U);
  EXPECT_EQ(credential->roots()[0].pem, ca_.pem());
}

TEST_F(CredentialTest, TimesBeyondTheClockAreClamped) {
  CertSpec spec;
  spec.uris = {test::spiffe("demo", "app")};
  // 9999-12-31 cannot be a WallTime; the certificate is minted by seconds below the library's
  // limit.
  spec.not_after = std::chrono::floor<std::chrono::seconds>(WallTime::max());
  EXPECT_EQ(ca_.credential(spec)->not_after(), spec.not_after);
}

TEST_F(CredentialTest, FirstSpiffeUriIsTheIdentity) {
  CertSpec spec;
  spec.uris = {"https://example.com/", test::spiffe("demo", "a"), test::spiffe("demo", "b")};
  EXPECT_EQ(ca_.credential(spec)->identity(), test::identity("demo", "a"));
  spec.uris = {};
  spec.dns_names = {"example.com"};
  EXPECT_EQ(ca_.credential(spec)->identity(), std::nullopt);
}

TEST_F(CredentialTest, OnlyTheFirstCertificateOfAnElementCounts) {
  auto pem = good();
  pem.leaf += ca_.pem();
  pem.intermediates = {ca_.intermediate("one").pem() + ca_.intermediate("two").pem()};
  const auto credential = Credential::make(pem).value();
  EXPECT_EQ(credential->identity(), test::identity("demo", "app"));
  EXPECT_EQ(credential->chain().size(), 2U);
}

TEST_F(CredentialTest, UnparsableRootsAreSkippedWithAWarning) {
  auto pem = good();
  pem.roots = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" + pem.roots;
  const log::Capture capture;
  const auto credential = Credential::make(pem);
  ASSERT_TRUE(credential);
  EXPECT_EQ((*credential)->roots().size(), 1U);
  EXPECT_THAT(capture.lines(), ::testing::Contains(HasSubstr("skipping a trust root")));
}

TEST_F(CredentialTest, RefusesWhatIsMissingOrBroken) {
  auto pem = good();
  pem.leaf.clear();
  expect_error(pem, "leaf certificate: no certificate");
  pem = good();
  pem.leaf = "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n";
  expect_error(pem, "leaf certificate: broken PEM");
  pem = good();
  pem.leaf = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  expect_error(pem, "leaf certificate: not an X.509 certificate");
  pem = good();
  pem.intermediates = {"nothing"};
  expect_error(pem, "intermediate certificate: no certificate");
  pem = good();
  pem.roots.clear();
  expect_error(pem, "no usable trust root");
  pem = good();
  pem.roots = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  expect_error(pem, "no usable trust root");
  pem = good();
  pem.private_key.clear();
  expect_error(pem, "private key: no PEM block");
  pem = good();
  pem.private_key = pem.leaf;
  expect_error(pem, "expected a PKCS#8");
  pem = good();
  pem.private_key = good().private_key;
  expect_error(pem, "does not belong to the leaf");
}

TEST_F(CredentialTest, RefusesWeakKeysAndTrickyNamesOfOurOwn) {
  CertSpec spec;
  spec.uris = {test::spiffe("demo", "app")};
  spec.key = CertSpec::Key::kRsa1024;
  expect_error(ca_.credential_pem(spec), "RSA key of 1024 bits");
  spec.key = CertSpec::Key::kP256;
  spec.uris = {test::spiffe("demo", "app") + std::string("\0x", 2)};
  expect_error(ca_.credential_pem(spec), "embedded NUL");
}

TEST_F(CredentialTest, TakesAtMost16Intermediates) {
  auto pem = good();
  pem.intermediates.assign(16, ca_.intermediate("i").pem());
  EXPECT_TRUE(Credential::make(pem));
  pem.intermediates.push_back(pem.intermediates[0]);
  expect_error(pem, "more than 16");
}

TEST_F(CredentialTest, MayBeUsedFirstByManyThreadsAtOnce) {
  const auto credential = Credential::make(good()).value();
  std::vector<std::thread> threads;
  std::vector<SSL_CTX*> seen(4);
  for (size_t i = 0; i < seen.size(); ++i) {
    threads.emplace_back([&, i] {
      Context context(Options{});
      const auto engine = Engine::client(context, credential, {test::identity("a", "b")});
      seen[i] = &credential->impl().ssl_context(Role::kClient, Options{});
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_THAT(seen, ::testing::Each(seen[0]));
}

}  // namespace
}  // namespace culvert::tls
