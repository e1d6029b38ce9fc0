#include "common/tls/engine.h"

#include "common/base/check.h"
#include "common/tls/context_impl.h"
#include "common/tls/credential_impl.h"
#include "common/tls/errors.h"
#include "common/tls/library_records.h"
#include "common/tls/own_records.h"
#include "common/tls/session.h"
#include "common/tls/verify.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <utility>

namespace culvert::tls {
namespace {

// What a TLS 1.3 handshake of the library agreed on.
Secrets secrets_of(const SSL* ssl) {
  bssl::Span<const uint8_t> read, write;
  CULVERT_CHECK(bssl::SSL_get_traffic_secrets(ssl, &read, &write));
  // The context offers these suites only.
  const auto suite = find_suite(SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(ssl)));
  CULVERT_CHECK(suite);
  return {*suite,
          {{read.data(), read.size()}, SSL_get_read_sequence(ssl)},
          {{write.data(), write.size()}, SSL_get_write_sequence(ssl)}};
}

// The handshake is the library's; what follows it is the record layer's (records.h), and the
// library's session is freed if that is our own.
class HandshakingEngine final : public Engine, private PeerJudge {
 public:
  HandshakingEngine(Context& context, CredentialPtr credential, Role role,
                    std::vector<state::Identity> expected, std::string trust_domain = {})
      : context_(context.impl()),
        credential_(std::move(credential)),
        role_(role),
        expected_(std::move(expected)),
        trust_domain_(std::move(trust_domain)),
        session_(std::make_unique<Session>(credential_->impl().ssl_context(role, context_.options),
                                           role, context_.options)) {
    SSL_set_app_data(session_->ssl(), static_cast<PeerJudge*>(this));
  }

  Result<Handshake> handshake(Bytes in, ByteQueue& out) override {
    CULVERT_CHECK(!records_);
    auto state = step(in, out);
    if (state && *state == Handshake::kDone) finish();
    return state;
  }

  Result<bool> open(MutableBytes in, PlaintextSink& sink, ByteQueue& out) override {
    CULVERT_CHECK(records_);
    return records_->open(in, sink, out);
  }

  size_t take_partial(MutableBytes to) override {
    CULVERT_CHECK(records_ && to.size() >= kMaxRecord);
    return records_->take_partial(to);
  }

  Result<Bytes> seal(RecordBatch& batch, ByteQueue& before) override {
    CULVERT_CHECK(records_);
    return records_->seal(batch, before);
  }

  void close_notify(ByteQueue& out) override {
    // Before the end of the handshake there is nothing to close.
    if (records_) records_->close_notify(out);
  }

  [[nodiscard]] const Peer& peer() const override { return peer_; }

 private:
  Result<Handshake> step(Bytes in, ByteQueue& out) {
    const Session::Input input(*session_, in);
    const Session::Output output(*session_, out);
    ERR_clear_error();
    const int done = SSL_do_handshake(session_->ssl());
    if (done == 1) return Handshake::kDone;
    if (SSL_get_error(session_->ssl(), done) == SSL_ERROR_WANT_READ) return Handshake::kMore;
    session_->drop_input();
    if (!refusal_) return Session::failure(Errc::kHandshake);
    // Our own verdict says more than the library's "certificate verify failed".
    ERR_clear_error();
    return *refusal_;
  }

  std::optional<uint8_t> judge(const STACK_OF(CRYPTO_BUFFER) * presented) override {
    const PeerCheck check{context_.chains, credential_->impl(), role_,
                          expected_,       WallClock::now(),    trust_domain_};
    auto refused = verify_peer(check, presented, peer_.identity);
    if (!refused) return std::nullopt;
    refusal_ = std::move(refused->error);
    return refused->alert;
  }

  void finish() {
    const SSL* ssl = session_->ssl();
    const uint8_t* alpn = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl, &alpn, &size);
    peer_.alpn.assign(as_text({alpn, size}));
    expected_ = {};
    if (SSL_version(ssl) == TLS1_3_VERSION && context_.options.record_layer == RecordLayer::kOwn) {
      records_ =
          std::make_unique<OwnRecords>(role_, secrets_of(ssl), session_->take_unread(), context_);
      session_.reset();
    } else {
      records_ = std::make_unique<LibraryRecords>(std::move(session_), context_);
    }
  }

  Context::Impl& context_;
  const CredentialPtr credential_;
  const Role role_;
  std::vector<state::Identity> expected_;
  std::string trust_domain_;
  std::optional<Error> refusal_;
  Peer peer_;
  std::unique_ptr<Session> session_;  // until the handshake is done
  std::unique_ptr<Records> records_;  // from then on
};

}  // namespace

std::unique_ptr<Engine> Engine::server(Context& context, CredentialPtr credential) {
  return std::make_unique<HandshakingEngine>(context, std::move(credential), Role::kServer,
                                             std::vector<state::Identity>());
}

std::unique_ptr<Engine> Engine::client(Context& context, CredentialPtr credential,
                                       std::vector<state::Identity> expected) {
  return std::make_unique<HandshakingEngine>(context, std::move(credential), Role::kClient,
                                             std::move(expected));
}

std::unique_ptr<Engine> Engine::client_in_domain(Context& context, CredentialPtr credential,
                                                 std::string trust_domain) {
  return std::make_unique<HandshakingEngine>(context, std::move(credential), Role::kClient,
                                             std::vector<state::Identity>(),
                                             std::move(trust_domain));
}

}  // namespace culvert::tls
