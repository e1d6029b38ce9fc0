#include "tests/unit/common/tls/engine_fixture.h"

#include <gtest/gtest.h>

namespace culvert::tls {
namespace {

using test::CertSpec;

TEST_P(EngineTest, BothSidesLearnTheOther) {
  Wire w = wire();
  w.run();
  ASSERT_TRUE(w.client.done && w.server.done);
  EXPECT_EQ(w.client.engine->peer().identity, test::identity("demo", "server"));
  EXPECT_EQ(w.server.engine->peer().identity, test::identity("demo", "client"));
  EXPECT_EQ(w.client.engine->peer().alpn, "h2");
  EXPECT_EQ(w.server.engine->peer().alpn, "h2");
}

TEST_P(EngineTest, WorksByteByByte) {
  Wire w = wire();
  w.run(1);
  ASSERT_TRUE(w.client.done && w.server.done);
  w.client.send("ping");
  w.run(1);
  EXPECT_EQ(w.server.got.text, "ping");
}

TEST_P(EngineTest, FlightsAreCoalesced) {
  Wire w = wire();
  w.client.step({});
  const auto hello = take(w.client.out);
  w.server.feed(hello, SIZE_MAX);
  // ServerHello … Finished in one go: the client needs nothing else to finish.
  w.client.feed(take(w.server.out), SIZE_MAX);
  EXPECT_TRUE(w.client.done);
  EXPECT_FALSE(w.server.done);
}

TEST_P(EngineTest, DataMayComeWithTheLastFlight) {
  Wire w = wire();
  w.client.step({});
  w.server.feed(take(w.client.out), SIZE_MAX);
  w.client.feed(take(w.server.out), SIZE_MAX);
  ASSERT_TRUE(w.client.done);
  w.client.send("early bird");
  w.server.feed(take(w.client.out), SIZE_MAX);
  EXPECT_TRUE(w.server.done);
  EXPECT_EQ(w.server.got.text, "early bird");
}

TEST_P(EngineTest, ClientHelloNamesNoServerAndOffersWhatTheMeshSpeaks) {
  Wire w = wire();
  w.client.step({});
  const auto hello = take(w.client.out);
  const std::string text(hello.begin(), hello.end());
  // cipher_suites: exactly AES-256-GCM-SHA384, AES-128-GCM-SHA256 (no ChaCha20, nothing of
  // TLS 1.2).
  EXPECT_NE(text.find(std::string("\x00\x04\x13\x02\x13\x01", 6)), std::string::npos);
  // supported_groups: X25519, P-256, P-384, X25519MLKEM768.
  EXPECT_NE(text.find(std::string("\x00\x0a\x00\x0a\x00\x08\x00\x1d\x00\x17\x00\x18\x11\xec", 14)),
            std::string::npos);
  // key_share: one entry, X25519.
  EXPECT_NE(text.find(std::string("\x00\x33\x00\x26\x00\x24\x00\x1d\x00\x20", 10)),
            std::string::npos);
  // ALPN: h2 only.
  EXPECT_NE(text.find(std::string("\x00\x10\x00\x05\x00\x03\x02h2", 9)), std::string::npos);
  EXPECT_LT(hello.size(), 400U);
}

TEST_P(EngineTest, PostQuantumOnlySpeaksNothingElse) {
  const Options pqc = options({.pqc_only = true});
  Wire both(client_credential(), server_credential(), expected_, pqc, pqc);
  both.run();
  EXPECT_TRUE(both.client.done && both.server.done);

  // A default server can, too: the group is its last choice.
  Wire one(client_credential(), server_credential(), expected_, pqc, options());
  one.run();
  EXPECT_TRUE(one.client.done && one.server.done);

  // A default client offers it last and is asked for it by a second ClientHello.
  Wire other(client_credential(), server_credential(), expected_, options(), pqc);
  other.run();
  EXPECT_TRUE(other.client.done && other.server.done);
}

TEST_P(EngineTest, Tls12IsOfferedOnlyWhenAllowed) {
  const Options both = options({.allow_tls12 = true});
  Wire w(client_credential(), server_credential(), expected_, both, both);
  w.client.step({});
  const auto hello = take(w.client.out);
  const std::string text(hello.begin(), hello.end());
  EXPECT_NE(text.find(std::string("\x13\x02\x13\x01\xc0\x2c\xc0\x2b\xc0\x30\xc0\x2f", 12)),
            std::string::npos);
  w.server.feed(hello, SIZE_MAX);
  w.run();
  EXPECT_TRUE(w.client.done && w.server.done);
}

TEST_P(EngineTest, OneCredentialServesManyConnectionsAndOptions) {
  const auto credential = server_credential();
  for (const bool tls12 : {false, true}) {
    Context context(options({.allow_tls12 = tls12}));
    auto first = Engine::server(context, credential);
    auto second = Engine::client(context, credential, expected_);
    EXPECT_NE(first, nullptr);
    EXPECT_NE(second, nullptr);
  }
}

TEST_P(EngineTest, GarbageInsteadOfAClientHelloFailsWithAnAlert) {
  Wire w = wire();
  const std::string_view http = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  w.server.feed({http.begin(), http.end()}, SIZE_MAX);
  ASSERT_TRUE(w.server.error);
  EXPECT_EQ(w.server.error->code, code(Errc::kHandshake));
  EXPECT_EQ(w.server.error->message(), "tls handshake error: HTTP_REQUEST");
}

TEST_P(EngineTest, AFailedHandshakeStaysFailed) {
  Wire w = with_server(spec(test::spiffe("demo", "impostor")), ca_);
  w.run();
  ASSERT_TRUE(w.client.error);
  ByteQueue out;
  const auto again = w.client.engine->handshake({}, out);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, code(Errc::kIdentity));
}

TEST_P(EngineTest, AHalfHandshakeIsNeitherDoneNorWrong) {
  Wire w = wire();
  w.client.step({});
  auto hello = take(w.client.out);
  hello.pop_back();
  w.server.feed(hello, SIZE_MAX);
  EXPECT_FALSE(w.server.done);
  EXPECT_FALSE(w.server.error);
  EXPECT_TRUE(w.server.out.empty());
  // Nothing to close yet.
  w.server.engine->close_notify(w.server.out);
  EXPECT_TRUE(w.server.out.empty());
}

TEST_P(EngineTest, KeysOfAllAcceptedKindsWork) {
  for (const auto key : {CertSpec::Key::kP256, CertSpec::Key::kP384, CertSpec::Key::kEd25519,
                         CertSpec::Key::kRsa2048}) {
    CertSpec server = spec(server_id_);
    server.key = key;
    Wire w = with_server(server, ca_);
    w.run();
    EXPECT_TRUE(w.client.done && w.server.done) << static_cast<int>(key);
  }
}

CULVERT_WITH_BOTH_RECORD_LAYERS(EngineTest);

}  // namespace
}  // namespace culvert::tls
