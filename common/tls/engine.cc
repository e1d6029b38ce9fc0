#include "common/tls/engine.h"

#include "common/base/check.h"
#include "common/tls/context_impl.h"
#include "common/tls/credential_impl.h"
#include "common/tls/errors.h"
#include "common/tls/library_record.h"
#include "common/tls/session.h"
#include "common/tls/verify.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <utility>

namespace culvert::tls {
namespace {

// Handshake by the library; what follows it is the record layer's (library_record.h).
class LibraryEngine final : public Engine, private PeerJudge {
 public:
  LibraryEngine(Context& context, CredentialPtr credential, Role role,
                std::vector<state::Identity> expected, std::string trust_domain = {})
      : context_(context.impl()),
        credential_(std::move(credential)),
        role_(role),
        expected_(std::move(expected)),
        trust_domain_(std::move(trust_domain)),
        session_(credential_->impl().ssl_context(role, context_.options), role, context_.options) {
    SSL_set_app_data(session_.ssl(), static_cast<PeerJudge*>(this));
  }

  Result<Handshake> handshake(Bytes in, ByteQueue& out) override {
    const Session::Input input(session_, in);
    const Session::Output output(session_, out);
    ERR_clear_error();
    const int done = SSL_do_handshake(session_.ssl());
    if (done == 1) {
      finish();
      return Handshake::kDone;
    }
    if (SSL_get_error(session_.ssl(), done) == SSL_ERROR_WANT_READ) return Handshake::kMore;
    session_.drop_input();
    if (!refusal_) return Session::failure(Errc::kHandshake);
    // Our own verdict says more than the library's "certificate verify failed".
    ERR_clear_error();
    return *refusal_;
  }

  Result<bool> open(MutableBytes in, PlaintextSink& sink, ByteQueue& out) override {
    CULVERT_CHECK(established_);
    return library_record::open(session_, context_, in, sink, out);
  }

  size_t take_partial(MutableBytes) override { return 0; }
  Result<Bytes> seal(RecordBatch& batch, ByteQueue&) override {
    CULVERT_CHECK(established_);
    shim_.clear();
    for (const auto& record : batch.records())
      if (auto done = library_record::seal(session_, {batch.memory() + record.begin + 5, record.plain}, shim_); !done) return done.error();
    return Bytes(shim_.readable());
  }
  ByteQueue shim_;

  void close_notify(ByteQueue& out) override {
    // Before the end of the handshake there is nothing to close.
    if (!established_ || std::exchange(closed_, true)) return;
    library_record::close_notify(session_, out);
  }

  [[nodiscard]] const Peer& peer() const override { return peer_; }

 private:
  std::optional<uint8_t> judge(const STACK_OF(CRYPTO_BUFFER) * presented) override {
    const PeerCheck check{context_.chains, credential_->impl(), role_,
                          expected_,       WallClock::now(),    trust_domain_};
    auto refused = verify_peer(check, presented, peer_.identity);
    if (!refused) return std::nullopt;
    refusal_ = std::move(refused->error);
    return refused->alert;
  }

  void finish() {
    if (std::exchange(established_, true)) return;
    const uint8_t* alpn = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(session_.ssl(), &alpn, &size);
    peer_.alpn.assign(as_text({alpn, size}));
    expected_ = {};
  }

  Context::Impl& context_;
  const CredentialPtr credential_;
  const Role role_;
  bool established_ = false, closed_ = false;
  std::vector<state::Identity> expected_;
  std::string trust_domain_;
  std::optional<Error> refusal_;
  Peer peer_;
  Session session_;
};

}  // namespace

std::unique_ptr<Engine> Engine::server(Context& context, CredentialPtr credential) {
  return std::make_unique<LibraryEngine>(context, std::move(credential), Role::kServer,
                                         std::vector<state::Identity>());
}

std::unique_ptr<Engine> Engine::client(Context& context, CredentialPtr credential,
                                       std::vector<state::Identity> expected) {
  return std::make_unique<LibraryEngine>(context, std::move(credential), Role::kClient,
                                         std::move(expected));
}

std::unique_ptr<Engine> Engine::client_in_domain(Context& context, CredentialPtr credential,
                                                 std::string trust_domain) {
  return std::make_unique<LibraryEngine>(context, std::move(credential), Role::kClient,
                                         std::vector<state::Identity>(), std::move(trust_domain));
}

}  // namespace culvert::tls
