#include "common/base/check.h"
#include "common/tls/engine.h"
#include "tests/support/raw_tls.h"
#include "tests/support/test_ca.h"

#include <benchmark/benchmark.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>

// What a new tunnel costs in cryptography, both ends together: our mutual handshake, and what
// tickets would make of it (which we do not offer), by the library alone.
namespace {

using namespace culvert;

void full(benchmark::State& state) {
  const test::TestCa ca;
  tls::Context context{tls::Options{}};
  const auto client_credential = ca.credential(test::spiffe("demo", "client"));
  const auto server_credential = ca.credential(test::spiffe("demo", "server"));
  for (auto _ : state) {
    auto client =
        tls::Engine::client(context, client_credential, {test::identity("demo", "server")});
    auto server = tls::Engine::server(context, server_credential);
    ByteQueue up, down;
    CULVERT_CHECK(client->handshake({}, up));
    CULVERT_CHECK(server->handshake(up.readable(), down));
    up.clear();
    const auto client_end = client->handshake(down.readable(), up);
    const auto server_end = server->handshake(up.readable(), down);
    constexpr auto kDone = tls::Engine::Handshake::kDone;
    CULVERT_CHECK(client_end && *client_end == kDone && server_end && *server_end == kDone);
  }
}
BENCHMARK(full)->Unit(benchmark::kMicrosecond);

// Both contexts once; certificates are believed unseen, signatures are checked.
class Library {
 public:
  Library()
      : server_(test::RawTls::server(ca_.credential_pem({.uris = {test::spiffe("demo", "server")}}),
                                     [](SSL_CTX* context) {
                                       constexpr uint8_t kName[] = {'x'};
                                       SSL_CTX_set_session_id_context(context, kName, sizeof kName);
                                     })),
        client_pem_(ca_.credential_pem({.uris = {test::spiffe("demo", "client")}})),
        client_(test::RawTls::client(&client_pem_, [](SSL_CTX* context) {
          use_our_group(context);
          SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT);
        })) {
    SSL_CTX* const context = SSL_get_SSL_CTX(client_.ssl());
    SSL_CTX_set_app_data(context, this);
    SSL_CTX_sess_set_new_cb(context, [](SSL* ssl, SSL_SESSION* session) {
      static_cast<Library*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)))->session_.reset(session);
      return 1;  // taken
    });
  }

  // `resume`: with the ticket of the connection before.
  void connect(bool resume) {
    const auto client = make(client_), server = make(server_);
    SSL_set_connect_state(client.get());
    SSL_set_accept_state(server.get());
    if (resume) SSL_set_session(client.get(), session_.get());
    BIO *near = nullptr, *far = nullptr;
    CULVERT_CHECK(BIO_new_bio_pair(&near, 1 << 16, &far, 1 << 16) == 1);
    SSL_set_bio(client.get(), near, near);
    SSL_set_bio(server.get(), far, far);
    while (SSL_do_handshake(client.get()) != 1 || SSL_do_handshake(server.get()) != 1)
      SSL_do_handshake(server.get());
    char byte = 0;
    SSL_write(server.get(), &byte, 1);  // the tickets lie before it
    CULVERT_CHECK(SSL_read(client.get(), &byte, 1) == 1);
    CULVERT_CHECK((SSL_session_reused(server.get()) == 1) == resume);
  }

 private:
  static void use_our_group(SSL_CTX* context) {
    constexpr uint16_t kGroup = SSL_GROUP_X25519;
    SSL_CTX_set1_group_ids(context, &kGroup, 1);
  }
  static bssl::UniquePtr<SSL> make(test::RawTls& side) {
    return bssl::UniquePtr<SSL>(SSL_new(SSL_get_SSL_CTX(side.ssl())));
  }
  const test::TestCa ca_;
  test::RawTls server_;
  const tls::CredentialPem client_pem_;
  test::RawTls client_;
  bssl::UniquePtr<SSL_SESSION> session_;
};

void library(benchmark::State& state, bool resume) {
  Library both;
  both.connect(false);
  for (auto _ : state) both.connect(resume);
}
BENCHMARK_CAPTURE(library, full, false)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(library, resumed, true)->Unit(benchmark::kMicrosecond);

}  // namespace
