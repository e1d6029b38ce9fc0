#include "tests/support/raw_tls.h"

#include "common/tls/library_error.h"
#include "common/tls/pem.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509.h>

#include <stdexcept>

namespace culvert::test {
namespace {

bssl::UniquePtr<X509> parse(const std::string& pem) {
  const auto blocks = tls::certificate_blocks(pem, "certificate").value();
  const uint8_t* at = blocks.at(0).data();
  return bssl::UniquePtr<X509>(d2i_X509(nullptr, &at, static_cast<long>(blocks[0].size())));
}

void present(SSL_CTX* context, const tls::CredentialPem& pem) {
  if (SSL_CTX_use_certificate(context, parse(pem.leaf).get()) != 1)
    throw std::runtime_error("leaf");
  for (const auto& intermediate : pem.intermediates) {
    SSL_CTX_add1_chain_cert(context, parse(intermediate).get());
  }
  const auto key = tls::parse_private_key(pem.private_key, "key");
  if (SSL_CTX_use_PrivateKey(context, key->get()) != 1) throw std::runtime_error("key");
}

}  // namespace

RawTls RawTls::client(const tls::CredentialPem* pem, const Configure& configure) {
  return {pem, configure, false};
}
RawTls RawTls::server(const tls::CredentialPem& pem, const Configure& configure) {
  return {&pem, configure, true};
}

RawTls::RawTls(const tls::CredentialPem* pem, const Configure& configure, bool server)
    : context_(SSL_CTX_new(TLS_method())) {
  if (pem != nullptr) present(context_.get(), *pem);
  SSL_CTX_set_max_proto_version(context_.get(), TLS1_3_VERSION);
  SSL_CTX_set_custom_verify(context_.get(), SSL_VERIFY_PEER,
                            [](SSL*, uint8_t*) { return ssl_verify_ok; });
  if (configure) configure(context_.get());
  ssl_.reset(SSL_new(context_.get()));
  server ? SSL_set_accept_state(ssl_.get()) : SSL_set_connect_state(ssl_.get());
  SSL_set_bio(ssl_.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
}

bool RawTls::handshake() {
  ERR_clear_error();
  const int done = SSL_do_handshake(ssl_.get());
  if (done == 1) return true;
  if (SSL_get_error(ssl_.get(), done) == SSL_ERROR_WANT_READ) return false;
  throw std::runtime_error(tls::take_library_errors());
}

void RawTls::feed(Bytes bytes) {
  BIO_write(SSL_get_rbio(ssl_.get()), bytes.data(), static_cast<int>(bytes.size()));
}

std::vector<uint8_t> RawTls::take() {
  const uint8_t* data = nullptr;
  size_t size = 0;
  BIO* out = SSL_get_wbio(ssl_.get());
  BIO_mem_contents(out, &data, &size);
  std::vector<uint8_t> bytes(data, data + size);
  BIO_reset(out);
  return bytes;
}

std::string RawTls::read() {
  std::string text;
  char chunk[4096];
  for (;;) {
    ERR_clear_error();
    const int n = SSL_read(ssl_.get(), chunk, sizeof(chunk));
    if (n > 0) {
      text.append(chunk, static_cast<size_t>(n));
      continue;
    }
    const int error = SSL_get_error(ssl_.get(), n);
    if (error == SSL_ERROR_ZERO_RETURN) closed_ = true;
    if (error == SSL_ERROR_ZERO_RETURN || error == SSL_ERROR_WANT_READ) return text;
    throw std::runtime_error(tls::take_library_errors());
  }
}

void RawTls::write(std::string_view text) {
  if (SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size())) <= 0) {
    throw std::runtime_error(tls::take_library_errors());
  }
}

}  // namespace culvert::test
