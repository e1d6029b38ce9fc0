#include "tests/support/raw_tls.h"
#include "tests/unit/common/tls/engine_fixture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

// Peers that are not us: what our engine never does itself.
namespace culvert::tls {
namespace {

using test::CertSpec;
using test::RawTls;
using ::testing::HasSubstr;

class RawPeerTest : public EngineTest {
 protected:
  CredentialPem client_pem() { return ca_.credential_pem(spec(client_id_)); }

  // Runs our server against `peer`; returns what the peer failed with, if it did.
  std::string run(RawTls& peer) {
    std::string failure;
    for (int i = 0; i < 10; ++i) {
      try {
        if (peer.handshake()) peer.read();
      } catch (const std::exception& e) {
        failure = e.what();
      }
      const auto bytes = peer.take();
      if (bytes.empty() && i > 0) return failure;
      if (!server_.error) server_.feed(bytes, SIZE_MAX);
      peer.feed(take(server_.out));
    }
    ADD_FAILURE() << "does not come to rest";
    return failure;
  }
  RawTls connected() {
    const auto pem = client_pem();
    RawTls peer = RawTls::client(&pem);
    run(peer);
    EXPECT_TRUE(server_.done);
    return peer;
  }

  Context context_{options()};
  Side server_{Engine::server(context_, server_credential())};
};

TEST_P(RawPeerTest, NoClientCertificate) {
  RawTls peer = RawTls::client(nullptr);
  EXPECT_EQ(run(peer), "TLSV1_ALERT_CERTIFICATE_REQUIRED");
  ASSERT_TRUE(server_.error);
  EXPECT_EQ(server_.error->code, code(Errc::kNoCertificate));
  EXPECT_FALSE(server_.done);
}

TEST_P(RawPeerTest, ForeignTrustDomainIsToldCertificateUnknown) {
  const auto pem = ca_.credential_pem(spec(test::spiffe("demo", "client", "other.domain")));
  RawTls peer = RawTls::client(&pem);
  EXPECT_EQ(run(peer), "SSLV3_ALERT_CERTIFICATE_UNKNOWN");
}

TEST_P(RawPeerTest, Rsa1024LeafIsRefused) {
  CertSpec weak = spec(client_id_);
  weak.key = CertSpec::Key::kRsa1024;
  const auto pem = ca_.credential_pem(weak);
  RawTls peer = RawTls::client(&pem);
  run(peer);
  ASSERT_TRUE(server_.error);
  EXPECT_EQ(server_.error->code, code(Errc::kUntrusted));
  EXPECT_THAT(server_.error->message(), HasSubstr("RSA key of 1024 bits"));
}

// Whoever reads C strings would see a good name followed by nothing.
TEST_P(RawPeerTest, NulInAUriIsRefusedHoweverGoodTheRest) {
  CertSpec tricky = spec(client_id_);
  tricky.uris.push_back(client_id_ + std::string("\0.evil", 6));
  const auto client_pem = ca_.credential_pem(tricky);
  RawTls client_peer = RawTls::client(&client_pem);
  EXPECT_THAT(run(client_peer), HasSubstr("BAD_CERTIFICATE"));
  ASSERT_TRUE(server_.error);
  EXPECT_EQ(server_.error->code, code(Errc::kUntrusted));
  EXPECT_THAT(server_.error->message(), HasSubstr("embedded NUL"));

  tricky.uris = {server_id_, server_id_ + std::string("\0.evil", 6)};
  RawTls server_peer = RawTls::server(ca_.credential_pem(tricky));
  Side client(Engine::client(context_, client_credential(), expected_));
  client.step({});
  server_peer.feed(take(client.out));
  server_peer.handshake();
  client.feed(server_peer.take(), SIZE_MAX);
  ASSERT_TRUE(client.error);
  EXPECT_THAT(client.error->message(), HasSubstr("embedded NUL"));
  EXPECT_FALSE(client.out.empty());
}

TEST_P(RawPeerTest, AlpnWithoutH2IsRefused) {
  const auto pem = client_pem();
  RawTls peer = RawTls::client(&pem, [](SSL_CTX* context) {
    SSL_CTX_set_alpn_protos(context, reinterpret_cast<const uint8_t*>("\x08http/1.1"), 9);
  });
  EXPECT_EQ(run(peer), "TLSV1_ALERT_NO_APPLICATION_PROTOCOL");
  ASSERT_TRUE(server_.error);
  EXPECT_EQ(server_.error->code, code(Errc::kHandshake));
}

TEST_P(RawPeerTest, H2AmongOthersIsChosen) {
  const auto pem = client_pem();
  RawTls peer = RawTls::client(&pem, [](SSL_CTX* context) {
    SSL_CTX_set_alpn_protos(context, reinterpret_cast<const uint8_t*>("\x08http/1.1\x02h2"), 12);
  });
  EXPECT_EQ(run(peer), "");
  ASSERT_TRUE(server_.done);
  EXPECT_EQ(server_.engine->peer().alpn, "h2");
}

TEST_P(RawPeerTest, NoAlpnIsAccepted) {
  connected();
  EXPECT_EQ(server_.engine->peer().alpn, "");
}

TEST_P(RawPeerTest, Tls12ClientIsRefusedUnlessAllowed) {
  const auto pem = client_pem();
  const auto only_12 = [](SSL_CTX* context) {
    SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
  };
  RawTls refused = RawTls::client(&pem, only_12);
  EXPECT_EQ(run(refused), "TLSV1_ALERT_PROTOCOL_VERSION");
  ASSERT_TRUE(server_.error);
  EXPECT_EQ(server_.error->code, code(Errc::kHandshake));
  EXPECT_EQ(server_.error->message(), "tls handshake error: UNSUPPORTED_PROTOCOL");

  Context context(options({.allow_tls12 = true}));
  server_ = Side{Engine::server(context, server_credential())};
  RawTls accepted = RawTls::client(&pem, only_12);
  EXPECT_EQ(run(accepted), "");
  ASSERT_TRUE(server_.done);
  EXPECT_EQ(server_.engine->peer().identity, test::identity("demo", "client"));
  accepted.write("old but good");
  server_.feed(accepted.take(), SIZE_MAX);
  EXPECT_EQ(server_.got.text, "old but good");
  server_ = {};  // before its context
}

TEST_P(RawPeerTest, TheClientChoosesAmongOurSuites) {
  const auto pem = client_pem();
  for (const uint16_t suite : {SSL_CIPHER_AES_128_GCM_SHA256, SSL_CIPHER_AES_256_GCM_SHA384}) {
    server_ = Side{Engine::server(context_, server_credential())};
    const uint16_t order[] = {SSL_CIPHER_CHACHA20_POLY1305_SHA256, suite,
                              static_cast<uint16_t>(suite == SSL_CIPHER_AES_128_GCM_SHA256
                                                        ? SSL_CIPHER_AES_256_GCM_SHA384
                                                        : SSL_CIPHER_AES_128_GCM_SHA256)};
    RawTls peer = RawTls::client(
        &pem, [&](SSL_CTX* context) { SSL_CTX_set1_tls13_ciphers(context, order, nullptr, 3); });
    EXPECT_EQ(run(peer), "");
    EXPECT_EQ(SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(peer.ssl())), suite);
  }
}

TEST_P(RawPeerTest, ChaCha20AloneIsRefused) {
  const auto pem = client_pem();
  RawTls peer = RawTls::client(&pem, [&](SSL_CTX* context) {
    const uint16_t only = SSL_CIPHER_CHACHA20_POLY1305_SHA256;
    SSL_CTX_set1_tls13_ciphers(context, &only, nullptr, 1);
  });
  EXPECT_THAT(run(peer), HasSubstr("SSLV3_ALERT_HANDSHAKE_FAILURE"));
  EXPECT_EQ(server_.error->message(), "tls handshake error: NO_SHARED_CIPHER");
}

TEST_P(RawPeerTest, NoTicketsAreSent) {
  const auto pem = client_pem();
  int tickets = 0;
  RawTls peer = RawTls::client(&pem, [&](SSL_CTX* context) {
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT);
    SSL_CTX_set_app_data(context, &tickets);
    SSL_CTX_sess_set_new_cb(context, [](SSL* ssl, SSL_SESSION*) {
      ++*static_cast<int*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
      return 0;
    });
  });
  EXPECT_EQ(run(peer), "");
  ASSERT_TRUE(server_.done);
  // The library would send them with the first data.
  server_.send("data");
  peer.feed(take(server_.out));
  EXPECT_EQ(peer.read(), "data");
  EXPECT_EQ(tickets, 0);
}

TEST_P(RawPeerTest, KeyUpdateIsObeyedAndAnswered) {
  RawTls peer = connected();
  for (int round = 0; round < 5; ++round) {
    ASSERT_EQ(SSL_key_update(peer.ssl(), SSL_KEY_UPDATE_REQUESTED), 1);
    peer.write("new key");
    server_.feed(peer.take(), SIZE_MAX);
    ASSERT_FALSE(server_.error);
    server_.send("mine too");
    peer.feed(take(server_.out));
    EXPECT_EQ(peer.read(), "mine too");
  }
  EXPECT_EQ(server_.got.text, "new keynew keynew keynew keynew key");
}

TEST_P(RawPeerTest, TicketsFromAServerAreIgnored) {
  const auto pem = ca_.credential_pem(spec(server_id_));
  RawTls peer = RawTls::server(pem);
  Side client{Engine::client(context_, client_credential(), expected_)};
  client.step({});
  for (int i = 0; i < 3; ++i) {
    peer.feed(take(client.out));
    if (peer.handshake()) peer.read();
    client.feed(peer.take(), SIZE_MAX);
  }
  ASSERT_TRUE(client.done);
  EXPECT_FALSE(client.error);
  peer.write("hello");
  client.feed(peer.take(), SIZE_MAX);
  EXPECT_EQ(client.got.text, "hello");
}

TEST_P(RawPeerTest, CloseNotifyBothWays) {
  RawTls peer = connected();
  peer.write("bye");
  peer.close();
  server_.feed(peer.take(), SIZE_MAX);
  EXPECT_EQ(server_.got.text, "bye");
  EXPECT_FALSE(server_.open);
  server_.engine->close_notify(server_.out);
  peer.feed(take(server_.out));
  peer.read();
  EXPECT_TRUE(peer.closed());
}

TEST_P(RawPeerTest, CertificatesBeyond64KiBAreRefused) {
  for (const auto& [names, accepted] : {std::pair(2000, true), std::pair(2300, false)}) {
    CertSpec large = spec(client_id_);
    // 30 bytes each in the certificate.
    large.dns_names.assign(static_cast<size_t>(names), std::string(20, 'x') + ".example");
    server_ = Side(Engine::server(context_, server_credential()));
    const auto pem = ca_.credential_pem(large);
    RawTls peer = RawTls::client(&pem);
    run(peer);
    EXPECT_EQ(server_.done, accepted) << names;
    if (!accepted) {
      ASSERT_TRUE(server_.error);
      EXPECT_THAT(server_.error->message(), HasSubstr("EXCESSIVE_MESSAGE_SIZE"));
    }
  }
}

TEST_P(RawPeerTest, AnEndlessHandshakeMessageIsRefused) {
  // A ClientHello that claims 16 MiB - 1.
  std::vector<uint8_t> record{0x16, 0x03, 0x01, 0x00, 0x08, 0x01, 0xff, 0xff, 0xff, 3, 3, 0, 0};
  server_.feed(record, SIZE_MAX);
  ASSERT_TRUE(server_.error);
  EXPECT_THAT(server_.error->message(), HasSubstr("EXCESSIVE_MESSAGE_SIZE"));
  EXPECT_FALSE(server_.out.empty());
}

CULVERT_WITH_BOTH_RECORD_LAYERS(RawPeerTest);

}  // namespace
}  // namespace culvert::tls
