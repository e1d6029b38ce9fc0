#include "tests/unit/common/tls/engine_fixture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

// Who is refused, what we say about it, and what the other side is told.
namespace culvert::tls {
namespace {

using test::CertSpec;
using test::TestCa;
using ::testing::HasSubstr;
using Usage = CertSpec::Usage;

// Our client meets a server that it must not talk to.
void expect_client_refuses(Wire w, Errc error, const std::string& text, const std::string& alert) {
  w.run();
  ASSERT_TRUE(w.client.error);
  EXPECT_EQ(w.client.error->code, code(error)) << w.client.error->message();
  EXPECT_THAT(w.client.error->message(), HasSubstr(text));
  // The server is still in its handshake when the alert arrives.
  ASSERT_TRUE(w.server.error);
  EXPECT_EQ(w.server.error->code, code(Errc::kAlert)) << w.server.error->message();
  EXPECT_THAT(w.server.error->message(), HasSubstr(alert));
  EXPECT_FALSE(w.server.done);
}

// Our server meets a client that it must not talk to. The client, done by then, hears of it in
// open().
void expect_server_refuses(Wire w, Errc error, const std::string& text, const std::string& alert) {
  w.run();
  ASSERT_TRUE(w.server.error);
  EXPECT_EQ(w.server.error->code, code(error)) << w.server.error->message();
  EXPECT_THAT(w.server.error->message(), HasSubstr(text));
  EXPECT_FALSE(w.server.done);
  ASSERT_TRUE(w.client.error);
  EXPECT_EQ(w.client.error->code, code(Errc::kAlert)) << w.client.error->message();
  EXPECT_THAT(w.client.error->message(), HasSubstr(alert));
}

void expect_works(Wire w) {
  w.run();
  EXPECT_TRUE(w.client.done && w.server.done);
  if (w.client.error) ADD_FAILURE() << "client: " << w.client.error->message();
  if (w.server.error) ADD_FAILURE() << "server: " << w.server.error->message();
}

class IdentityTest : public EngineTest {
 protected:
  // The same flaw in a server's and in a client's certificate.
  void expect_both_refuse(const CertSpec& server, const CertSpec& client, const TestCa& issuer,
                          const std::string& text, const std::string& alert) {
    expect_client_refuses(with_server(server, issuer), Errc::kUntrusted, text, alert);
    expect_server_refuses(with_client(client, issuer), Errc::kUntrusted, text, alert);
  }
  void expect_both_refuse(const std::function<void(CertSpec&)>& spoil, const std::string& text,
                          const std::string& alert) {
    CertSpec server = spec(server_id_), client = spec(client_id_);
    spoil(server);
    spoil(client);
    expect_both_refuse(server, client, ca_, text, alert);
  }
};

TEST_P(IdentityTest, ServerWithAnotherNameIsRefused) {
  expect_client_refuses(
      with_server(spec(test::spiffe("demo", "impostor")), ca_), Errc::kIdentity,
      "identity verification error: peer did not present the expected SAN "
      "(spiffe://cluster.local/ns/demo/sa/server), got spiffe://cluster.local/ns/demo/sa/impostor",
      "certificate unknown");
}

TEST_P(IdentityTest, EveryPartOfTheNameCounts) {
  for (const auto& other : {test::spiffe("demo", "server", "other.domain"),
                            test::spiffe("prod", "server"), test::spiffe("demo", "Server")}) {
    expect_client_refuses(with_server(spec(other), ca_), Errc::kIdentity, other,
                          "certificate unknown");
  }
}

TEST_P(IdentityTest, OneOfSeveralExpectedNamesIsEnough) {
  expect_works({client_credential(),
                server_credential(),
                {test::identity("x", "y"), test::identity("demo", "server")},
                options(),
                options()});
}

TEST_P(IdentityTest, NoExpectedNameRefusesEveryServer) {
  expect_client_refuses({client_credential(), server_credential(), {}, options(), options()},
                        Errc::kIdentity, "expected SAN (none)", "certificate unknown");
}

TEST_P(IdentityTest, AClientMayTakeAnyServerOfATrustDomain) {
  const auto met = [&](const std::string& uri, const std::string& domain) {
    Wire w = with_server(spec(uri), ca_);
    w.client = Side{Engine::client_in_domain(*w.client_context, client_credential(), domain)};
    return w;
  };
  expect_works(met(server_id_, "cluster.local"));
  expect_works(met(test::spiffe("elsewhere", "someone"), "cluster.local"));
  // A domain other than the client's own; the server, of that domain, refuses the client later on.
  Wire foreign = met(test::spiffe("demo", "server", "other.domain"), "other.domain");
  foreign.run();
  EXPECT_TRUE(foreign.client.done);
  expect_client_refuses(
      met(test::spiffe("demo", "server", "other.domain"), "cluster.local"), Errc::kTrustDomain,
      "expected trust domain (cluster.local), got spiffe://other.domain", "certificate unknown");
  expect_client_refuses(met("https://cluster.local/", "cluster.local"), Errc::kTrustDomain,
                        "got none", "certificate unknown");
  // No domain is not every domain, and not the empty one.
  expect_client_refuses(met(test::spiffe("demo", "server", ""), ""), Errc::kIdentity,
                        "expected SAN (none)", "certificate unknown");
}

TEST_P(IdentityTest, DnsNamesDoNotCount) {
  CertSpec server;
  server.dns_names = {"server.demo.svc.cluster.local"};
  expect_client_refuses(with_server(server, ca_), Errc::kIdentity, "got none",
                        "certificate unknown");
  CertSpec both = spec(server_id_);
  both.dns_names = {"evil.example"};
  both.organization = "anything";
  expect_works(with_server(both, ca_));
}

TEST_P(IdentityTest, ClientOfAnotherTrustDomainIsRefused) {
  expect_server_refuses(
      with_client(spec(test::spiffe("demo", "client", "other.domain")), ca_), Errc::kTrustDomain,
      "expected trust domain (cluster.local), got spiffe://other", "certificate unknown");
}

TEST_P(IdentityTest, ClientWithoutSpiffeIdIsRefused) {
  CertSpec client;
  client.dns_names = {"client.example"};
  expect_server_refuses(with_client(client, ca_), Errc::kTrustDomain, "got none",
                        "certificate unknown");
  expect_server_refuses(with_client(spec("https://cluster.local/ns/demo/sa/client"), ca_),
                        Errc::kTrustDomain, "got none", "certificate unknown");
}

TEST_P(IdentityTest, AnyNamespaceAndAccountOfOurTrustDomainMayComeIn) {
  expect_works(with_client(spec(test::spiffe("elsewhere", "someone")), ca_));
}

TEST_P(IdentityTest, ServerWithoutSpiffeIdTakesEveryTrustDomain) {
  CertSpec server;
  server.dns_names = {"server.example"};
  Wire w(ca_.credential(test::spiffe("demo", "client", "other.domain")), ca_.credential(server),
         expected_, options(), options());
  w.client.step({});
  w.server.feed(take(w.client.out), SIZE_MAX);
  w.client.feed(take(w.server.out), SIZE_MAX);
  // The client refuses such a server; that the server does not refuse the client shows verify_test.
  EXPECT_TRUE(w.client.error);
}

TEST_P(IdentityTest, OfTwoNamesOneMustFitAndTheFirstIsTheIdentity) {
  CertSpec two = spec(test::spiffe("demo", "alias"));
  two.uris.push_back(server_id_);
  Wire w = with_server(two, ca_);
  w.run();
  ASSERT_TRUE(w.client.done) << w.client.error->message();
  EXPECT_EQ(w.client.engine->peer().identity, test::identity("demo", "alias"));

  CertSpec mixed = spec("https://not.spiffe/");
  mixed.uris.push_back(client_id_);
  Wire v = with_client(mixed, ca_);
  v.run();
  ASSERT_TRUE(v.server.done) << v.server.error->message();
  EXPECT_EQ(v.server.engine->peer().identity, test::identity("demo", "client"));
}

TEST_P(IdentityTest, UnprintableUrisAreNoIdentity) {
  expect_client_refuses(with_server(spec(server_id_ + "\n"), ca_), Errc::kIdentity, "got none",
                        "certificate unknown");
}

TEST_P(IdentityTest, ExpiredIsRefused) {
  expect_both_refuse([](CertSpec& s) { s.not_after = WallClock::now() - std::chrono::minutes(1); },
                     "certificate verification error: certificate has expired",
                     "certificate expired");
}

TEST_P(IdentityTest, NotYetValidIsRefused) {
  expect_both_refuse([](CertSpec& s) { s.not_before = WallClock::now() + std::chrono::minutes(1); },
                     "certificate is not yet valid", "certificate expired");
}

TEST_P(IdentityTest, ExtendedKeyUsageCountsOnlyIfThere) {
  CertSpec wrong = spec(server_id_);
  wrong.usages = {{Usage::kClient}};
  expect_client_refuses(with_server(wrong, ca_), Errc::kUntrusted, "serverAuth",
                        "unsupported certificate");
  wrong = spec(client_id_);
  wrong.usages = {{Usage::kServer}};
  expect_server_refuses(with_client(wrong, ca_), Errc::kUntrusted, "clientAuth",
                        "unsupported certificate");
  expect_both_refuse([](CertSpec& s) { s.usages = {{Usage::kCodeSigning}}; }, "extended key usage",
                     "unsupported certificate");

  CertSpec right = spec(server_id_);
  right.usages = {{Usage::kServer}};
  expect_works(with_server(right, ca_));
  right = spec(client_id_);
  right.usages = {{Usage::kClient}};
  expect_works(with_client(right, ca_));
  right.usages.reset();
  expect_works(with_client(right, ca_));
}

TEST_P(IdentityTest, UnknownRootIsRefused) {
  const TestCa stranger("stranger");
  expect_both_refuse(spec(server_id_), spec(client_id_), stranger, "issuer certificate",
                     "unknown CA");
}

TEST_P(IdentityTest, RootOfTheSameNameWithAnotherKeyIsRefused) {
  CertSpec no_ids;
  no_ids.key_ids = false;
  const TestCa twin("test root", no_ids);
  CertSpec server = spec(server_id_), client = spec(client_id_);
  server.key_ids = client.key_ids = false;
  expect_both_refuse(server, client, twin, "certificate verification error", "");
}

TEST_P(IdentityTest, SelfSignedIsRefused) {
  const auto own = [&](const std::string& uri) {
    const auto minted = TestCa::self_signed(spec(uri));
    CredentialPem pem;
    pem.leaf = minted.pem;
    pem.private_key = minted.key_pem;
    pem.roots = ca_.pem();
    return Credential::make(pem).value();
  };
  expect_client_refuses({client_credential(), own(server_id_), expected_, options(), options()},
                        Errc::kUntrusted, "self signed", "unknown CA");
  expect_server_refuses({own(client_id_), server_credential(), expected_, options(), options()},
                        Errc::kUntrusted, "self signed", "unknown CA");
}

TEST_P(IdentityTest, CaCertificateIsNoWorkload) {
  CertSpec server = spec(server_id_), client = spec(client_id_);
  server.ca = client.ca = true;
  server.organization = client.organization = "sub CA";
  expect_both_refuse(server, client, ca_, "CA certificate where a workload's", "bad certificate");
}

TEST_P(IdentityTest, LeafCannotIssue) {
  // A workload's certificate must not vouch for another one.
  const TestCa issuer = ca_.intermediate("honest");
  CertSpec leaf_as_ca;
  leaf_as_ca.permitted_uri_host = "other.domain";
  const TestCa narrow = ca_.intermediate("narrow", leaf_as_ca);
  expect_works(with_server(spec(server_id_), issuer));
  expect_both_refuse(spec(server_id_), spec(client_id_), narrow, "permitted subtree",
                     "bad certificate");
}

TEST_P(IdentityTest, IntermediateChainsWork) {
  const TestCa first = ca_.intermediate("first");
  const TestCa second = first.intermediate("second");
  Wire w(second.credential(client_id_), second.credential(server_id_), expected_, options(),
         options());
  EXPECT_EQ(second.credential(server_id_)->chain().size(), 3U);
  expect_works(std::move(w));
}

TEST_P(IdentityTest, MissingIntermediateIsRefused) {
  const TestCa first = ca_.intermediate("first");
  auto pem = first.credential_pem(spec(server_id_));
  pem.intermediates.clear();
  expect_client_refuses(
      {client_credential(), Credential::make(pem).value(), expected_, options(), options()},
      Errc::kUntrusted, "issuer certificate", "unknown CA");
}

TEST_P(IdentityTest, SixIntermediatesAreTheLimit) {
  TestCa issuer = ca_;
  for (int i = 0; i < 6; ++i) issuer = issuer.intermediate("level " + std::to_string(i));
  expect_works(with_server(spec(server_id_), issuer));
  issuer = issuer.intermediate("one too many");
  expect_client_refuses(with_server(spec(server_id_), issuer), Errc::kUntrusted, "", "");
}

TEST_P(IdentityTest, ExpiredIntermediateIsRefused) {
  CertSpec old;
  old.not_after = WallClock::now() - std::chrono::minutes(1);
  expect_both_refuse(spec(server_id_), spec(client_id_), ca_.intermediate("old", old), "expired",
                     "certificate expired");
}

TEST_P(IdentityTest, EachOfSeveralRootsVerifiesItsOwn) {
  const TestCa other("other root");
  const std::string bundle = ca_.pem() + other.pem();
  const auto mine = ca_.credential(spec(client_id_), bundle);
  const auto theirs = other.credential(spec(server_id_), bundle);
  EXPECT_EQ(mine->roots().size(), 2U);
  expect_works({mine, theirs, expected_, options(), options()});
  expect_works({other.credential(spec(client_id_), bundle),
                ca_.credential(spec(server_id_), bundle), expected_, options(), options()});
}

TEST_P(IdentityTest, RootsOfOneNameAreTriedInTurn) {
  CertSpec no_ids;
  no_ids.key_ids = false;
  const TestCa old_root("mesh root", no_ids), new_root("mesh root", no_ids);
  CertSpec server = spec(server_id_), client = spec(client_id_);
  server.key_ids = client.key_ids = false;
  for (const auto& bundle : {old_root.pem() + new_root.pem(), new_root.pem() + old_root.pem()}) {
    expect_works({new_root.credential(client, bundle), old_root.credential(server, bundle),
                  expected_, options(), options()});
    expect_works({old_root.credential(client, bundle), new_root.credential(server, bundle),
                  expected_, options(), options()});
  }
}

TEST_P(IdentityTest, RootNeedNotBeSelfSigned) {
  const TestCa below = ca_.intermediate("regional");
  Wire w(below.credential(spec(client_id_), below.pem()),
         below.credential(spec(server_id_), below.pem()), expected_, options(), options());
  expect_works(std::move(w));
  // And it is the end of the path: what else its own issuer signed is not trusted.
  expect_client_refuses({below.credential(spec(client_id_), below.pem()), server_credential(),
                         expected_, options(), options()},
                        Errc::kUntrusted, "issuer certificate", "unknown CA");
}

TEST_P(IdentityTest, WeakKeysAndSignaturesAreRefused) {
  CertSpec weak;
  weak.key = CertSpec::Key::kRsa1024;
  expect_both_refuse(spec(server_id_), spec(client_id_), ca_.intermediate("weak", weak), "RSA",
                     "bad certificate");
  expect_both_refuse([](CertSpec& s) { s.sha1 = true; }, "certificate verification error",
                     "bad certificate");
}

CULVERT_WITH_BOTH_RECORD_LAYERS(IdentityTest);

}  // namespace
}  // namespace culvert::tls
