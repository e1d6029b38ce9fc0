#include "tests/support/raw_tls.h"
#include "tests/unit/common/tls/engine_fixture.h"

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <random>
#include <tuple>

// Our engine against the TLS library on the other side: two independent opinions of what a record
// is.
namespace culvert::tls {
namespace {

using test::RawTls;

class LibraryPeerTest : public EngineTest {
 protected:
  // A connection of either suite, with us on either side.
  void connect(uint16_t suite, bool we_serve, Options more = {}) {
    context_ = std::make_unique<Context>(options(more));
    const auto pem = ca_.credential_pem(spec(we_serve ? client_id_ : server_id_));
    const auto configure = [&](SSL_CTX* context) {
      SSL_CTX_set1_tls13_ciphers(context, &suite, nullptr, 1);
    };
    peer_ = std::make_unique<RawTls>(we_serve ? RawTls::client(&pem, configure)
                                              : RawTls::server(pem, configure));
    ours_ = Side(we_serve ? Engine::server(*context_, server_credential())
                          : Engine::client(*context_, client_credential(), expected_));
    if (!we_serve) ours_.step({});
    for (int i = 0; i < 4; ++i) {
      peer_->feed(take(ours_.out));
      if (peer_->handshake()) EXPECT_EQ(peer_->read(), "");
      ours_.feed(peer_->take(), SIZE_MAX);
    }
    ASSERT_TRUE(ours_.done);
    ASSERT_EQ(SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(peer_->ssl())), suite);
  }
  void to_us(std::string_view text, size_t piece) {
    peer_->write(text);
    ours_.feed(peer_->take(), piece);
    ASSERT_FALSE(ours_.error);
    ASSERT_TRUE(ours_.got.text == text) << text.size();
    ours_.got = {};
  }
  void from_us(std::string_view text) {
    ours_.send(text);
    peer_->feed(take(ours_.out));
    ASSERT_TRUE(peer_->read() == text) << text.size();
  }
  template <class Run>
  void every_way(const Run& run, const Options& more = {}) {
    for (const uint16_t suite : {SSL_CIPHER_AES_128_GCM_SHA256, SSL_CIPHER_AES_256_GCM_SHA384}) {
      for (const bool we_serve : {false, true}) {
        connect(suite, we_serve, more);
        if (HasFatalFailure()) return;
        run();
        ours_ = {};
      }
    }
  }
  std::string noise(size_t size) {
    std::string text(size, '\0');
    for (char& c : text) c = static_cast<char>(random_());
    return text;
  }

  std::mt19937 random_{11};
  std::unique_ptr<Context> context_;
  std::unique_ptr<RawTls> peer_;
  Side ours_;
};

TEST_P(LibraryPeerTest, EverySizeOfSmallRecords) {
  every_way([&] {
    const std::string text = noise(600);
    for (size_t size = 1; size < text.size(); ++size) {
      to_us(std::string_view(text).substr(0, size), 1 + size % 7);
      from_us(std::string_view(text).substr(0, size));
    }
  });
}

TEST_P(LibraryPeerTest, RandomSizesInRandomPieces) {
  every_way([&] {
    const std::string text = noise(60000);
    for (int i = 0; i < 200; ++i) {
      const size_t size = 1 + random_() % (i % 2 == 0 ? 16384 : text.size());
      to_us(std::string_view(text).substr(text.size() - size), 1 + random_() % 20000);
      from_us(std::string_view(text).substr(text.size() - size));
    }
  });
}

TEST_P(LibraryPeerTest, TheLargestAndOneMore) {
  every_way([&] {
    const std::string text = noise(16385);
    for (const size_t size : {16383, 16384, 16385}) {
      to_us(std::string_view(text).substr(0, size), SIZE_MAX);
      from_us(std::string_view(text).substr(0, size));
    }
  });
}

TEST_P(LibraryPeerTest, KeysChangeOnBothSidesAtAnyTime) {
  every_way(
      [&] {
        for (int i = 0; i < 300; ++i) {
          if (random_() % 3 == 0) {
            ASSERT_EQ(
                SSL_key_update(peer_->ssl(), random_() % 2 == 0 ? SSL_KEY_UPDATE_REQUESTED
                                                                : SSL_KEY_UPDATE_NOT_REQUESTED),
                1);
          }
          const std::string text = noise(1 + random_() % 40000);
          if (random_() % 2 == 0) to_us(text, 1 + random_() % 30000);
          if (random_() % 2 == 0) from_us(text);
        }
      },
      Options{.records_per_key = 7});
}

TEST_P(LibraryPeerTest, TheEndOfEitherDirection) {
  every_way([&] {
    to_us("bye", SIZE_MAX);
    peer_->close();
    ours_.feed(peer_->take(), 1);
    EXPECT_FALSE(ours_.open);
    from_us("still");
    ours_.engine->close_notify(ours_.out);
    peer_->feed(take(ours_.out));
    EXPECT_EQ(peer_->read(), "");
    EXPECT_TRUE(peer_->closed());
  });
}

// The library says what our alert was.
TEST_P(LibraryPeerTest, WhatWeComplainAboutIsUnderstood) {
  every_way([&] {
    peer_->write("x");
    auto wire = peer_->take();
    wire[8] ^= 1;
    ours_.feed(wire, SIZE_MAX);
    ASSERT_TRUE(ours_.error);
    peer_->feed(take(ours_.out));
    std::string failure;
    try {
      peer_->read();
    } catch (const std::exception& e) {
      failure = e.what();
    }
    EXPECT_EQ(failure, "SSLV3_ALERT_BAD_RECORD_MAC");
  });
}

CULVERT_WITH_BOTH_RECORD_LAYERS(LibraryPeerTest);

}  // namespace
}  // namespace culvert::tls
